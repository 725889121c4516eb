// Package exptest holds what the tests of several packages of experiments share.
package exptest

import (
	"math"

	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

func BatchOf(cols int, values ...float32) blas32.General {
	return blas32.General{Rows: len(values) / cols, Cols: cols, Stride: cols, Data: values}
}

// Normal draws n rows of N(mean·1, sd²·I) in a matrix whose stride is larger than d.
func Normal(n, d int, mean, sd float64, seed uint64) blas32.General {
	rng := random.Seeded(seed, 0)
	x := blas32.General{Rows: n, Cols: d, Stride: d + 3, Data: make([]float32, n*(d+3))}
	for i := range x.Data {
		x.Data[i] = float32(math.NaN())
	}
	for i := range n {
		for j := range d {
			x.Data[i*x.Stride+j] = float32(mean + sd*rng.NormFloat64())
		}
	}
	return x
}
