package solvers

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

var conjugates = []string{"bb", "lbfgs", "newton"}

func mustConjugate(tb testing.TB, name string, tolerance float64, maxIter int) Conjugate {
	tb.Helper()
	c, err := NewConjugate(name, tolerance, maxIter)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func mustSolve(tb testing.TB, c Conjugate, w Potential, y, x blas32.General, p *Metric) ConjugateInfo {
	tb.Helper()
	info, err := c.Solve(w, y, x, p)
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

func fixedRand() *rand.Rand { return rand.New(rand.NewPCG(3, 5)) }

// inverseHessian is P = ∇²w(c)⁻¹, at the centre of w's quadratic.
func inverseHessian(tb testing.TB, w *hinges) *Metric {
	tb.Helper()
	c := make([]float64, w.Dim())
	for i, v := range w.c {
		c[i] = float64(v)
	}
	p, err := MetricFromHessian(w.hessian(c))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// jacobi is P = diag(H)⁻¹.
func jacobi(tb testing.TB, w *hinges) *Metric {
	tb.Helper()
	inverse := make([]float64, w.Dim())
	for i := range inverse {
		inverse[i] = 1 / float64(row(w.h, i)[i])
	}
	p, err := DiagonalMetric(inverse)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// certified reports a row that has not converged, or is further from the truth
// than its certificate and the rounding of x allow.
func certified(w *hinges, y, x blas32.General, info ConjugateInfo) error {
	bound := info.Bound(w.convex)
	for i := range y.Rows {
		if info.Status[i] != Converged {
			return fmt.Errorf("row %d: %v, residual %g", i, info.Status[i], info.Residual[i])
		}
		var distance, size float64
		for j, v := range w.conjugate(row(y, i)) {
			distance += math.Pow(float64(row(x, i)[j])-v, 2)
			size += v * v
		}
		rounding := 1e-5 * (math.Sqrt(size) + float64(info.Scale[i])) / w.convex
		if distance = math.Sqrt(distance); distance > bound[i]+rounding {
			return fmt.Errorf("row %d: distance %g from ∇w*(y); bound %g + %g for rounding", i, distance, bound[i], rounding)
		}
	}
	return nil
}

func TestConjugateOfAQuadratic(t *testing.T) {
	for _, name := range conjugates {
		for _, kappa := range []float64{1, 10, 100} {
			rng := fixedRand()
			w := newQuadratic(20, kappa, rng)
			y := normalRows(9, 20, 2, rng)
			for of, p := range map[string]*Metric{"identity": nil, "jacobi": jacobi(t, w), "inverse": inverseHessian(t, w)} {
				t.Run(fmt.Sprintf("%s/κ=%g/%s", name, kappa, of), func(t *testing.T) {
					x := newBatch(9, 20)
					info := mustSolve(t, mustConjugate(t, name, 1e-4, 0), w, y, x, p)
					if err := certified(w, y, x, info); err != nil {
						t.Error(err)
					}
					// In the metric of its own Hessian a quadratic takes one step.
					if of == "inverse" && info.MeanIterations() != 1 {
						t.Errorf("%g iterations with P = H⁻¹, want 1", info.MeanIterations())
					}
				})
			}
		}
	}
}

func TestConjugateOfHinges(t *testing.T) {
	for _, name := range conjugates {
		for _, sharp := range []float64{1, 8} {
			t.Run(fmt.Sprintf("%s/%g", name, sharp), func(t *testing.T) {
				rng := fixedRand()
				w := newHinges(12, 60, 10, sharp, rng)
				y := normalRows(16, 12, 3, rng)
				for _, far := range []float64{0, 1, 1000} {
					x := normalRows(16, 12, far, rng)
					info := mustSolve(t, mustConjugate(t, name, 1e-5, 500), w, y, x, inverseHessian(t, w))
					if err := certified(w, y, x, info); err != nil {
						t.Errorf("from a distance of %g: %v", far, err)
					}
				}
			})
		}
	}
}

func TestConjugateOfLogSumExp(t *testing.T) {
	rng := fixedRand()
	w := &logSumExp{a: normalRows(40, 5, 4, rng), b: normalRow(40, rng), m: 0.3}
	truth := normalRows(32, 5, 1, rng)
	y := newBatch(32, 5)
	if err := w.Eval(truth, nil, y); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bb", "lbfgs"} {
		x := normalRows(32, 5, 10, rng)
		info := mustSolve(t, mustConjugate(t, name, 1e-5, 1000), w, y, x, nil)
		if info.Converged() != 1 {
			t.Errorf("%s: %v, residuals %v", name, info.Status, info.Residual)
		}
		for i, bound := range info.Bound(float64(w.m)) {
			addScaled(row(x, i), -1, row(truth, i))
			if far := norm(row(x, i)); far > bound+1e-5 {
				t.Errorf("%s row %d: distance %g, bound %g", name, i, far, bound)
			}
		}
	}
}

func TestConjugateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(conjugates).Draw(t, "solver")
		d := rapid.IntRange(1, 8).Draw(t, "d")
		n := rapid.IntRange(0, 6).Draw(t, "n")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		w := newHinges(d, rapid.IntRange(0, 20).Draw(t, "hinges"), rapid.Float64Range(1, 30).Draw(t, "κ"),
			rapid.Float64Range(0, 6).Draw(t, "sharp"), rng)
		y := normalRows(n, d, rapid.Float64Range(0.01, 10).Draw(t, "size of y"), rng)
		x := normalRows(n, d, rapid.Float64Range(0, 30).Draw(t, "size of x"), rng)
		c, err := NewConjugate(name, 1e-3, 1000)
		if err != nil {
			t.Fatal(err)
		}
		info, err := c.Solve(w, y, x, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := certified(w, y, x, info); err != nil {
			t.Fatal(err)
		}
		grad := newBatch(n, d)
		if err := w.Eval(x, nil, grad); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			addScaled(row(grad, i), -1, row(y, i))
			told, is := float64(info.Residual[i]*info.Scale[i]), norm(row(grad, i))
			if math.Abs(told-is) > 1e-5*(is+norm(row(y, i))+norm(row(x, i))) {
				t.Fatalf("row %d: reported residual %g, recomputed %g", i, told, is)
			}
		}
	})
}

