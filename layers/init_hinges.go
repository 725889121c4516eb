package layers

import (
	"math"

	"cmf/layers/internal/hinges"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// placeHinges fills the hidden layers: every pre-activation spreads over the
// data by Spread and vanishes at a data point, both pieces of a unit at the same.
func (o Start) placeHinges(m *ICNN, data blas32.General, rng *random.Stream) {
	var z blas32.General
	far := hinges.FarRows(data)
	for l, layer := range m.Layers {
		as := o.placeSkips(layer, l, layer.viewOf(data), rng)
		if l > 0 {
			for p, piece := range layer {
				o.placeWeights(piece, z, as[p], m.placement(l, p), rng)
			}
		}
		placeBiases(layer, as, far, rng)
		z = m.activations(as)
		for _, piece := range layer {
			for _, w := range piece.Ranks {
				w.Fill(func(int) float64 { return .01 * rng.NormFloat64() / math.Sqrt(float64(w.Rows)) })
			}
		}
	}
}

// placeSkips fills the skips of layer l, which see the view of the data, and returns
// the pre-activations of its pieces over the data, without biases.
//
// Of two random directions, each of deviation Spread, one is the difference of
// two pieces, and the other their mean but for the factor √¾: pieces of
// uncorrelated directions then spread by Spread too.
func (o Start) placeSkips(layer Layer, l int, view blas32.General, rng *random.Stream) (as []blas32.General) {
	var skips []blas32.General
	for _, piece := range layer {
		skip := paramMatrix(piece.Skip)
		if piece.over != nil {
			hinges.Patches(skip, piece.over.skip, view, rng)
		} else {
			o.Directions(skip, l, rng)
		}
		a := piece.skippedOf(view, piece.Skip)
		batch.ScaleColumns(skip, o.normalise(a, skip.Cols, o.MinDeviation))
		skips, as = append(skips, skip), append(as, a)
	}
	if len(layer) > 1 {
		for _, pair := range [][]blas32.General{skips, as} {
			for i, difference := range pair[0].Data {
				mean := float32(math.Sqrt(.75)) * pair[1].Data[i]
				pair[0].Data[i], pair[1].Data[i] = mean+difference/2, mean-difference/2
			}
		}
	}
	return as
}

// placement is how the weights of a piece from the layer below are drawn.
type placement struct {
	draw  func(rng *random.Stream) float32 // a weight ≥ 0, but for a factor
	share float32                          // what the layer below contributes, beside 1 of the input
	norm  float32                          // by which both are divided

	// slow makes the learning rate of the weights proportional to their size at share 1.
	slow bool
}

// placement is that of piece p of a unit of layer l.
//
// The logarithm of a weight of a Maximum is normal (Hoedt, Klambauer, "Principled
// weight initialisation for input-convex neural networks", NeurIPS 2023). Were both
// pieces to take as much from the layer below, its mean would cancel in their
// difference, and all layers would begin with hinges as straight as those of the
// first; with less in one of them hinges begin as level sets of convex functions.
//
// Filters on the layer below start even and tiny, so that a convolutional network
// begins as its skips (Fang, Buchanan, Sulam, "What's in a prior? Learned proximal
// networks for inverse problems", ICLR 2024). So many values come from a picture, and
// together, that at the rate of other weights one step would undo the start; this
// holds for a dense layer above it too.
func (m *ICNN) placement(l, p int) placement {
	normal := func(deviation float64) func(rng *random.Stream) float32 {
		return func(rng *random.Stream) float32 { return float32(math.Exp(deviation * rng.NormFloat64())) }
	}
	slow := len(m.Convolutions) > 0
	switch {
	case m.Layers[l][p].over != nil:
		return placement{normal(.1), .01, 1, slow}
	case m.Unit == Maximum:
		return placement{normal(1), []float32{1, .3}[p], math.Sqrt2, slow}
	default:
		return placement{func(rng *random.Stream) float32 { return rng.Float32() * rng.Float32() }, 1, math.Sqrt2, slow}
	}
}

// placeWeights fills the weights from the layer below, whose values over the data
// are z, and adds what that layer contributes to the pre-activations a.
func (o Start) placeWeights(p Piece, z, a blas32.General, how placement, rng *random.Stream) {
	w := paramMatrix(p.Weigh)
	for i := range w.Data {
		w.Data[i] = how.draw(rng)
	}
	below := p.weighedOf(z)
	batch.ScaleColumns(w, o.normalise(below, w.Cols, 1e-6))
	if how.slow {
		p.Weigh.Rate = batch.RootMeanSquare(w.Data)
	}
	if how.share != 1 {
		for _, m := range []blas32.General{below, w} {
			for i := range m.Data {
				m.Data[i] *= how.share
			}
		}
	}
	for i, v := range below.Data {
		a.Data[i] = (a.Data[i] + v) / how.norm
	}
	for _, m := range []blas32.General{paramMatrix(p.Skip), w} {
		for i := range m.Data {
			m.Data[i] /= how.norm
		}
	}
}

// placeBiases makes all pieces of a unit vanish at one data point, and adds the biases to the
// pre-activations. Far rows are the points of every third unit: as rare as they are, they
// would get no hinges, and the mass of a small mode would be smeared over its surroundings.
func placeBiases(layer Layer, as []blas32.General, far []int, rng *random.Stream) {
	h := layer.width()
	for k := range h {
		row := rng.IntN(as[0].Rows)
		if len(far) > 0 && k%3 == 0 {
			row = far[rng.IntN(len(far))]
		}
		at := row*h + k
		for p, piece := range layer {
			piece.Bias.Float32s()[k] = -as[p].Data[at]
		}
	}
	for p, piece := range layer {
		for i := range as[p].Data {
			as[p].Data[i] += piece.Bias.Float32s()[i%h]
		}
	}
}

// activations are z of the pre-activations of the pieces of a layer, which they
// overwrite.
func (m *ICNN) activations(as []blas32.General) blas32.General {
	z := as[0]
	for i, v := range z.Data {
		u := float64(v)
		if len(as) > 1 {
			u = (u - float64(as[1].Data[i])) / m.tau()
		}
		soft := math.Max(u, 0) + math.Log1p(math.Exp(-math.Abs(u)))
		if len(as) > 1 {
			soft = float64(as[1].Data[i]) + m.tau()*soft
		}
		z.Data[i] = float32(soft)
	}
	return z
}

// normalise scales the columns of a to standard deviation Spread. Every
// kinds-th column belongs to the same filter; these columns share one factor,
// from the root mean square of their deviations or, if that is smaller, from
// least. It returns the factors of the first kinds columns.
func (o Start) normalise(a blas32.General, kinds int, least float64) []float32 {
	variance := make([]float64, kinds)
	n := float64(a.Rows)
	for k := range a.Cols {
		var s, ss float64
		for i := range a.Rows {
			v := float64(a.Data[i*a.Stride+k])
			s += v
			ss += v * v
		}
		variance[k%kinds] += math.Max(ss/n-s*s/n/n, 0) / float64(a.Cols/kinds)
	}
	factors := make([]float32, a.Cols)
	for k := range factors {
		factors[k] = float32(o.Spread / math.Max(math.Sqrt(variance[k%kinds]), least))
	}
	batch.ScaleColumns(a, factors)
	return factors[:kinds]
}
