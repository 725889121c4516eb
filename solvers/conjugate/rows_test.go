package conjugate

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
)

func TestConjugateRowsAreIndependent(t *testing.T) {
	for _, name := range conjugates {
		rng := fixedRand()
		w := problem.NewHinges(6, 30, 10, 4, rng)
		y, start := problem.NormalRows(20, 6, 3, rng), problem.NormalRows(20, 6, 2, rng)
		together := blas32.General{Rows: 20, Cols: 6, Stride: 6, Data: slices.Clone(start.Data)}
		c := mustConjugate(t, name, 1e-4, 0)
		all := mustSolve(t, c, w, y, together, nil)
		for i := range y.Rows {
			alone := batch.New(1, 6)
			copy(alone.Data, batch.Row(start, i))
			one := mustSolve(t, c, w, batch.Rows(y, i, i+1), alone, nil)
			if diff := cmp.Diff(batch.Row(together, i), alone.Data, near(1e-5)); diff != "" || one.Iterations[0] != all.Iterations[i] {
				t.Errorf("%s row %d: %d iterations in the batch, %d alone (batch −, alone +):\n%s", name, i, all.Iterations[i], one.Iterations[0], diff)
			}
		}
	}
}

func near(tolerance float64) cmp.Option {
	return cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a)-float64(b)) <= tolerance })
}

// fenced makes ∇w NaN where the first coordinate is greater than at.
type fenced struct {
	*problem.Hinges
	at float32
}

func (w fenced) Eval(x blas32.General, value []float32, grad blas32.General) error {
	err := w.Hinges.Eval(x, value, grad)
	for i := range x.Rows {
		if batch.Row(x, i)[0] > w.at {
			batch.Row(grad, i)[0] = float32(math.NaN())
		}
	}
	return err
}

func TestConjugateOfRowsThatAreNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, name := range conjugates {
		rng := fixedRand()
		w := fenced{problem.NewHinges(4, 20, 10, 2, rng), 50}
		y, start := problem.NormalRows(8, 4, 2, rng), problem.NormalRows(8, 4, 1, rng)
		clean := blas32.General{Rows: 8, Cols: 4, Stride: 4, Data: slices.Clone(start.Data)}
		mustSolve(t, mustConjugate(t, name, 1e-4, 0), w, y, clean, nil)

		batch.Row(y, 1)[2], batch.Row(y, 3)[0], batch.Row(start, 5)[1], batch.Row(start, 6)[0] = nan, -inf, nan, 51
		x := blas32.General{Rows: 8, Cols: 4, Stride: 4, Data: slices.Clone(start.Data)}
		info := mustSolve(t, mustConjugate(t, name, 1e-4, 0), w, y, x, nil)
		for i, s := range info.Status {
			want, status := batch.Row(clean, i), potential.Converged
			if slices.Contains([]int{1, 3, 5, 6}, i) {
				want, status = batch.Row(start, i), potential.NotFinite
			}
			same := near(1e-5)
			if status == potential.NotFinite {
				same = cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
			}
			if diff := cmp.Diff(want, batch.Row(x, i), same); s != status || diff != "" {
				t.Errorf("%s row %d: %v, want %v; x (want −, got +):\n%s", name, i, s, status, diff)
			}
		}
		if got := info.Converged(); got != 0.5 {
			t.Errorf("%s: share of converged rows %g, want 0.5", name, got)
		}
		evaluations := 5 // of starting points: rows 1, 3 and 5 never reach the potential
		for _, k := range info.Iterations {
			evaluations += k
		}
		if info.Evaluations != evaluations {
			t.Errorf("%s: %d evaluations, want %d", name, info.Evaluations, evaluations)
		}
		if !math.IsInf(info.MaxResidual(), 1) {
			t.Errorf("%s: largest residual %g, want +Inf", name, info.MaxResidual())
		}
	}
}

// A step into a region where ∇w is not finite is shortened, not taken.
func TestConjugateStepsBackFromNaN(t *testing.T) {
	for _, name := range conjugates {
		w := fenced{&problem.Hinges{H: blas32.General{Rows: 1, Cols: 1, Stride: 1, Data: []float32{0.01}}, C: []float32{0}, Convex: 0.01}, 1}
		p, err := potential.DiagonalPreconditioner([]float64{1e6})
		if err != nil {
			t.Fatal(err)
		}
		y, x := batch.New(1, 1), batch.New(1, 1)
		y.Data[0] = 0.009 // the solution is .9, the first trial of bb and lbfgs 9000
		if info := mustSolve(t, mustConjugate(t, name, 0, 0), w, y, x, p); info.Status[0] != potential.Converged {
			t.Errorf("%s: %v at x = %g", name, info.Status[0], x.Data[0])
		}
	}
}

