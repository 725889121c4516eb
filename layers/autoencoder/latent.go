package autoencoder

import (
	"fmt"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Latent are units of pictures: points z of the latent space stand for pictures
// σ(d(z)). They satisfy units.Units. Densities exist in the latent space only.
type Latent struct {
	network  *Network
	programs map[programKey]*graph.Program
}

type programKey struct {
	decodes bool
	rows    int
}

// NewLatent returns the units of a trained network.
func NewLatent(n *Network) *Latent {
	return &Latent{network: n, programs: map[programKey]*graph.Program{}}
}

// Network is the autoencoder.
func (u *Latent) Network() *Network { return u.network }

// Dim is the number of values in a picture.
func (u *Latent) Dim(int) int { return u.network.Pixels() }

// Check says what is wrong with the units for points of d coordinates.
func (u *Latent) Check(d int) error {
	if d != u.network.Latents {
		return fmt.Errorf("units of %d latents for points of %d coordinates", u.network.Latents, d)
	}
	return nil
}

// Data decodes points, (n, Latents), to pictures, (n, Pixels), with values in (0, 1).
func (u *Latent) Data(z blas32.General, _ *random.Stream) (blas32.General, error) {
	return u.run(z, u.network.Latents, u.network.Pixels(), true)
}

// Learning encodes pictures.
func (u *Latent) Learning(x blas32.General) (blas32.General, error) {
	return u.run(x, u.network.Pixels(), u.network.Latents, false)
}

// LogVolume is 0: pictures have no density, because the latent space has fewer
// dimensions. Densities stay those of latents.
func (u *Latent) LogVolume(z, _ blas32.General) ([]float64, error) {
	return make([]float64, z.Rows), nil
}

// chunk is the number of rows that a program evaluates; smaller batches have a
// program of their own size.
const chunk = 256

func (u *Latent) run(in blas32.General, from, to int, decodes bool) (blas32.General, error) {
	if in.Cols != from {
		return blas32.General{}, fmt.Errorf("autoencoder: rows of %d numbers; they must have %d", in.Cols, from)
	}
	out := batch.New(in.Rows, to)
	for lo := 0; lo < in.Rows; lo += chunk {
		hi := min(lo+chunk, in.Rows)
		p, err := u.program(programKey{decodes, hi - lo})
		if err != nil {
			return out, err
		}
		from, to := batch.Rows(in, lo, hi), batch.Rows(out, lo, hi)
		if decodes {
			batch.Copy(p.In("in").General(), from)
		} else {
			u.network.interleave(p.In("in").General(), from, false)
		}
		if err := p.Run(); err != nil {
			return out, err
		}
		if decodes {
			u.network.interleave(to, p.Out("out").General(), true)
		} else {
			batch.Copy(to, p.Out("out").General())
		}
	}
	return out, nil
}

func (u *Latent) program(k programKey) (*graph.Program, error) {
	if p, ok := u.programs[k]; ok {
		return p, nil
	}
	n, s := u.network, graph.NewScope(tensor.Float32)
	var out *gorgonia.Node
	if k.decodes {
		out = s.Sigmoid(n.Decode(s, s.Input("in", k.rows, n.Latents)))
	} else {
		out = n.Encode(s, s.Input("in", k.rows, n.Pixels()))
	}
	p, err := s.Compile(map[string]*gorgonia.Node{"out": out})
	if err != nil {
		return nil, fmt.Errorf("autoencoder: %w", err)
	}
	u.programs[k] = p
	return p, nil
}