func TestConjugateRowsAreIndependent(t *testing.T) {
	for _, name := range conjugates {
		rng := fixedRand()
		w := newHinges(6, 30, 10, 4, rng)
		y, start := normalRows(20, 6, 3, rng), normalRows(20, 6, 2, rng)
		together := blas32.General{Rows: 20, Cols: 6, Stride: 6, Data: slices.Clone(start.Data)}
		c := mustConjugate(t, name, 1e-4, 0)
		all := mustSolve(t, c, w, y, together, nil)
		for i := range y.Rows {
			alone := newBatch(1, 6)
			copy(alone.Data, row(start, i))
			one := mustSolve(t, c, w, rows(y, i, i+1), alone, nil)
			if diff := cmp.Diff(row(together, i), alone.Data, near(1e-5)); diff != "" || one.Iterations[0] != all.Iterations[i] {
				t.Errorf("%s row %d: %d iterations in the batch, %d alone (batch −, alone +):\n%s", name, i, all.Iterations[i], one.Iterations[0], diff)
			}
		}
	}
}

func near(tolerance float64) cmp.Option {
	return cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a)-float64(b)) <= tolerance })
}

// fenced makes ∇w NaN where the first coordinate exceeds at.
type fenced struct {
	*hinges
	at float32
}

func (w fenced) Eval(x blas32.General, value []float32, grad blas32.General) error {
	err := w.hinges.Eval(x, value, grad)
	for i := range x.Rows {
		if row(x, i)[0] > w.at {
			row(grad, i)[0] = float32(math.NaN())
		}
	}
	return err
}

func TestConjugateOfRowsThatAreNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, name := range conjugates {
		rng := fixedRand()
		w := fenced{newHinges(4, 20, 10, 2, rng), 50}
		y, start := normalRows(8, 4, 2, rng), normalRows(8, 4, 1, rng)
		clean := blas32.General{Rows: 8, Cols: 4, Stride: 4, Data: slices.Clone(start.Data)}
		mustSolve(t, mustConjugate(t, name, 1e-4, 0), w, y, clean, nil)

		row(y, 1)[2], row(y, 3)[0], row(start, 5)[1], row(start, 6)[0] = nan, -inf, nan, 51
		x := blas32.General{Rows: 8, Cols: 4, Stride: 4, Data: slices.Clone(start.Data)}
		info := mustSolve(t, mustConjugate(t, name, 1e-4, 0), w, y, x, nil)
		for i, s := range info.Status {
			want, status := row(clean, i), Converged
			if slices.Contains([]int{1, 3, 5, 6}, i) {
				want, status = row(start, i), NotFinite
			}
			same := near(1e-5)
			if status == NotFinite {
				same = cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
			}
			if diff := cmp.Diff(want, row(x, i), same); s != status || diff != "" {
				t.Errorf("%s row %d: %v, want %v; x (want −, got +):\n%s", name, i, s, status, diff)
			}
		}
		if got := info.Converged(); got != 0.5 {
			t.Errorf("%s: share of converged rows %g, want 0.5", name, got)
		}
		if !math.IsInf(info.MaxResidual(), 1) {
			t.Errorf("%s: largest residual %g, want +Inf", name, info.MaxResidual())
		}
	}
}

