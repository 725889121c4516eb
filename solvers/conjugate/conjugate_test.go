package conjugate

import (
	"context"
	"fmt"
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

var conjugates = []Method{ByBarzilaiBorwein, ByLBFGS, ByNewtonCG}

func mustConjugate(tb testing.TB, method Method, tolerance float64, maxIter int) Solver {
	tb.Helper()
	c, err := New(method, tolerance, maxIter)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func mustSolve(tb testing.TB, c Solver, w potential.Potential, y, x blas32.General, p *potential.Preconditioner) Info {
	tb.Helper()
	info, err := c.Solve(tb.Context(), w, y, x, p)
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

func fixedRand() *random.Stream { return random.Seeded(3, 5) }

// inverseHessian is P = ∇²w(c)⁻¹, at the centre of w's quadratic.
func inverseHessian(tb testing.TB, w *problem.Hinges) *potential.Preconditioner {
	tb.Helper()
	c := make([]float64, w.Dim())
	for i, v := range w.C {
		c[i] = float64(v)
	}
	p, err := potential.PreconditionerFromHessian(w.Hessian(c))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// jacobi is P = diag(H)⁻¹.
func jacobi(tb testing.TB, w *problem.Hinges) *potential.Preconditioner {
	tb.Helper()
	inverse := make([]float64, w.Dim())
	for i := range inverse {
		inverse[i] = 1 / float64(batch.Row(w.H, i)[i])
	}
	p, err := potential.DiagonalPreconditioner(inverse)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// certified reports a row that has not converged, or whose distance from the truth is
// more than its certificate and the rounding of x allow.
func certified(w *problem.Hinges, y, x blas32.General, info Info) error {
	bound := info.Bound(w.Convex)
	for i := range y.Rows {
		if info.Status[i] != potential.Converged {
			return fmt.Errorf("row %d: %v, residual %g", i, info.Status[i], info.Residual[i])
		}
		var distance, size float64
		for j, v := range w.Conjugate(batch.Row(y, i)) {
			distance += math.Pow(float64(batch.Row(x, i)[j])-v, 2)
			size += v * v
		}
		rounding := 1e-5 * (math.Sqrt(size) + float64(info.Scale[i])) / w.Convex
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
			w := problem.NewQuadratic(20, kappa, rng)
			y := problem.NormalRows(9, 20, 2, rng)
			for of, p := range map[string]*potential.Preconditioner{"identity": nil, "jacobi": jacobi(t, w), "inverse": inverseHessian(t, w)} {
				t.Run(fmt.Sprintf("%s/κ=%g/%s", name, kappa, of), func(t *testing.T) {
					x := batch.New(9, 20)
					info := mustSolve(t, mustConjugate(t, name, 1e-4, 0), w, y, x, p)
					if err := certified(w, y, x, info); err != nil {
						t.Error(err)
					}
					// Preconditioned by the inverse of its own Hessian, a quadratic takes one step.
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
				w := problem.NewHinges(12, 60, 10, sharp, rng)
				y := problem.NormalRows(16, 12, 3, rng)
				for _, far := range []float64{0, 1, 1000} {
					x := problem.NormalRows(16, 12, far, rng)
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
	w := &problem.LogSumExp{A: problem.NormalRows(40, 5, 4, rng), B: problem.NormalRow(40, rng), M: 0.3}
	truth := problem.NormalRows(32, 5, 1, rng)
	y := batch.New(32, 5)
	if err := w.Eval(truth, nil, y); err != nil {
		t.Fatal(err)
	}
	for _, name := range []Method{ByBarzilaiBorwein, ByLBFGS} {
		x := problem.NormalRows(32, 5, 10, rng)
		info := mustSolve(t, mustConjugate(t, name, 1e-5, 1000), w, y, x, nil)
		if info.Converged() != 1 {
			t.Errorf("%s: %v, residuals %v", name, info.Status, info.Residual)
		}
		for i, bound := range info.Bound(float64(w.M)) {
			batch.AddScaled(batch.Row(x, i), -1, batch.Row(truth, i))
			if far := batch.Norm(batch.Row(x, i)); far > bound+1e-5 {
				t.Errorf("%s row %d: distance %g, bound %g", name, i, far, bound)
			}
		}
	}
}

// At a kink, Barzilai–Borwein steps go back and forth unless they must descend.
func TestConjugateAcrossAKink(t *testing.T) {
	for _, name := range conjugates {
		for seed := range uint64(100) {
			rng := random.Seeded(seed, 0)
			w := problem.NewHinges(1, 3, 1, 10, rng)
			y, x := problem.NormalRows(6, 1, 10, rng), problem.NormalRows(6, 1, 30, rng)
			info := mustSolve(t, mustConjugate(t, name, 1e-3, 0), w, y, x, nil)
			if info.Converged() != 1 {
				t.Errorf("%s, seed %d: %v, residuals %v", name, seed, info.Status, info.Residual)
			}
		}
	}
}

func TestConjugateInAMetricOfTheWrongScale(t *testing.T) {
	for _, name := range conjugates {
		rng := fixedRand()
		w := problem.NewHinges(3, 10, 10, 2, rng)
		y := problem.NormalRows(8, 3, 2, rng)
		for _, scale := range []float64{1e-6, 1e6} {
			p, err := potential.DiagonalPreconditioner([]float64{scale, scale, scale})
			if err != nil {
				t.Fatal(err)
			}
			x := batch.New(8, 3)
			info := mustSolve(t, mustConjugate(t, name, 1e-3, 0), w, y, x, p)
			if err := certified(w, y, x, info); err != nil || info.MeanIterations() > 17 {
				t.Errorf("%s, P = %g·I: %v after %g iterations", name, scale, err, info.MeanIterations())
			}
		}
	}
}

// Far out, a softplus has no curvature at all in float32.
func TestConjugateWithoutCurvature(t *testing.T) {
	w := &problem.Hinges{H: batch.New(8, 8), C: make([]float32, 8), A: batch.New(1, 8), B: []float32{0}, S: []float32{1}}
	w.A.Data[0] = 1
	for _, name := range conjugates {
		y, x := batch.New(1, 8), batch.New(1, 8)
		y.Data[0], x.Data[0] = 0.5, 1000
		info := mustSolve(t, mustConjugate(t, name, 1e-5, 0), w, y, x, nil)
		if info.Status[0] != potential.Converged || math.Abs(float64(x.Data[0])) > 1e-4 {
			t.Errorf("%s: %v at x = %g, want 0", name, info.Status[0], x.Data[0])
		}
	}

	y, x := batch.New(1, 8), batch.New(1, 8)
	y.Data[0], x.Data[0] = 0.5, 1000
	if info := mustSolve(t, &NewtonCG{MaxIterations: 1}, w, y, x, nil); info.Products != 1 {
		t.Errorf("%d products to find that there is no curvature, want 1", info.Products)
	}
}

func TestConjugateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(conjugates).Draw(t, "solver")
		d := rapid.IntRange(1, 8).Draw(t, "d")
		n := rapid.IntRange(0, 6).Draw(t, "n")
		rng := random.Seeded(rapid.Uint64().Draw(t, "seed"), 0)
		w := problem.NewHinges(d, rapid.IntRange(0, 20).Draw(t, "hinges"), rapid.Float64Range(1, 30).Draw(t, "κ"),
			rapid.Float64Range(0, 6).Draw(t, "sharp"), rng)
		y := problem.NormalRows(n, d, rapid.Float64Range(0.01, 10).Draw(t, "size of y"), rng)
		x := problem.NormalRows(n, d, rapid.Float64Range(0, 30).Draw(t, "size of x"), rng)
		c, err := New(name, 1e-3, 1000)
		if err != nil {
			t.Fatal(err)
		}
		info, err := c.Solve(context.Background(), w, y, x, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := certified(w, y, x, info); err != nil {
			t.Fatal(err)
		}
		grad := batch.New(n, d)
		if err := w.Eval(x, nil, grad); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			batch.AddScaled(batch.Row(grad, i), -1, batch.Row(y, i))
			told, is := float64(info.Residual[i]*info.Scale[i]), batch.Norm(batch.Row(grad, i))
			if math.Abs(told-is) > 1e-5*(is+batch.Norm(batch.Row(y, i))+batch.Norm(batch.Row(x, i))) {
				t.Fatalf("row %d: reported residual %g, recomputed %g", i, told, is)
			}
		}
	})
}

// The limits are a tenth above the effort measured for each solver.
func TestConjugateEffort(t *testing.T) {
	for name, limit := range map[Method]struct{ evaluations, products float64 }{
		"bb": {71, 0}, "lbfgs": {46, 0}, "newton": {5.5, 64},
	} {
		rng := fixedRand()
		w := problem.NewQuadratic(50, 100, rng)
		info := mustSolve(t, mustConjugate(t, name, 1e-3, 0), w, problem.NormalRows(64, 50, 1, rng), batch.New(64, 50), nil)
		evaluations, products := float64(info.Evaluations)/64, float64(info.Products)/64
		if evaluations > limit.evaluations || products > limit.products {
			t.Errorf("%s: %g evaluations and %g products to a row, at most %g and %g expected",
				name, evaluations, products, limit.evaluations, limit.products)
		}
	}
}

// BenchmarkConjugate counts evaluations and products per row, from a cold start, to
// 1e-3. The hinges are as sharp as those of image potentials preconditioned by ∇²w at
// one point. It also times the solver's own work at the size of 28×28 images.
func BenchmarkConjugate(b *testing.B) {
	for _, name := range conjugates {
		b.Run(string(name)+"/hinges", func(b *testing.B) {
			rng := fixedRand()
			w := problem.NewHinges(100, 400, 30, 8, rng)
			y, p := problem.NormalRows(64, 100, 3, rng), inverseHessian(b, w)
			c := mustConjugate(b, name, 1e-3, 0)
			var info Info
			for b.Loop() {
				info = mustSolve(b, c, w, y, batch.New(64, 100), p)
			}
			b.ReportMetric(float64(info.Evaluations)/64, "evaluations/row")
			b.ReportMetric(float64(info.Products)/64, "products/row")
		})
		b.Run(string(name)+"/overhead", func(b *testing.B) {
			w := make(diagonal, 784)
			for i := range w {
				w[i] = float32(1 + i)
			}
			y, x := problem.NormalRows(256, 784, 1, fixedRand()), batch.New(256, 784)
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
