//go:build !race

// This test has its own file because the race detector allocates.

package losses

import (
	"testing"

	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/conjugate"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// same is a source that returns the same rows every time.
type same blas32.General

func (s same) Next(dst blas32.General) error {
	copy(dst.Data, s.Data)
	return nil
}

func TestStepAllocatesNothing(t *testing.T) {
	const n, d = 32, 3
	for _, c := range []struct {
		unit   layers.Unit
		method conjugate.Method
	}{{layers.Softplus, conjugate.ByBarzilaiBorwein}, {layers.Softplus, conjugate.ByLBFGS}, {layers.Maximum, conjugate.ByBarzilaiBorwein}} {
		w := networkOf(t, c.unit, d, false)
		objective, err := NewObjective(w, sum(t, "dual"), n)
		if err != nil {
			t.Fatal(err)
		}
		evaluator, err := layers.NewEvaluator(w)
		if err != nil {
			t.Fatal(err)
		}
		solver, err := conjugate.New(c.method, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		rng := random.New(1, "step", 0)
		x := blas32.General{Rows: n, Cols: d, Stride: d, Data: make([]float32, n*d)}
		rng.Normals(x.Data)
		state, err := solvers.NewCMFGenState(x, x, n, rng)
		if err != nil {
			t.Fatal(err)
		}
		algorithm := solvers.CMFGen{
			Potential: evaluator, Objective: objective, Data: same(x),
			Sampler: sampling.Langevin{Adjusted: true}, Conjugate: solver, State: state,
		}
		step := func() {
			if _, err := algorithm.Step(); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 { // rows that converge leave batches of all sizes
			step()
		}
		if n := testing.AllocsPerRun(20, step); n != 0 {
			t.Errorf("%s by %s: %g allocations a step", c.unit, c.method, n)
		}
	}
}