// counted counts the rows that it evaluates.
type counted struct {
	*problem.Hinges
	evals, products int
}

func (w *counted) Eval(x blas32.General, value []float32, grad blas32.General) error {
	w.evals += x.Rows
	return w.Hinges.Eval(x, value, grad)
}

func (w *counted) HessVec(x, v, hv blas32.General) error {
	w.products += x.Rows
	return w.Hinges.HessVec(x, v, hv)
}

// Where y = 0 the residual is relative to 0.01·√d.
func TestConjugateOfZero(t *testing.T) {
	for _, name := range conjugates {
		w := problem.NewHinges(9, 20, 10, 2, fixedRand())
		y, x := batch.New(1, 9), batch.New(1, 9)
		info := mustSolve(t, mustConjugate(t, name, 1e-3, 0), w, y, x, nil)
		if err := certified(w, y, x, info); err != nil || math.Abs(float64(info.Scale[0])-0.03) > 1e-8 {
			t.Errorf("%s: %v at a scale of %g, want 0.03", name, err, info.Scale[0])
		}
	}
}

func TestConjugateEvaluatesOnlyRowsStillSearching(t *testing.T) {
	for _, name := range conjugates {
		rng := fixedRand()
		w := &counted{Hinges: problem.NewHinges(6, 30, 10, 4, rng)}
		y, x := problem.NormalRows(20, 6, 3, rng), batch.New(20, 6)
		c := mustConjugate(t, name, 1e-4, 0)
		cold := mustSolve(t, c, w, y, x, nil)
		want := 20
		for _, k := range cold.Iterations {
			want += k
		}
		if got := []int{cold.Evaluations, w.evals, cold.Products}; !slices.Equal(got, []int{want, want, w.products}) {
			t.Errorf("%s: reported, made evaluations and products %v, want %v", name, got, []int{want, want, w.products})
		}
		if slices.Min(cold.Iterations) == slices.Max(cold.Iterations) {
			t.Errorf("%s: every row took %d iterations: the test shows nothing", name, cold.Iterations[0])
		}

		before := slices.Clone(x.Data)
		if mean := float64(cold.Evaluations)/20 - 1; math.Abs(cold.MeanIterations()-mean) > 1e-12 {
			t.Errorf("%s: mean of iterations %g, want %g", name, cold.MeanIterations(), mean)
		}
		if again := mustSolve(t, c, w, y, x, nil); again.Evaluations != 20 || !slices.Equal(before, x.Data) {
			t.Errorf("%s: from the solution %d evaluations, want 20, and x unchanged", name, again.Evaluations)
		}
		for i := range x.Data {
			x.Data[i] += float32(0.01 * rng.NormFloat64())
		}
		if warm := mustSolve(t, c, w, y, x, nil); warm.Evaluations >= cold.Evaluations {
			t.Errorf("%s: %d evaluations from a warm start, %d from a cold one", name, warm.Evaluations, cold.Evaluations)
		}
	}
}

func TestConjugateSaysWhyItStopped(t *testing.T) {
	for _, name := range conjugates {
		rng := fixedRand()
		w := problem.NewHinges(10, 40, 30, 4, rng)
		y, x := problem.NormalRows(5, 10, 3, rng), batch.New(5, 10)
		short := mustSolve(t, mustConjugate(t, name, 1e-6, 2), w, y, x, nil)
		if i := slices.IndexFunc(short.Status, func(s potential.Status) bool { return s != potential.MaxIterations }); i >= 0 {
			t.Errorf("%s: row %d after two iterations: %v", name, i, short.Status[i])
		}
		floor := mustSolve(t, mustConjugate(t, name, 1e-12, 3000), w, y, x, nil)
		if i := slices.IndexFunc(floor.Status, func(s potential.Status) bool { return s != potential.Stalled }); i >= 0 {
			t.Errorf("%s: row %d asked for 1e-12: %v", name, i, floor.Status[i])
		}
		if floor.MaxResidual() > 2e-6 {
			t.Errorf("%s: stalled at a residual of %g, float32 allows 2e-6", name, floor.MaxResidual())
		}
	}
}

