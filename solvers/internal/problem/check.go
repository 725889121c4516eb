// Package problem holds what the tests of several solvers share: potentials and energies
// with known answers, random ones, and comparisons.
package problem

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// CloseTo fails the test if got differs from want by more than tolerance.
func CloseTo(t testing.TB, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.7f, want %.7f", what, got, want)
	}
}

// NormalBatch is an (n, d) batch of N(0, I); a purpose always gives the same batch.
func NormalBatch(n, d int, purpose string) blas32.General {
	b := batch.New(n, d)
	random.New(9, purpose, uint64(n)).Normals(b.Data)
	return b
}

// Widened is v in float64.
func Widened(v []float32) []float64 {
	out := make([]float64, len(v))
	batch.Widen(out, v)
	return out
}
