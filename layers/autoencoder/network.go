package autoencoder

import (
	"fmt"
	"math"

	"cmf/graph"
	"cmf/graph/op"
	"cmf/solvers/random"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Network is the autoencoder
//
//	z = (e(x) − m)⊙s,  x̂ = σ(d(z))
//
// with convolutions and a dense layer in e and in d, x·σ(x) after all but the last
// layer of each (S. Elfwing, E. Uchibe, K. Doya, 2018). m and s give latents mean
// 0 and deviation 1, over each batch while training and over all training pictures
// afterwards.
type Network struct {
	Architecture

	encoder, decoder []layer
	mean, scale      *graph.Param // m and s, (1, Latents), frozen
	params           *graph.Params
}

// layer is an affine map with weights (in, out), or a convolution or its adjoint
// with filters (taps, filters), and a bias of each response.
type layer struct {
	weight, bias *graph.Param
	window       op.Window
	kind         kind
}

type kind int

const (
	dense kind = iota
	convolution
	transposed
)

// New returns an autoencoder with random weights (K. He et al., 2015).
func New(a Architecture, rng *random.Stream) (*Network, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	ps, err := graph.NewParams(tensor.Float32)
	if err != nil {
		return nil, err
	}
	n := &Network{Architecture: a, params: ps}
	windows := a.windows()
	inner := a.Pixels()
	for l, w := range windows {
		down, across := w.Positions()
		inner = down * across * a.Filters[l]
		n.encoder = append(n.encoder, n.layer(fmt.Sprintf("encoder%d", l), convolution, w, w.Taps(), a.Filters[l], inner, w.Taps(), rng))
	}
	n.encoder = append(n.encoder,
		n.layer("encoder.hidden", dense, op.Window{}, inner, a.Hidden, a.Hidden, inner, rng),
		n.layer("encoder.latents", dense, op.Window{}, a.Hidden, a.Latents, a.Latents, a.Hidden, rng))
	n.decoder = append(n.decoder,
		n.layer("decoder.latents", dense, op.Window{}, a.Latents, a.Hidden, a.Hidden, a.Latents, rng),
		n.layer("decoder.hidden", dense, op.Window{}, a.Hidden, inner, inner, a.Hidden, rng))
	for l := len(windows) - 1; l >= 0; l-- {
		w := windows[l]
		reach := a.Filters[l] * w.Size * w.Size / (w.Stride * w.Stride) // responses that reach a pixel
		n.decoder = append(n.decoder, n.layer(fmt.Sprintf("decoder%d", l), transposed, w, w.Taps(), a.Filters[l], w.Inputs(), reach, rng))
	}
	n.mean, n.scale = ps.New("latents.mean", 1, a.Latents), ps.New("latents.scale", 1, a.Latents)
	n.mean.Frozen, n.scale.Frozen = true, true
	n.scale.Fill(func(int) float64 { return 1 })
	return n, nil
}

// layer makes a layer of random weights for inputs of mean square 1, of which fan
// enter each response.
func (n *Network) layer(name string, k kind, w op.Window, rows, cols, responses, fan int, rng *random.Stream) layer {
	l := layer{weight: n.params.New(name+".weight", rows, cols), bias: n.params.New(name+".bias", 1, responses), window: w, kind: k}
	sd := math.Sqrt(2 / float64(fan))
	l.weight.Fill(func(int) float64 { return sd * rng.NormFloat64() })
	return l
}

// Params are the weights.
func (n *Network) Params() *graph.Params { return n.params }

func (l layer) declare(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	w := s.Param(l.weight)
	switch l.kind {
	case convolution:
		x = s.Convolve(l.window, x, w)
	case transposed:
		x = s.ConvolveTransposed(l.window, x, w)
	default:
		x = s.MatMul(x, false, w, false)
	}
	return s.Add(x, s.Param(l.bias))
}

// through declares layers one after the other.
func through(s *graph.Scope, layers []layer, x *gorgonia.Node) *gorgonia.Node {
	for k, l := range layers {
		x = l.declare(s, x)
		if k < len(layers)-1 {
			x = s.Mul(x, s.Sigmoid(x))
		}
	}
	return x
}

// Encode declares the latents of the pictures x, (n, Pixels), as (n, Latents).
func (n *Network) Encode(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.Mul(s.Sub(through(s, n.encoder, x), s.Param(n.mean)), s.Param(n.scale))
}

// encodeBatch declares latents that have mean 0 and deviation 1 in the batch.
func (n *Network) encodeBatch(s *graph.Scope, x *gorgonia.Node, rows int) *gorgonia.Node {
	e := through(s, n.encoder, x)
	e = s.Sub(e, s.Scale(1/float64(rows), s.SumRows(e)))
	variance := s.Scale(1/float64(rows), s.SumRows(s.Square(e)))
	return s.Mul(e, s.Reciprocal(s.Sqrt(s.Affine(1, variance, leastVariance))))
}

// leastVariance keeps a latent that is constant from a division by 0.
const leastVariance = 1e-5

// Decode declares the logits of the pictures with latents z.
func (n *Network) Decode(s *graph.Scope, z *gorgonia.Node) *gorgonia.Node {
	return through(s, n.decoder, z)
}

// Mismatch declares the loss of each row, (n, 1): the pictures x against logits.
func (n *Network) Mismatch(s *graph.Scope, x, logits *gorgonia.Node) *gorgonia.Node {
	if n.Loss == Gaussian {
		const sd = .1
		return s.Scale(1/(2*sd*sd), s.SumCols(s.Square(s.Sub(x, s.Sigmoid(logits)))))
	}
	return s.SumCols(s.Sub(s.Softplus(logits), s.Mul(x, logits)))
}
