package conjugate

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// cosh is w(x) = Σ cosh x_j, whose conjugate has the gradient asinh y_j.
type cosh struct {
	d        int
	explicit bool
	calls    int // of EvalConjugate
}

func (c *cosh) Dim() int { return c.d }

func (c *cosh) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			if value != nil {
				value[i] += float32(math.Cosh(float64(v)))
			}
			if grad.Data != nil {
				batch.Row(grad, i)[j] = float32(math.Sinh(float64(v)))
			}
		}
	}
	return nil
}

func (c *cosh) HessVec(x, v, hv blas32.General) error {
	for i := range x.Rows {
		for j, u := range batch.Row(v, i) {
			batch.Row(hv, i)[j] = u * float32(math.Cosh(float64(batch.Row(x, i)[j])))
		}
	}
	return nil
}

func (c *cosh) Explicit() bool { return c.explicit }

func (c *cosh) EvalConjugate(y blas32.General, _ []float32, x blas32.General) error {
	c.calls++
	for i := range y.Rows {
		for j, v := range batch.Row(y, i) {
			batch.Row(x, i)[j] = float32(math.Asinh(float64(v)))
		}
	}
	return nil
}

// A potential with a conjugate at hand is not solved for, whatever the method and
// wherever the rows begin; a row that is not finite is told.
func TestExplicitConjugates(t *testing.T) {
	for _, method := range Method("").Known() {
		for _, explicit := range []bool{true, false} {
			w := &cosh{d: 3, explicit: explicit}
			solver, err := New(Method(method), 1e-4, 0)
			if err != nil {
				t.Fatal(err)
			}
			y, x := batch.New(5, 3), batch.New(5, 3)
			for i := range y.Data {
				y.Data[i] = float32(i) / 4
			}
			if explicit {
				y.Data[14], x.Data[0] = float32(math.NaN()), float32(math.Inf(1))
			}
			info, err := solver.Solve(t.Context(), w, y, x, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range x.Data[:12] {
				if want := math.Asinh(float64(y.Data[i])); !(math.Abs(float64(v)-want) < 1e-3) {
					t.Errorf("%s, explicit %t: entry %d is %g, want %g", method, explicit, i, v, want)
				}
			}
			calls := 0
			if explicit {
				calls = 1
				if info.Status[4] != potential.NotFinite || info.Status[0] != potential.Converged || info.MeanIterations() != 0 {
					t.Errorf("%s: status %v, %g iterations", method, info.Status, info.MeanIterations())
				}
			}
			if w.calls != calls {
				t.Errorf("%s, explicit %t: %d evaluations of the conjugate", method, explicit, w.calls)
			}
		}
	}
}
