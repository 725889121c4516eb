package solvers

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Against Hessians in float64 of a potential whose Hessian varies.
func TestLogDetOfHinges(t *testing.T) {
	for _, d := range []int{1, 2, 3, 17, 130} {
		rng := rand.New(rand.NewPCG(5, uint64(d)))
		w := newHinges(d, 3*d, 30, 2, rng)
		x := normalRows(7, d, 2, rng)
		got, failed, err := LogDetHessian(w, x)
		if err != nil || failed > 0 {
			t.Fatalf("d = %d: %d rows failed, error %v", d, failed, err)
		}
		for i, v := range got {
			want, _ := mat.LogDet(w.hessian(widened(row(x, i))))
			closeTo(t, fmt.Sprintf("log det in row %d at d = %d", i, d), v, want, 1e-6*float64(d))
		}
	}
}

// The log det of a quadratic is the sum over its spectrum, whatever the point.
func TestLogDetInHighDimension(t *testing.T) {
	const d = 500
	w := randomGaussian(t, d, 3)
	x := normalBatch(2, d, "points")
	got, failed, err := LogDetHessian(w, x)
	if err != nil || failed > 0 {
		t.Fatalf("%d rows failed, error %v", failed, err)
	}
	want, _ := mat.LogDet(w.h)
	for i, v := range got {
		closeTo(t, fmt.Sprintf("log det in row %d", i), v, want, 1e-4)
	}
}

// doubleWell is w(x) = Σ_j x_j⁴/4 − x_j²/2, not convex where some |x_j| < 1/√3.
type doubleWell struct{ d int }

func (w doubleWell) Dim() int { return w.d }

func (w doubleWell) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		var sum float64
		for j, v := range row(x, i) {
			u := float64(v)
			sum += u*u*u*u/4 - u*u/2
			if grad.Data != nil {
				row(grad, i)[j] = float32(u*u*u - u)
			}
		}
		if value != nil {
			value[i] = float32(sum)
		}
	}
	return nil
}

func (w doubleWell) HessVec(x, v, hv blas32.General) error {
	for i := range x.Rows {
		for j, u := range row(x, i) {
			row(hv, i)[j] = (3*u*u - 1) * row(v, i)[j]
		}
	}
	return nil
}

// A row whose Hessian is not positive definite, or not finite, is NaN and
// counted, and spoils no other.
func TestLogDetCountsWhatFails(t *testing.T) {
	for _, d := range []int{1, 2, 4} {
		x := newBatch(5, d)
		for i := range x.Rows {
			for j := range d {
				row(x, i)[j] = 1
			}
		}
		row(x, 1)[0] = 0
		row(x, 3)[d-1] = float32(math.NaN())
		// Two negative curvatures have a positive product.
		for j := range min(d, 2) {
			row(x, 4)[j] = .1
		}
		got, failed, err := LogDetHessian(doubleWell{d}, x)
		if err != nil || failed != 3 {
			t.Fatalf("d = %d: %d rows failed, want 3; error %v", d, failed, err)
		}
		for i, v := range got {
			if i%2 == 0 && i < 4 {
				closeTo(t, fmt.Sprintf("log det in row %d at d = %d", i, d), v, float64(d)*math.Ln2, 1e-6)
			} else if !math.IsNaN(v) {
				t.Errorf("d = %d: row %d has the log det %g", d, i, v)
			}
		}
	}
}

func TestLogDetRefuses(t *testing.T) {
	if _, _, err := LogDetHessian(doubleWell{2}, newBatch(3, 4)); err == nil || !strings.Contains(err.Error(), "4 columns") {
		t.Errorf("points of another dimension gave the error %v", err)
	}
	if got, _, err := LogDetHessian(doubleWell{2}, newBatch(0, 2)); err != nil || len(got) != 0 {
		t.Errorf("no points gave %v and the error %v", got, err)
	}
}
