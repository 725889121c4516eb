package autoencoder

import (
	"errors"
	"fmt"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// Seen is the potential of the noise y behind pictures of which some pixels are seen,
//
//	U(y) = v(y) + β·L(y),  L(y) = Σ_k m_k·ℓ(x_k, l_k),  l = d(∇w*(y))
//
// for the decoder d, the loss ℓ of a pixel, m_k = 1 where it is seen, and v the
// potential of the noise. β = 1 is Bayes' rule. ∇w* must be a network, so that w is a layers.Conjugate. A draw
// of e^{−U}, mapped by ∇w* and decoded, is a picture given what is seen of it.
//
// Row i of a batch belongs to picture i; see posterior.Noise. Seen keeps the last ∇v to
// begin solves there.
type Seen struct {
	// Beta is β; NewSeen sets it to 1.
	Beta float64

	network *Network
	noise   potential.Potential
	program *graph.Program
	guess   blas32.General
}

var _ potential.Potential = (*Seen)(nil)

// NewSeen returns the potential for the pictures x, (n, Pixels), of which the pixels of
// mask are seen.
func NewSeen(network *Network, w layers.Potential, noise potential.Potential, x blas32.General, mask []bool) (*Seen, error) {
	c, ok := w.(*layers.Conjugate)
	switch {
	case !ok:
		return nil, errors.New("autoencoder: pictures are completed through ∇w* as a network; the potential must be a conjugate network, such as the one of quadratics")
	case w.Dim() != network.Latents || x.Cols != network.Pixels() || len(mask) != x.Cols || x.Rows < 1:
		return nil, fmt.Errorf("autoencoder: pictures of shape (%d, %d) with a mask of %d pixels, a potential on ℝ^%d and %d latents of %d pixels; they must agree",
			x.Rows, x.Cols, len(mask), w.Dim(), network.Latents, network.Pixels())
	}
	s := graph.NewScope(network.params.Dtype())
	y := s.Input("y", x.Rows, network.Latents)
	logits := network.Decode(s, c.Conjugate().Gradient(s, y))
	loss := s.SumCols(s.Mul(network.pixelLoss(s, s.Input("x", x.Rows, x.Cols), logits), s.Input("mask", 1, x.Cols)))
	out := map[string]*gorgonia.Node{"loss": loss, "gradient": s.Grad(s.Sum(loss), y)[0]}
	program, err := s.Compile(out)
	if err != nil {
		return nil, fmt.Errorf("autoencoder: %w", err)
	}
	seen := batch.New(1, x.Cols)
	for k, m := range mask {
		if m {
			seen.Data[k] = 1
		}
	}
	network.interleave(program.In("x").General(), x, false)
	network.interleave(program.In("mask").General(), seen, false)
	return &Seen{Beta: 1, network: network, noise: noise, program: program, guess: batch.New(x.Rows, network.Latents)}, nil
}

// Dim is the number of latents.
func (p *Seen) Dim() int { return p.network.Latents }

// Losses writes L(y_i) into losses.
func (p *Seen) Losses(y blas32.General, losses []float32) error {
	if err := p.check(y); err != nil {
		return err
	}
	batch.Copy(p.program.In("y").General(), y)
	if err := p.program.Run(); err != nil {
		return err
	}
	copy(losses, p.program.Out("loss").F32)
	return nil
}

func (p *Seen) check(y blas32.General) error {
	if y.Rows != p.guess.Rows || y.Cols != p.guess.Cols {
		return fmt.Errorf("autoencoder: noise of shape (%d, %d) for %d pictures in %d latents", y.Rows, y.Cols, p.guess.Rows, p.guess.Cols)
	}
	return nil
}

// Eval writes U(y_i) and ∇U(y_i); see potential.Potential. y has as many rows as there are
// pictures.
func (p *Seen) Eval(y blas32.General, value []float32, grad blas32.General) error {
	if err := p.check(y); err != nil {
		return err
	}
	slope := batch.New(y.Rows, y.Cols)
	if err := potential.EvalFrom(p.noise, y, p.guess, value, slope); err != nil {
		return err
	}
	batch.Copy(p.guess, slope)
	batch.Copy(p.program.In("y").General(), y)
	if err := p.program.Run(); err != nil {
		return err
	}
	if value != nil {
		for i, v := range p.program.Out("loss").F32 {
			value[i] += float32(p.Beta) * v
		}
	}
	if grad.Data != nil {
		batch.Copy(grad, slope)
		for i := range y.Rows {
			batch.AddScaled(batch.Row(grad, i), p.Beta, batch.Row(p.program.Out("gradient").General(), i))
		}
	}
	return nil
}