func TestConjugateOfStridedAndEmptyBatches(t *testing.T) {
	for _, name := range conjugates {
		rng := fixedRand()
		w := problem.NewQuadratic(3, 4, rng)
		c := mustConjugate(t, name, 1e-4, 0)
		if info := mustSolve(t, c, w, batch.New(0, 3), batch.New(0, 3), nil); info.Converged() != 1 || info.MaxResidual() != 0 || info.MeanIterations() != 0 || info.Evaluations != 0 {
			t.Errorf("%s: an empty batch gave %+v", name, info)
		}
		y, wide := problem.NormalRows(4, 3, 1, rng), problem.NormalRows(4, 5, 1, rng)
		margin := slices.Clone(wide.Data)
		x := blas32.General{Rows: 4, Cols: 3, Stride: 5, Data: wide.Data}
		info := mustSolve(t, c, w, y, x, nil)
		if err := certified(w, y, x, info); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := range 4 {
			if !slices.Equal(batch.Row(wide, i)[3:], margin[i*5+3:i*5+5]) {
				t.Errorf("%s: row %d was written beyond its columns", name, i)
			}
		}
	}
}

// broken is a potential that always fails.
type broken struct{ *problem.Hinges }

var errBroken = errors.New("broken")

func (broken) Eval(blas32.General, []float32, blas32.General) error { return errBroken }

// flat hides HessVec.
type flat struct{ potential.Potential }

func TestConjugateRefuses(t *testing.T) {
	w := problem.NewQuadratic(3, 4, fixedRand())
	short := batch.New(2, 3)
	short.Data = short.Data[:5]
	wrong, err := potential.DiagonalPreconditioner([]float64{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want string
		w    potential.Potential
		y, x blas32.General
		p    *potential.Preconditioner
		with Solver
	}{
		{"columns of y", "y has 2 columns, the potential dimension 3", w, batch.New(2, 2), batch.New(2, 2), nil, &LBFGS{}},
		{"rows of x", "x has shape (1, 3), y (2, 3)", w, batch.New(2, 3), batch.New(1, 3), nil, &LBFGS{}},
		{"data of x", "x: 5 values", w, batch.New(2, 3), short, nil, &LBFGS{}},
		{"preconditioner", "preconditioner has dimension 2", w, batch.New(2, 3), batch.New(2, 3), wrong, &LBFGS{}},
		{"tolerance", "less than 1", w, batch.New(2, 3), batch.New(2, 3), nil, &BarzilaiBorwein{Tolerance: 2}},
		{"iterations", "at least 0", w, batch.New(2, 3), batch.New(2, 3), nil, &BarzilaiBorwein{MaxIterations: -1}},
		{"no Hessian", "not Curved", flat{w}, batch.New(2, 3), batch.New(2, 3), nil, &NewtonCG{}},
		{"potential", "broken", broken{w}, batch.New(2, 3), batch.New(2, 3), nil, &NewtonCG{}},
	} {
		if _, err := c.with.Solve(context.Background(), c.w, c.y, c.x, c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
	for _, c := range []struct {
		method    Method
		tolerance float64
		maxIter   int
		want      string
	}{{"adam", 0, 0, "bb, lbfgs, newton"}, {"bb", math.NaN(), 0, "tolerance"}, {"bb", 0, -1, "limit"}} {
		if _, err := New(c.method, c.tolerance, c.maxIter); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v", c, err)
		}
	}
}

// diagonal is ½Σ h_i x_i², evaluated without allocations.
type diagonal []float32

func (w diagonal) Dim() int { return len(w) }

func (w diagonal) Eval(x blas32.General, _ []float32, grad blas32.General) error {
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			batch.Row(grad, i)[j] = w[j] * v
		}
	}
	return nil
}

func (w diagonal) HessVec(_, v, hv blas32.General) error { return w.Eval(v, nil, hv) }

func TestConjugateReusesItsBuffers(t *testing.T) {
	var w potential.Curved = diagonal{1, 2, 5}
	y, x := problem.NormalRows(50, 3, 1, fixedRand()), batch.New(50, 3)
	for _, name := range conjugates {
		c := mustConjugate(t, name, 1e-4, 0)
		allocations := testing.AllocsPerRun(5, func() {
			clear(x.Data)
			mustSolve(t, c, w, y, x, nil)
		})
		most := 0.
		if name == "newton" {
			most = 2 // its functions
		}
		if allocations > most {
			t.Errorf("%s: %g allocations in a solve of 50 rows", name, allocations)
		}
	}
}
