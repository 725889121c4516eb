package density

import (
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// raised is ½|x|² + 2²⁰ on the plane, in float32.
type raised struct{}

func (raised) Dim() int { return 2 }

func (raised) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		p := batch.Row(x, i)
		if value != nil {
			value[i] = 1<<20 + (p[0]*p[0]+p[1]*p[1])/2
		}
		if grad.Data != nil {
			copy(batch.Row(grad, i), p)
		}
	}
	return nil
}

// Where weights do not vary, the error of log Z is that of rounding values of this size.
func TestAnnealingCountsRounding(t *testing.T) {
	info, err := Annealing{Particles: 64}.LogZ(t.Context(), raised{}, exact.StandardGaussian(2), random.New(1, "annealing", 0))
	if err != nil {
		t.Fatal(err)
	}
	if want := 1. / 16; !(info.Error >= want && info.Error < 3*want) {
		t.Errorf("log Z = %g ± %g; values near 2²⁰ have an error of 2⁻²⁴·2²⁰", info.LogZ, info.Error)
	}
}