// A step into a region where ∇w is not finite is shortened, not taken.
func TestConjugateStepsBackFromNaN(t *testing.T) {
	for _, name := range conjugates {
		w := fenced{&hinges{h: blas32.General{Rows: 1, Cols: 1, Stride: 1, Data: []float32{0.01}}, c: []float32{0}, convex: 0.01}, 1}
		p, err := DiagonalMetric([]float64{1e6})
		if err != nil {
			t.Fatal(err)
		}
		y, x := newBatch(1, 1), newBatch(1, 1)
		y.Data[0] = 0.009 // the solution is .9, the first trial 9000
		if name == "newton" {
			y.Data[0], x.Data[0] = 0.0099, -1 // Newton's first trial is exact
		}
		if info := mustSolve(t, mustConjugate(t, name, 0, 0), w, y, x, p); info.Status[0] != Converged {
			t.Errorf("%s: %v at x = %g", name, info.Status[0], x.Data[0])
		}
	}
}

// counted counts the rows that it evaluates.
type counted struct {
	*hinges
	evals, products int
}

func (w *counted) Eval(x blas32.General, value []float32, grad blas32.General) error {
	w.evals += x.Rows
	return w.hinges.Eval(x, value, grad)
}

func (w *counted) HessVec(x, v, hv blas32.General) error {
	w.products += x.Rows
	return w.hinges.HessVec(x, v, hv)
}

