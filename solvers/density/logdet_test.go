package density

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/mat"
)

// LogDetHessian agrees with Hessians in float64 of a potential whose Hessian varies.
func TestLogDetOfHinges(t *testing.T) {
	for _, d := range []int{1, 2, 3, 17, 130} {
		rng := random.Seeded(5, uint64(d))
		w := problem.NewHinges(d, 3*d, 30, 2, rng)
		x := problem.NormalRows(7, d, 2, rng)
		got, info, err := LogDetHessian(t.Context(), w, x)
		if err != nil || info.Failed() > 0 {
			t.Fatalf("d = %d: %d rows failed, error %v", d, info.Failed(), err)
		}
		for i, v := range got {
			want, _ := mat.LogDet(w.Hessian(problem.Widened(batch.Row(x, i))))
			problem.CloseTo(t, fmt.Sprintf("log det in row %d at d = %d", i, d), v, want, 1e-6*float64(d))
		}
	}
}

// The log det of a quadratic is the sum over its spectrum, whatever the point.
func TestLogDetInHighDimension(t *testing.T) {
	const d = 500
	w := problem.RandomGaussian(t, d, 3)
	x := problem.NormalBatch(2, d, "points")
	got, info, err := LogDetHessian(t.Context(), w, x)
	if err != nil || info.Failed() > 0 {
		t.Fatalf("%d rows failed, error %v", info.Failed(), err)
	}
	want, _ := mat.LogDet(w.H)
	for i, v := range got {
		problem.CloseTo(t, fmt.Sprintf("log det in row %d", i), v, want, 1e-4)
	}
}

// A row whose Hessian is not positive definite, or not finite, is NaN, is counted, and
// does not affect the others.
func TestLogDetCountsWhatFails(t *testing.T) {
	for _, d := range []int{1, 2, 4} {
		x := batch.New(5, d)
		for i := range x.Rows {
			for j := range d {
				batch.Row(x, i)[j] = 1
			}
		}
		batch.Row(x, 1)[0] = 0
		batch.Row(x, 3)[d-1] = float32(math.NaN())
		// Two negative curvatures have a positive product.
		for j := range min(d, 2) {
			batch.Row(x, 4)[j] = .1
		}
		got, info, err := LogDetHessian(t.Context(), problem.DoubleWell{D: d}, x)
		if err != nil || info.Failed() != 3 {
			t.Fatalf("d = %d: %d rows failed, want 3; error %v", d, info.Failed(), err)
		}
		const good, flat, far = potential.Converged, potential.NotConvex, potential.NotFinite
		if want := []potential.Status{good, flat, good, far, flat}; !slices.Equal(info.Status, want) {
			t.Errorf("d = %d: status %v, want %v", d, info.Status, want)
		}
		for i, v := range got {
			if i%2 == 0 && i < 4 {
				problem.CloseTo(t, fmt.Sprintf("log det in row %d at d = %d", i, d), v, float64(d)*math.Ln2, 1e-6)
			} else if !math.IsNaN(v) {
				t.Errorf("d = %d: row %d has the log det %g", d, i, v)
			}
		}
	}
}

func TestLogDetRefuses(t *testing.T) {
	if _, _, err := LogDetHessian(t.Context(), problem.DoubleWell{D: 2}, batch.New(3, 4)); err == nil || !strings.Contains(err.Error(), "4 columns") {
		t.Errorf("points of another dimension gave the error %v", err)
	}
	if got, _, err := LogDetHessian(t.Context(), problem.DoubleWell{D: 2}, batch.New(0, 2)); err != nil || len(got) != 0 {
		t.Errorf("no points gave %v and the error %v", got, err)
	}
}
