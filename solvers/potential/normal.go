package potential

import (
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Normal is the potential ½|x|² of N(0, I) on ℝᵈ.
type Normal struct{ D int }

var _ Curved = Normal{}

// Dim is d.
func (p Normal) Dim() int { return p.D }

// Eval writes ½|x_i|² and x_i.
func (p Normal) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		if value != nil {
			var s float64
			for _, v := range batch.Row(x, i) {
				s += float64(v) * float64(v)
			}
			value[i] = float32(s / 2)
		}
		if grad.Data != nil {
			copy(batch.Row(grad, i), batch.Row(x, i))
		}
	}
	return nil
}

// HessVec writes v: the Hessian is the identity.
func (p Normal) HessVec(_, v, hv blas32.General) error {
	batch.Copy(hv, v)
	return nil
}
