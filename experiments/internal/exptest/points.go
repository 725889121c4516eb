// Package exptest holds what the tests of several packages of experiments share.
package exptest

import (
	"math"
	"os"
	"testing"

	"cmf/solvers/batch"
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

// Circles are n points around two circles, of radius 1 and 2.
func Circles(n int, seed uint64) blas32.General {
	x := Normal(n, 2, 0, .07, seed)
	rng := random.Seeded(seed, 9)
	for i := range n {
		s, c := math.Sincos(2 * math.Pi * rng.Float64())
		radius := float32(1 + i%2)
		batch.Row(x, i)[0] += radius * float32(c)
		batch.Row(x, i)[1] += radius * float32(s)
	}
	return x
}

// Gallery is the folder CMF_TEST_FIGURES, for looking at what tests draw, or a temporary
// folder.
func Gallery(t *testing.T) string {
	if dir := os.Getenv("CMF_TEST_FIGURES"); dir != "" {
		return dir
	}
	return t.TempDir()
}