func TestConjugateEvaluatesOnlyRowsStillSearching(t *testing.T) {
	for _, name := range conjugates {
		rng := fixedRand()
		w := &counted{hinges: newHinges(6, 30, 10, 4, rng)}
		y, x := normalRows(20, 6, 3, rng), newBatch(20, 6)
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
		w := newHinges(10, 40, 30, 4, rng)
		y, x := normalRows(5, 10, 3, rng), newBatch(5, 10)
		short := mustSolve(t, mustConjugate(t, name, 1e-6, 2), w, y, x, nil)
		if i := slices.IndexFunc(short.Status, func(s Status) bool { return s != MaxIterations }); i >= 0 {
			t.Errorf("%s: row %d after two iterations: %v", name, i, short.Status[i])
		}
		floor := mustSolve(t, mustConjugate(t, name, 1e-12, 3000), w, y, x, nil)
		if i := slices.IndexFunc(floor.Status, func(s Status) bool { return s != Stalled }); i >= 0 {
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
		w := newQuadratic(3, 4, rng)
		c := mustConjugate(t, name, 1e-4, 0)
		if info := mustSolve(t, c, w, newBatch(0, 3), newBatch(0, 3), nil); info.Converged() != 1 || info.MaxResidual() != 0 || info.MeanIterations() != 0 || info.Evaluations != 0 {
			t.Errorf("%s: an empty batch gave %+v", name, info)
		}
		y, wide := normalRows(4, 3, 1, rng), normalRows(4, 5, 1, rng)
		margin := slices.Clone(wide.Data)
		x := blas32.General{Rows: 4, Cols: 3, Stride: 5, Data: wide.Data}
		info := mustSolve(t, c, w, y, x, nil)
		if err := certified(w, y, x, info); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := range 4 {
			if !slices.Equal(row(wide, i)[3:], margin[i*5+3:i*5+5]) {
				t.Errorf("%s: row %d was written beyond its columns", name, i)
			}
		}
	}
}

// broken fails.
type broken struct{ *hinges }

var errBroken = errors.New("broken")

func (broken) Eval(blas32.General, []float32, blas32.General) error { return errBroken }

// flat hides HessVec.
type flat struct{ Potential }

func TestConjugateRefuses(t *testing.T) {
	w := newQuadratic(3, 4, fixedRand())
	short := newBatch(2, 3)
	short.Data = short.Data[:5]
	wrong, err := DiagonalMetric([]float64{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want string
		w    Potential
		y, x blas32.General
		p    *Metric
		with Conjugate
	}{
		{"columns of y", "y has 2 columns, the potential dimension 3", w, newBatch(2, 2), newBatch(2, 2), nil, &LBFGS{}},
		{"rows of x", "x has shape (1, 3), y (2, 3)", w, newBatch(2, 3), newBatch(1, 3), nil, &LBFGS{}},
		{"data of x", "x: 5 numbers", w, newBatch(2, 3), short, nil, &LBFGS{}},
		{"metric", "metric has dimension 2", w, newBatch(2, 3), newBatch(2, 3), wrong, &LBFGS{}},
		{"tolerance", "less than 1", w, newBatch(2, 3), newBatch(2, 3), nil, &BarzilaiBorwein{Tolerance: 2}},
		{"iterations", "at least 0", w, newBatch(2, 3), newBatch(2, 3), nil, &BarzilaiBorwein{MaxIterations: -1}},
		{"no Hessian", "not Curved", flat{w}, newBatch(2, 3), newBatch(2, 3), nil, &NewtonCG{}},
		{"potential", "broken", broken{w}, newBatch(2, 3), newBatch(2, 3), nil, &NewtonCG{}},
	} {
		if _, err := c.with.Solve(c.w, c.y, c.x, c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
	for _, c := range []struct {
		name      string
		tolerance float64
		maxIter   int
		want      string
	}{{"adam", 0, 0, "bb, lbfgs and newton"}, {"bb", math.NaN(), 0, "tolerance"}, {"bb", 0, -1, "limit"}} {
		if _, err := NewConjugate(c.name, c.tolerance, c.maxIter); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v", c, err)
		}
	}
}

// diagonal is ½Σ h_i x_i², evaluated without allocations.
type diagonal []float32

func (w diagonal) Dim() int { return len(w) }

func (w diagonal) Eval(x blas32.General, _ []float32, grad blas32.General) error {
	for i := range x.Rows {
		for j, v := range row(x, i) {
			row(grad, i)[j] = w[j] * v
		}
	}
	return nil
}

func (w diagonal) HessVec(_, v, hv blas32.General) error { return w.Eval(v, nil, hv) }

func TestConjugateReusesItsBuffers(t *testing.T) {
	w := diagonal{1, 2, 5}
	y, x := normalRows(50, 3, 1, fixedRand()), newBatch(50, 3)
	for _, name := range conjugates {
		c := mustConjugate(t, name, 1e-4, 0)
		allocations := testing.AllocsPerRun(5, func() {
			clear(x.Data)
			mustSolve(t, c, w, y, x, nil)
		})
		if allocations > 8 { // the info's slices, and the solver's functions
			t.Errorf("%s: %g allocations in a solve of 50 rows", name, allocations)
		}
	}
}

// BenchmarkConjugate counts evaluations and products per row, cold, to 1e-3, on
// hinges as sharp as those of image potentials in the metric of ∇²w at one point;
// and times the solver's own work at the size of 28×28 images.
func BenchmarkConjugate(b *testing.B) {
	for _, name := range conjugates {
		b.Run(name+"/hinges", func(b *testing.B) {
			rng := fixedRand()
			w := newHinges(100, 400, 30, 8, rng)
			y, p := normalRows(64, 100, 3, rng), inverseHessian(b, w)
			c := mustConjugate(b, name, 1e-3, 0)
			var info ConjugateInfo
			for b.Loop() {
				info = mustSolve(b, c, w, y, newBatch(64, 100), p)
			}
			b.ReportMetric(float64(info.Evaluations)/64, "evaluations/row")
			b.ReportMetric(float64(info.Products)/64, "products/row")
		})
		b.Run(name+"/overhead", func(b *testing.B) {
			w := make(diagonal, 784)
			for i := range w {
				w[i] = float32(1 + i)
			}
			y, x := normalRows(256, 784, 1, fixedRand()), newBatch(256, 784)
			c := mustConjugate(b, name, 1e-3, 20)
			evaluations := 0
			for b.Loop() {
				clear(x.Data)
				evaluations += mustSolve(b, c, w, y, x, nil).Evaluations
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(evaluations), "µs/evaluation")
		})
	}
}
