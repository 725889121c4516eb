// Package hinges finds where the hinges of a network are placed: directions, and rows of the
// data that need hinges of their own.
package hinges

import (
	"math"

	"cmf/graph/op"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/order"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// FarRows are the rows of data beyond five interquartile ranges from the quartiles of a
// coordinate, if they are few: a small mode far away, or a tail. It looks for them in few
// dimensions only, where data may have separate parts.
func FarRows(data blas32.General) (far []int) {
	const reach, most, dims = 5, .25, 20
	n := data.Rows
	if data.Cols > dims || n < 8 {
		return nil
	}
	is := make([]bool, n)
	for j := range data.Cols {
		sorted := batch.Column(data, j)
		low, high := float64(order.Select(sorted, n/4)), float64(order.Select(sorted, n-1-n/4))
		margin := reach * (high - low)
		for i := range n {
			v := float64(batch.Row(data, i)[j])
			is[i] = is[i] || margin > 0 && (v < low-margin || v > high+margin)
		}
	}
	for i, yes := range is {
		if yes {
			far = append(far, i)
		}
	}
	if float64(len(far)) > most*float64(n) {
		return nil
	}
	return far
}

// White draws Σ^{-1/2}ξ, ξ ~ N(0, I), scaled to length 1, into the columns of b, (d, h), for
// the covariance Σ of the law.
func White(law *exact.Gaussian) func(b blas32.General, layer int, rng *random.Stream) {
	return func(b blas32.General, _ int, rng *random.Stream) { white(law, b, rng) }
}

func white(law *exact.Gaussian, b blas32.General, rng *random.Stream) {
	root := law.Power(-.5)
	d, h := b.Rows, b.Cols
	xi := batch.New(d, h)
	rng.Normals(xi.Data)
	r := batch.New(d, d)
	for i := range d {
		for j := range d {
			r.Data[i*d+j] = float32(root.At(i, j))
		}
	}
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, r, xi, 0, b)
	for k := range h {
		var s float64
		for i := range d {
			s += float64(b.Data[i*b.Stride+k]) * float64(b.Data[i*b.Stride+k])
		}
		for i := range d {
			b.Data[i*b.Stride+k] /= float32(math.Sqrt(s))
		}
	}
}

// Patches fills each filter of κ with the difference of two points of the view
// within one square, scaled to length 1. It takes the longest of a few differences,
// because most squares of a picture may show only the background.
func Patches(kappa blas32.General, w op.Window, data blas32.General, rng *random.Stream) {
	const tries = 8
	down, across := w.Positions()
	best, next := make([]float32, kappa.Rows), make([]float32, kappa.Rows)
	for f := range kappa.Cols {
		var longest float64
		rng.Normals(best)
		for range tries {
			x, y := data.Data[rng.IntN(data.Rows)*data.Stride:], data.Data[rng.IntN(data.Rows)*data.Stride:]
			p, q := rng.IntN(down), rng.IntN(across)
			var squares float64
			for tap := range next {
				next[tap] = 0
				if k, ok := w.Input(tap, p, q); ok {
					next[tap] = x[k] - y[k]
				}
				squares += float64(next[tap]) * float64(next[tap])
			}
			if squares > longest {
				longest = squares
				best, next = next, best
			}
		}
		var squares float64
		for _, v := range best {
			squares += float64(v) * float64(v)
		}
		for tap, v := range best {
			kappa.Data[tap*kappa.Stride+f] = v / float32(math.Sqrt(squares))
		}
	}
}
