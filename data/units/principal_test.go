package units

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// The leading directions are those of the exact eigendecomposition of the sample.
func TestPrincipalDirections(t *testing.T) {
	x, _ := skewed(t, 3000)
	const k = 4
	p, err := NewPrincipal(x, k, random.New(1, "start", 0))
	if err != nil {
		t.Fatal(err)
	}
	exact, err := exact.FitGaussian(x, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rest float64
	for j := range 12 {
		want := exact.Values[11-j]
		if j >= k {
			rest += want / 8
			continue
		}
		var along float64
		for i := range 12 {
			along += float64(batch.Row(p.Vectors, i)[j]) * exact.Vectors.At(i, 11-j)
		}
		if math.Abs(p.Values[j]-want) > 2e-3*want || math.Abs(math.Abs(along)-1) > 1e-2 {
			t.Errorf("direction %d: variance %g, want %g; cosine %g", j, p.Values[j], want, along)
		}
	}
	if math.Abs(p.Rest-rest) > 1e-2*rest {
		t.Errorf("mean variance of the rest %g, want %g", p.Rest, rest)
	}
	if _, err := NewPrincipal(x, 12, random.New(1, "start", 0)); err == nil {
		t.Error("as many directions as dimensions are not refused")
	}
}

// Points lifted from exact coordinates have the covariance of the data, except
// that the remainder is isotropic. Between a lifted noise and its picture
// ∇w*(y) = Σ^{1/3}y holds.
func TestPrincipalLift(t *testing.T) {
	const n, k, all = 20_000, 3, 6
	x, _ := skewed(t, n)
	p, err := NewPrincipal(x, all, random.New(1, "start", 0))
	if err != nil {
		t.Fatal(err)
	}
	z := p.Coordinates(batch.Shifted(x, p.Mean), k)
	stream := func() *random.Stream { return random.New(1, "remainder", 0) }
	picture, noise := p.Lift(z, 1./2, stream()), p.Lift(z, 1./6, stream())
	_, cov := batch.Moments(picture)
	v := mat.NewDense(12, all, nil)
	for i := range 12 {
		for j := range all {
			v.Set(i, j, float64(batch.Row(p.Vectors, i)[j]))
		}
	}
	var inner mat.Dense
	inner.Product(v.T(), cov, v)
	for j := range all {
		if got := inner.At(j, j); math.Abs(got-p.Values[j]) > .05*p.Values[j] {
			t.Errorf("variance along direction %d is %g, want %g", j, got, p.Values[j])
		}
	}
	if got, want := mat.Trace(cov)-mat.Trace(&inner), 6*p.Rest; math.Abs(got-want) > .05*want {
		t.Errorf("variance of the remainder %g, want %g", got, want)
	}
	// Along the directions beyond k the map is λ^{1/3}, beyond all of them rest^{1/3}.
	for _, b := range []blas32.General{picture, noise} {
		if got := p.Coordinates(b, k); math.Abs(float64(batch.Row(got, 5)[1]-batch.Row(z, 5)[1])) > 1e-3 {
			t.Errorf("a coordinate of the network is %g, want %g", batch.Row(got, 5)[1], batch.Row(z, 5)[1])
		}
	}
	a, b := p.Coordinates(picture, all), p.Coordinates(noise, all)
	for j := k; j < all; j++ {
		if ratio := float64(batch.Row(a, 7)[j] / batch.Row(b, 7)[j]); math.Abs(ratio-math.Cbrt(p.Values[j])) > 1e-2 {
			t.Errorf("direction %d: the map stretches by %g, want %g", j, ratio, math.Cbrt(p.Values[j]))
		}
	}
	across := func(x, z blas32.General) []float32 { // row 7 less what lies along V
		out := batch.New(1, 12)
		copy(out.Data, batch.Row(x, 7))
		blas32.Gemm(blas.NoTrans, blas.Trans, -1, batch.Rows(z, 7, 8), p.Vectors, 1, out)
		return out.Data
	}
	u, w := across(picture, a), across(noise, b)
	for i := range u {
		if math.Abs(float64(u[i])-math.Cbrt(p.Rest)*float64(w[i])) > 1e-3 {
			t.Errorf("coordinate %d of the remainder: %g from %g, want a factor of %g", i, u[i], w[i], math.Cbrt(p.Rest))
		}
	}
}

// The density of all coordinates is that of the learned ones times that of the
// rest: for a Gaussian, in closed form, Σ = V·diag(λ)·Vᵀ + rest·(I − V·Vᵀ).
func TestPrincipalDensity(t *testing.T) {
	x, _ := skewed(t, 2000)
	p, err := NewPrincipal(x, 6, random.New(1, "start", 0))
	if err != nil {
		t.Fatal(err)
	}
	p.Learned = 3
	v := mat.NewDense(12, 6, nil)
	spread := mat.NewDense(6, 6, nil)
	for j := range 6 {
		for i := range 12 {
			v.Set(i, j, float64(batch.Row(p.Vectors, i)[j]))
		}
		spread.Set(j, j, p.Values[j]-p.Rest)
	}
	var sum mat.Dense
	sum.Product(v, spread, v.T())
	cov := mat.NewSymDense(12, nil)
	for i := range 12 {
		for j := range 12 {
			cov.SetSym(i, j, (sum.At(i, j)+sum.At(j, i))/2)
		}
		cov.SetSym(i, i, cov.At(i, i)+p.Rest)
	}
	whole, err := exact.NewGaussian(p.Mean, cov)
	if err != nil {
		t.Fatal(err)
	}
	want, err := whole.LogPDF(batch.Rows(x, 0, 20))
	if err != nil {
		t.Fatal(err)
	}
	centred := batch.Shifted(batch.Rows(x, 0, 20), p.Mean)
	z := p.Coordinates(centred, p.Learned)
	for i, got := range p.logRest(centred) {
		for j, c := range batch.Row(z, i) {
			got -= (float64(c)*float64(c)/p.Values[j] + math.Log(2*math.Pi*p.Values[j])) / 2
		}
		if math.Abs(got-want[i]) > 1e-3*math.Abs(want[i]) {
			t.Errorf("point %d: log density %g, want %g", i, got, want[i])
		}
	}
}

// skewed is a sample of a Gaussian on ℝ¹² with variances 9·.6^k along random
// directions.
func skewed(t *testing.T, n int) (x blas32.General, law *exact.Gaussian) {
	t.Helper()
	const d = 12
	var qr mat.QR
	wide := mat.NewDense(d, d, nil)
	rng := random.New(1, "directions", 0)
	wide.Apply(func(int, int, float64) float64 { return rng.NormFloat64() }, wide)
	qr.Factorize(wide)
	law = &exact.Gaussian{Mean: make([]float64, d), Values: make([]float64, d), Vectors: new(mat.Dense)}
	qr.QTo(law.Vectors)
	for k := range d {
		law.Values[k], law.Mean[k] = 9*math.Pow(.6, float64(k)), float64(k)
	}
	return law.Sample(n, random.New(1, "sample", 0)), law
}
