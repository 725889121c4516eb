package exact

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Figure 1's covariance: Σ^{1/3} is compared with the published reference, cut to five
// digits, and the identities that define it hold to 1e-12.
func TestGaussianClosedForm(t *testing.T) {
	cov := mat.NewSymDense(2, []float64{2, 1.8, 1.8, 2})
	g, err := NewGaussian([]float64{1, -2}, cov)
	if err != nil {
		t.Fatal(err)
	}
	root := g.Power(1. / 3)
	for i, want := range []float64{1.07264, .48784, .48784, 1.07264} {
		if got := root.At(i/2, i%2); math.Abs(got-want) > 1e-5 {
			t.Errorf("Σ^{1/3}[%d] = %.6f, want %.5f", i, got, want)
		}
	}
	var square, cube mat.Dense
	square.Mul(root, root)
	cube.Mul(&square, root)
	if !mat.EqualApprox(&cube, cov, 1e-12) {
		t.Errorf("(Σ^{1/3})³ = %v", mat.Formatted(&cube))
	}
	// ∇w* pushes N(c, Σ^{1/3}) to N(m, Σ): Σ^{1/3}c + c = m.
	c := mat.NewVecDense(2, g.Center())
	var m mat.VecDense
	m.MulVec(root, c)
	m.AddVec(&m, c)
	for i, want := range g.Mean {
		if math.Abs(m.AtVec(i)-want) > 1e-12 {
			t.Errorf("the map's mean is %v, want %v", m.RawVector().Data, g.Mean)
		}
	}
	want := math.Log(2*math.Pi) + .5*math.Log(mat.Det(root))
	if got := g.ConjugateMoment().LogZ(); math.Abs(got-want) > 1e-12 {
		t.Errorf("log Z = %v, want %v", got, want)
	}
}

func TestGaussianErrors(t *testing.T) {
	for _, c := range []struct {
		mean []float64
		cov  []float64
		want string
	}{
		{[]float64{0}, []float64{1, 0, 0, 1}, "length 1"},
		{[]float64{0, 0}, []float64{1, 2, 2, 1}, "positive definite"},
		{[]float64{0, 0}, []float64{1, 1, 1, 1}, "positive definite"},
		{[]float64{0, 0}, []float64{1, math.NaN(), math.NaN(), 1}, "entry (0, 1)"},
		{[]float64{0, math.Inf(1)}, []float64{1, 0, 0, 1}, "entry 1 of a mean"},
	} {
		_, err := NewGaussian(c.mean, mat.NewSymDense(2, c.cov))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewGaussian(%v, %v): %v; want %q", c.mean, c.cov, err, c.want)
		}
	}
}

func TestGaussianFromMatrix(t *testing.T) {
	if _, err := GaussianFromMatrix([]float64{1, 2}, mat.NewDense(2, 2, []float64{2, .3, .3, 1})); err != nil {
		t.Error(err)
	}
	for want, cov := range map[string]mat.Matrix{
		"square":    mat.NewDense(2, 3, nil),
		"symmetric": mat.NewDense(2, 2, []float64{2, .3, .2, 1}),
		"finite":    mat.NewDense(2, 2, []float64{2, math.NaN(), .2, 1}),
	} {
		if _, err := GaussianFromMatrix([]float64{1, 2}, cov); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("GaussianFromMatrix(%v): %v; want %q", mat.Formatted(cov), err, want)
		}
	}
}

// conditionedGaussian has condition number κ; its mean is about N(0, 9I).
func conditionedGaussian(t *testing.T, d int, kappa float64, rng *random.Stream) *Gaussian {
	t.Helper()
	lambda, mean := make([]float64, d), make([]float64, d)
	for i := range d {
		lambda[i], mean[i] = math.Pow(kappa, float64(i)/float64(max(1, d-1))-.5), 3*rng.NormFloat64()
	}
	h := problem.RandomSPD(lambda, rng)
	cov := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			cov.SetSym(i, j, float64(h.Data[i*d+j]))
		}
	}
	g, err := NewGaussian(mean, cov)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// energy is −log ρ(x), by Cholesky.
func (g *Gaussian) energy(x []float64) float64 {
	var chol mat.Cholesky
	chol.Factorize(g.Power(1))
	var out mat.VecDense
	v := mat.NewVecDense(len(x), nil)
	v.SubVec(mat.NewVecDense(len(x), x), mat.NewVecDense(len(x), g.Mean))
	if err := chol.SolveVecTo(&out, v); err != nil {
		return math.NaN()
	}
	return (mat.Dot(v, &out) + chol.LogDet() + float64(len(x))*math.Log(2*math.Pi)) / 2
}

