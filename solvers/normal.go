package solvers

import "gonum.org/v1/gonum/blas/blas32"

// StandardNormal is the potential ½|x|² of N(0, I) on ℝᵈ.
type StandardNormal struct{ D int }

var _ Curved = StandardNormal{}

// Dim is d.
func (p StandardNormal) Dim() int { return p.D }

// Eval writes ½|x_i|² and x_i.
func (p StandardNormal) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		if value != nil {
			var s float64
			for _, v := range row(x, i) {
				s += float64(v) * float64(v)
			}
			value[i] = float32(s / 2)
		}
		if grad.Data != nil {
			copy(row(grad, i), row(x, i))
		}
	}
	return nil
}

// HessVec writes v.
func (p StandardNormal) HessVec(_, v, hv blas32.General) error {
	copyInto(hv, v)
	return nil
}
