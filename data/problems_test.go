package data

import (
	"math"
	"slices"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/line"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// normalLine is the potential of N(m, v) on ℝ: w′(x) = v^{-1/3}(x − m/(1+v^{1/3})).
type normalLine struct{ m, v float64 }

func (l normalLine) c() float64 { return l.m / (1 + math.Cbrt(l.v)) }

func (l normalLine) Slope(x float64) float64 { return (x - l.c()) / math.Cbrt(l.v) }

func (l normalLine) Value(x float64) float64 { return (x - l.c()) * l.Slope(x) / 2 }

func (l normalLine) ConjugateSlope(y float64) float64 {
	return math.Cbrt(l.v)*y + l.c()
}

func (l normalLine) GibbsQuantile(level float64) float64 {
	return distuv.Normal{Mu: l.c(), Sigma: math.Pow(l.v, 1./6)}.Quantile(level)
}

var _ Line = (*line.Potential)(nil) // the usual kind of axis

// A product of normal laws is a Gaussian, rotated or not.
func TestProductOfNormals(t *testing.T) {
	axes := []Line{normalLine{1, 4}, normalLine{-2, .25}, normalLine{0, 1}}
	for name, rng := range map[string]*random.Stream{"axes": nil, "rotated": random.New(1, "rotation", 0)} {
		p, err := NewProduct(axes, rng)
		if err != nil {
			t.Fatal(err)
		}
		q := mat.NewDense(3, 3, slices.Clone(p.rotation.Data))
		var scaled, cov, unit mat.Dense
		scaled.Mul(q, mat.NewDiagDense(3, []float64{4, .25, 1}))
		cov.Mul(&scaled, q.T())
		unit.Mul(q, q.T())
		if !mat.EqualApprox(&unit, mat.NewDiagDense(3, []float64{1, 1, 1}), 1e-12) {
			t.Errorf("%s: Q is not orthogonal", name)
		}
		var mean mat.VecDense
		mean.MulVec(q, mat.NewVecDense(3, []float64{1, -2, 0}))
		law, err := exact.GaussianFromMatrix(mean.RawVector().Data, &cov)
		if err != nil {
			t.Fatal(err)
		}
		const n = 50000
		x, err := p.Sample(n, random.New(2, name, 0))
		if err != nil {
			t.Fatal(err)
		}
		got, want := batch.New(n, 3), batch.New(n, 3)
		gotValue, wantValue := make([]float32, n), make([]float32, n)
		if err := p.Eval(x, gotValue, got); err != nil {
			t.Fatal(err)
		}
		if err := law.ConjugateMoment().Eval(x, wantValue, want); err != nil {
			t.Fatal(err)
		}
		for i, v := range want.Data {
			if math.Abs(float64(got.Data[i]-v)) > 1e-5 {
				t.Fatalf("%s: entry %d of ∇w is %v, want %v", name, i, got.Data[i], v)
			}
		}
		for i, v := range wantValue {
			if math.Abs(float64(gotValue[i]-v)) > 1e-5*(1+float64(v)) {
				t.Fatalf("%s: w(x_%d) is %v, want %v", name, i, gotValue[i], v)
			}
		}
		fit, err := exact.FitGaussian(x, 0)
		if err != nil {
			t.Fatal(err)
		}
		if gap := fit.Power(1); !mat.EqualApprox(gap, &cov, 5*4*math.Sqrt2/math.Sqrt(n)) {
			t.Errorf("%s: the sample's covariance is %v, want %v", name, mat.Formatted(gap), mat.Formatted(&cov))
		}
	}
}

// |x|^{p(p−1)} has the mean d: it is |y|ᵖ, p times a Γ(d/p) number.
func TestRadialMoments(t *testing.T) {
	for _, r := range []Radial{{1, 1.5}, {2, 3}, {5, 2}, {16, 1.3}} {
		const n = 20000
		x, err := r.Sample(n, random.New(1, "radial", 0))
		if err != nil {
			t.Fatal(err)
		}
		var mean float64
		for i := range n {
			mean += math.Pow(norm(batch.Row(x, i)), r.P*(r.P-1)) / n
		}
		if d := float64(r.D); math.Abs(mean-d) > 5*math.Sqrt(r.P*d/n) {
			t.Errorf("%+v: E|x|^{p(p−1)} = %v, want %v", r, mean, d)
		}
	}
	if _, err := (Radial{2, 1}).Sample(3, random.New(1, "radial", 0)); err == nil {
		t.Error("p = 1 gives no error")
	}
}

// mixtureLine is the fixed point of ½N(−1.5, .25) + ½N(1, 1).
func mixtureLine(t *testing.T) Line {
	t.Helper()
	rho, err := line.NewMixture(line.Component{Weight: .5, Mean: -1.5, SD: .5}, line.Component{Weight: .5, Mean: 1, SD: 1})
	if err != nil {
		t.Fatal(err)
	}
	mixture, err := line.Solver{Nodes: 1001}.Conjugate(rho)
	if err != nil {
		t.Fatal(err)
	}
	return mixture
}

// The known potentials are true: y = ∇w(x) is a sample of e^{−w}, so E∇w(y) = 0
// and E⟨y, ∇w(y)⟩ = d; and ∇w is the gradient of w.
func TestProblemsAreSolved(t *testing.T) {
	mixture := mixtureLine(t)
	product, err := NewProduct([]Line{mixture, mixture, normalLine{1, 4}}, random.New(1, "rotation", 0))
	if err != nil {
		t.Fatal(err)
	}
	problems := map[string]Problem{"product": product, "peak": Radial{3, 1.5}, "shell": Radial{3, 3}}
	for name, d := range map[string]int{"inverse in ℝ¹": 1, "inverse in ℝ²": 2, "inverse in ℝ⁸": 8} {
		w, err := NewInverse(d, 8*d, random.New(1, "inverse", uint64(d)))
		if err != nil {
			t.Fatal(err)
		}
		problems[name] = w
	}
	for name, w := range problems {
		const n = 10000
		d := w.Dim()
		x, err := w.Sample(n, random.New(3, name, 0))
		if err != nil {
			t.Fatal(err)
		}
		y, g := batch.New(n, d), batch.New(n, d)
		if err := w.Eval(x, nil, y); err != nil {
			t.Fatal(err)
		}
		if err := w.Eval(y, nil, g); err != nil {
			t.Fatal(err)
		}
		virial, spread := 0., 0.
		mean, square := make([]float64, d), make([]float64, d)
		for i := range n {
			var inner float64
			for k, v := range batch.Row(g, i) {
				inner += float64(v) * float64(batch.Row(y, i)[k])
				mean[k] += float64(v) / n
				square[k] += float64(v) * float64(v) / n
			}
			virial += inner / n
			spread += inner * inner / n
		}
		// Samples of chains are slightly correlated: allow twice the error of
		// independent ones.
		if se := 2 * math.Sqrt((spread-virial*virial)/n); math.Abs(virial-float64(d)) > 4*se {
			t.Errorf("%s: E⟨y, ∇w(y)⟩ = %v ± %v, want %d", name, virial, se, d)
		}
		for k, v := range mean {
			if se := 2 * math.Sqrt(square[k]/n); math.Abs(v) > 4*se {
				t.Errorf("%s: entry %d of E∇w(y) is %v ± %v, want 0", name, k, v, se)
			}
		}
		checkSlopes(t, name, w, x, y)
	}
}

// checkSlopes compares differences of w along random directions with ∇w, at a
// few of the points x; g is ∇w(x).
func checkSlopes(t *testing.T, name string, w Problem, x, g blas32.General) {
	t.Helper()
	rng := random.New(4, name, 0)
	const points, step = 20, .02
	at, value := batch.New(2*points, x.Cols), make([]float32, 2*points)
	v := batch.New(points, x.Cols)
	rng.Normals(v.Data)
	for i := range points {
		for k, c := range batch.Row(x, i) {
			batch.Row(at, 2*i)[k], batch.Row(at, 2*i+1)[k] = c-step*batch.Row(v, i)[k], c+step*batch.Row(v, i)[k]
		}
	}
	if err := w.Eval(at, value, blas32.General{}); err != nil {
		t.Fatal(err)
	}
	for i := range points {
		var want float64
		for k, c := range batch.Row(v, i) {
			want += float64(c) * float64(batch.Row(g, i)[k])
		}
		got := float64(value[2*i+1]-value[2*i]) / (2 * step)
		if math.Abs(got-want) > 5e-3*(1+math.Abs(want)) {
			t.Errorf("%s: the slope of w at point %d is %v, ∇w says %v", name, i, got, want)
		}
	}
}

func TestProblemErrors(t *testing.T) {
	rng := random.New(1, "errors", 0)
	if _, err := NewProduct(nil, rng); err == nil {
		t.Error("a product without axes gives no error")
	}
	if _, err := NewInverse(0, 3, rng); err == nil {
		t.Error("an inverse problem in no dimension gives no error")
	}
	if _, err := NewInverse(3, 0, rng); err == nil {
		t.Error("an inverse problem without hinges gives no error")
	}
	w, err := NewInverse(2, 3, rng)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProduct([]Line{normalLine{0, 1}}, rng)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []Problem{w, p, Radial{2, 3}} {
		if err := q.Eval(batch.New(4, 3), nil, batch.New(4, 3)); err == nil {
			t.Errorf("%T takes points of ℝ³", q)
		}
		ok := batch.New(4, q.Dim())
		if err := q.Eval(ok, make([]float32, 3), ok); err == nil {
			t.Errorf("%T writes 3 values for 4 points", q)
		}
		if err := q.Eval(ok, nil, batch.New(3, q.Dim())); err == nil {
			t.Errorf("%T writes 3 gradients for 4 points", q)
		}
		x, err := q.Sample(0, rng)
		if err != nil || x.Rows != 0 {
			t.Errorf("%T: no points are %+v, %v", q, x, err)
		}
	}
}
