package sampling_test

import (
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// scalarEnergies is ½‖y‖² on ℝᵈ.
type scalarEnergies struct{ d int }

func (w scalarEnergies) Dim() int { return w.d }

func (w scalarEnergies) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		copy(batch.Row(grad, i), batch.Row(x, i))
		value[i] = float32(batch.SumSquares(batch.Row(x, i)) / 2)
	}
	return nil
}

func meanAndCovariance(c *sampling.Chains) ([]float64, *mat.SymDense) {
	n, d := c.Y.Rows, c.Y.Cols
	mean, cov := make([]float64, d), mat.NewSymDense(d, nil)
	for i := range n {
		for j, y := range batch.Row(c.Y, i) {
			mean[j] += float64(y) / float64(n)
		}
	}
	centred := mat.NewVecDense(d, nil)
	for i := range n {
		for j, y := range batch.Row(c.Y, i) {
			centred.SetVec(j, float64(y)-mean[j])
		}
		cov.SymRankOne(cov, 1/float64(n-1), centred)
	}
	return mean, cov
}

func sameChains(tb testing.TB, name string, got, want *sampling.Chains) {
	tb.Helper()
	for k, y := range want.Y.Data {
		if got.Y.Data[k] != y || got.Grad.Data[k] != want.Grad.Data[k] {
			tb.Fatalf("%s: number %d is %v with gradient %v, want %v with %v", name, k, got.Y.Data[k], got.Grad.Data[k], y, want.Grad.Data[k])
		}
	}
	if got.Step != want.Step || got.Adaptations != want.Adaptations || got.Curvature != want.Curvature {
		tb.Fatalf("%s: the step is %v, want %v", name, got.Step, want.Step)
	}
}