// The identities that define both potentials hold in any dimension, to 1e-10 of the
// size of their terms.
func TestGaussianIdentities(t *testing.T) {
	const tol = 1e-10
	for _, d := range []int{1, 2, 5, 16, 40} {
		for seed := range uint64(3) {
			rng := random.New(seed, "identities", uint64(d))
			g := conditionedGaussian(t, d, 100, rng)
			w, u := g.ConjugateMoment(), g.Moment()
			var logDet float64 // of ∇²w
			for _, s := range w.Values {
				logDet += math.Log(s)
			}
			x, y := make([]float64, d), make([]float64, d)
			for i := range d {
				x[i], y[i] = 5*rng.NormFloat64(), 5*rng.NormFloat64()
			}
			wx, slope := at(t, w.At, x)
			conjugate, back := at(t, w.ConjugateAt, slope)
			wSlope, _ := at(t, w.At, slope)
			other, _ := at(t, w.ConjugateAt, y)
			size := 1 + math.Abs(wx) + math.Abs(wSlope) + math.Abs(conjugate)

			// Monge–Ampère: −log ρ(x) = w(∇w(x)) − log det ∇²w + log Z_w.
			if gap := g.energy(x) - (wSlope - logDet + w.LogZ()); math.Abs(gap) > tol*size {
				t.Errorf("d = %d: Monge–Ampère is off by %g", d, gap)
			}
			// Fenchel: w(x) + w*(∇w(x)) = ⟨x,∇w(x)⟩ and ∇w*(∇w(x)) = x; elsewhere it is ≥.
			if gap := wx + conjugate - floats.Dot(x, slope); math.Abs(gap) > tol*size {
				t.Errorf("d = %d: Fenchel's identity is off by %g", d, gap)
			}
			if wx+other < floats.Dot(x, y) {
				t.Errorf("d = %d: Fenchel's inequality fails", d)
			}
			if !floats.EqualApprox(back, x, tol*(1+floats.Norm(x, 2))) {
				t.Errorf("d = %d: ∇w*(∇w(x)) = %v for x = %v", d, back, x)
			}
			// −log 𝔓_w = w + log Z_w; the same holds for the moment measure.
			for name, q := range map[string]*Quadratic{"w": w, "u": u} {
				v, _ := at(t, q.At, y)
				if gap := q.Gibbs().energy(y) - v - q.LogZ(); math.Abs(gap) > tol*(1+math.Abs(v)) {
					t.Errorf("d = %d: the Gibbs factor of %s is off by %g", d, name, gap)
				}
			}
			// A push-forward has covariance (AB)Aᵀ, for the map's matrix A and the Gibbs factor's covariance B.
			cov := g.Power(1)
			pushed := push(w.Gibbs().Power(1), w.matrix(-1))
			if !mat.EqualApprox(pushed, cov, tol) {
				t.Errorf("d = %d: ∇w*♯𝔓_w has covariance %v", d, mat.Formatted(pushed))
			}
			if pushed = push(u.Gibbs().Power(1), u.matrix(1)); !mat.EqualApprox(pushed, cov, tol) {
				t.Errorf("d = %d: ∇u♯𝔓_u has covariance %v", d, mat.Formatted(pushed))
			}
			if _, mean := at(t, w.ConjugateAt, w.Gibbs().Mean); !floats.EqualApprox(mean, g.Mean, tol) {
				t.Errorf("d = %d: ∇w*♯𝔓_w has mean %v, want %v", d, mean, g.Mean)
			}
			if values := w.Gibbs().Values; !slices.IsSorted(values) {
				t.Errorf("eigenvalues %v are not ascending", values)
			}
		}
	}
}

// matrix is Aᵖ by its columns.
func (q *Quadratic) matrix(p float64) *mat.Dense {
	d := q.Dim()
	m := mat.NewDense(d, d, nil)
	for k := range d {
		axis := make([]float64, d)
		axis[k] = 1
		m.SetCol(k, q.product(axis, p))
	}
	return m
}

func push(cov mat.Matrix, a *mat.Dense) *mat.Dense {
	var half, out mat.Dense
	half.Mul(a, cov)
	out.Mul(&half, a.T())
	return &out
}

func at(t *testing.T, f func([]float64) (float64, []float64, error), x []float64) (float64, []float64) {
	t.Helper()
	v, g, err := f(x)
	if err != nil {
		t.Fatal(err)
	}
	return v, g
}

