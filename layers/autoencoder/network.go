package autoencoder

import (
	"fmt"
	"math"

	"cmf/graph"
	"cmf/graph/op"
	"cmf/solvers"
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
	name         string
	kind         kind
	window       op.Window
	rows, cols   int // of the weights
	responses    int
	fan          int // how many inputs enter each response
	decodes      bool
	normalised   bool // its responses are the latents before their mean is taken away
	weight, bias *graph.Param
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
	for _, l := range a.layers() {
		l.weight, l.bias = ps.New(l.name+".weight", l.rows, l.cols), ps.New(l.name+".bias", 1, l.responses)
		l.bias.Frozen = l.normalised // m takes it away
		sd := math.Sqrt(2 / float64(l.fan))
		l.weight.Fill(func(int) float64 { return sd * rng.NormFloat64() })
		if l.decodes {
			n.decoder = append(n.decoder, l)
		} else {
			n.encoder = append(n.encoder, l)
		}
	}
	n.mean, n.scale = ps.New("latents.mean", 1, a.Latents), ps.New("latents.scale", 1, a.Latents)
	n.mean.Frozen, n.scale.Frozen = true, true
	n.scale.Fill(func(int) float64 { return 1 })
	return n, nil
}

// layers lists the layers of encoder and decoder, without weights.
func (a Architecture) layers() (all []layer) {
	windows, inner := a.windows(), a.Pixels()
	for l, w := range windows {
		down, across := w.Positions()
		inner = down * across * a.Filters[l]
		all = append(all, layer{name: fmt.Sprintf("encoder%d", l), kind: convolution, window: w, rows: w.Taps(), cols: a.Filters[l], responses: inner, fan: w.Taps()})
	}
	affine := func(name string, from, to int, decodes bool) {
		all = append(all, layer{name: name, rows: from, cols: to, responses: to, fan: from, decodes: decodes})
	}
	affine("encoder.hidden", inner, a.Hidden, false)
	affine("encoder.latents", a.Hidden, a.Latents, false)
	all[len(all)-1].normalised = true
	affine("decoder.latents", a.Latents, a.Hidden, true)
	affine("decoder.hidden", a.Hidden, inner, true)
	for l := len(windows) - 1; l >= 0; l-- {
		w := windows[l]
		reach := a.Filters[l] * w.Size * w.Size / (w.Stride * w.Stride) // responses that reach a pixel
		all = append(all, layer{name: fmt.Sprintf("decoder%d", l), kind: transposed, window: w, rows: w.Taps(), cols: a.Filters[l], responses: w.Inputs(), fan: reach, decodes: true})
	}
	return all
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

// encodeBatch declares latents that have mean 0 and deviation 1 in the batch of all ranks, each
// of which has as many rows.
func (n *Network) encodeBatch(s *graph.Scope, x *gorgonia.Node, rows int, all *solvers.Ranks) *gorgonia.Node {
	mean := func(e *gorgonia.Node) *gorgonia.Node {
		sum := s.SumRows(e)
		if all.Size() > 1 {
			sum = s.SumOver(all.World, sum)
		}
		return s.Scale(1/float64(rows*all.Size()), sum)
	}
	e := through(s, n.encoder, x)
	e = s.Sub(e, mean(e))
	return s.Mul(e, s.Reciprocal(s.Sqrt(s.Affine(1, mean(s.Square(e)), leastVariance))))
}

// leastVariance keeps a latent that is constant from a division by 0.
const leastVariance = 1e-5

// Decode declares the logits of the pictures with latents z.
func (n *Network) Decode(s *graph.Scope, z *gorgonia.Node) *gorgonia.Node {
	return through(s, n.decoder, z)
}

// Mismatch declares the loss of each row, (n, 1): the pictures x against logits.
func (n *Network) Mismatch(s *graph.Scope, x, logits *gorgonia.Node) *gorgonia.Node {
	return s.SumCols(n.pixelLoss(s, x, logits))
}

// pixelLoss declares the loss of each pixel, (n, Pixels).
func (n *Network) pixelLoss(s *graph.Scope, x, logits *gorgonia.Node) *gorgonia.Node {
	if n.Loss == Gaussian {
		const sd = .1
		return s.Scale(1/(2*sd*sd), s.Square(s.Sub(x, s.Sigmoid(logits))))
	}
	return s.Sub(s.Softplus(logits), s.Mul(x, logits))
}