// On batches the quadratic has the same values as on points, to float32.
func TestQuadraticOnBatches(t *testing.T) {
	rng := random.New(1, "batches", 0)
	w := conditionedGaussian(t, 7, 100, rng).ConjugateMoment()
	x, v := problem.NormalRows(9, 7, 3, rng), problem.NormalRows(9, 7, 3, rng)
	value, grad, hv := make([]float32, 9), batch.New(9, 7), batch.New(9, 7)
	if err := errors.Join(w.Eval(x, value, grad), w.HessVec(x, v, hv)); err != nil {
		t.Fatal(err)
	}
	for i := range x.Rows {
		want, slope := at(t, w.At, problem.Widened(batch.Row(x, i)))
		if e := math.Abs(float64(value[i]) - want); e > 1e-6*want {
			t.Errorf("w(x_%d) = %v, want %v", i, value[i], want)
		}
		if !floats.EqualApprox(problem.Widened(batch.Row(grad, i)), slope, 1e-5) {
			t.Errorf("∇w(x_%d) = %v, want %v", i, batch.Row(grad, i), slope)
		}
		var product mat.VecDense
		product.MulVec(w.matrix(1), mat.NewVecDense(7, problem.Widened(batch.Row(v, i))))
		if !floats.EqualApprox(problem.Widened(batch.Row(hv, i)), product.RawVector().Data, 1e-5) {
			t.Errorf("∇²w·v_%d = %v, want %v", i, batch.Row(hv, i), product.RawVector().Data)
		}
	}
	if _, _, err := w.At(make([]float64, 6)); err == nil {
		t.Error("a point of 6 coordinates on ℝ⁷ gives no error")
	}
	if _, _, err := w.ConjugateAt(nil); err == nil {
		t.Error("a point without coordinates gives no error")
	}
	if err := w.Eval(batch.New(2, 6), nil, blas32.General{}); err == nil {
		t.Error("a batch of width 6 on ℝ⁷ gives no error")
	}
	if err := w.Eval(x, value[:8], blas32.General{}); err == nil {
		t.Error("8 values for 9 points give no error")
	}
	if err := w.Eval(x, nil, batch.New(8, 7)); err == nil {
		t.Error("8 gradients for 9 points give no error")
	}
	if err := w.HessVec(x, v, batch.New(9, 6)); err == nil {
		t.Error("products of width 6 on ℝ⁷ give no error")
	}
}

// Draws have the moments of the law, and a fit to them recovers it.
func TestGaussianDrawsAndFit(t *testing.T) {
	cov := mat.NewSymDense(3, []float64{4, 1, 0, 1, 2, -.5, 0, -.5, 1})
	g, err := NewGaussian([]float64{1, 2, 3}, cov)
	if err != nil {
		t.Fatal(err)
	}
	const n = 200000
	for name, c := range map[string]struct {
		power float64
		mean  []float64
	}{"ρ": {1, g.Mean}, "the Gibbs factor": {1. / 3, g.Center()}} {
		x := g.Sample(n, random.New(1, name, 0))
		if c.power != 1 {
			x = g.SampleGibbs(n, random.New(1, name, 0))
		}
		fit, err := FitGaussian(x, 0)
		if err != nil {
			t.Fatal(err)
		}
		want := g.Power(c.power)
		for i := range 3 {
			if se := math.Sqrt(want.At(i, i) / n); math.Abs(fit.Mean[i]-c.mean[i]) > 5*se {
				t.Errorf("%s: mean[%d] = %v, want %v", name, i, fit.Mean[i], c.mean[i])
			}
			for j := range 3 {
				se := math.Sqrt((want.At(i, i)*want.At(j, j) + want.At(i, j)*want.At(i, j)) / n)
				if got := fit.Power(1).At(i, j); math.Abs(got-want.At(i, j)) > 5*se {
					t.Errorf("%s: covariance[%d,%d] = %v, want %v ± %v", name, i, j, got, want.At(i, j), se)
				}
			}
		}
	}
}

// The factors of a preconditioner: L·Lᵀ = P = H⁻¹, and Root of white noise has covariance P.
func TestMetric(t *testing.T) {
	h := mat.NewSymDense(3, []float64{4, 1, 0, 1, 2, -.5, 0, -.5, 1})
	m, err := potential.PreconditionerFromHessian(h)
	if err != nil {
		t.Fatal(err)
	}
	unit := batch.New(3, 3)
	for i := range 3 {
		unit.Data[4*i] = 1
	}
	p, rt, llt, back := batch.New(3, 3), batch.New(3, 3), batch.New(3, 3), batch.New(3, 3)
	m.Apply(p, unit)
	m.RootT(rt, unit)
	m.Root(llt, rt)
	for i := range 3 {
		for j := range 3 {
			if math.Abs(float64(llt.Data[3*i+j]-p.Data[3*i+j])) > 1e-6 {
				t.Errorf("L·Lᵀ and P differ at (%d, %d): %v and %v", i, j, llt.Data[3*i+j], p.Data[3*i+j])
			}
			for k := range 3 {
				back.Data[3*i+j] += p.Data[3*i+k] * float32(h.At(k, j))
			}
			want := float32(0)
			if i == j {
				want = 1
			}
			if math.Abs(float64(back.Data[3*i+j]-want)) > 1e-6 {
				t.Errorf("P·H at (%d, %d) is %v", i, j, back.Data[3*i+j])
			}
		}
	}
	if _, err := potential.PreconditionerFromHessian(mat.NewSymDense(2, []float64{1, 2, 2, 1})); err == nil {
		t.Error("an indefinite Hessian gives no error")
	}
	if _, err := potential.DiagonalPreconditioner([]float64{1, 0}); err == nil {
		t.Error("a zero on a diagonal gives no error")
	}
}
