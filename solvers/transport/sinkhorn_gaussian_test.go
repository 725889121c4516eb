package transport

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// gaussianOT is entropic transport between N(a, A) and N(b, B) for c = ‖x − y‖² in
// closed form, with D = (4A^{1/2}BA^{1/2} + (ε/2)²I)^{1/2}:
//
//	OT_ε = ‖a−b‖² + tr(A + B − D) + dε/2·(1 − log ε) + ε/2·log det(D + ε/2·I),
//
// and E[y|x] = b + CᵀA⁻¹(x−a) with C = ½A^{1/2}DA^{−1/2} − ε/4·I; slope is CᵀA⁻¹.
// H. Janati, B. Muzellec, G. Peyré, M. Cuturi, "Entropic Optimal Transport between
// Unbalanced Gaussian Measures has a Closed Form", NeurIPS 2020, theorem 1.
func gaussianOT(t *testing.T, p, q *exact.Gaussian, epsilon float64) (value float64, slope *mat.Dense) {
	t.Helper()
	d := p.Dim()
	s := epsilon / 2
	root, inverse := p.Power(.5), p.Power(-.5)
	var inner mat.Dense
	inner.Mul(root, q.Power(1))
	inner.Mul(&inner, root)
	inner.Scale(4, &inner)
	for k := range d {
		inner.Set(k, k, inner.At(k, k)+s*s)
	}
	g, err := exact.GaussianFromMatrix(make([]float64, d), &inner)
	if err != nil {
		t.Fatal(err)
	}
	value = mat.Trace(p.Power(1)) + mat.Trace(q.Power(1)) + float64(d)*s*(1-math.Log(2*s))
	for k, v := range g.Values { // of D²
		value += (p.Mean[k] - q.Mean[k]) * (p.Mean[k] - q.Mean[k])
		value += s*math.Log(math.Sqrt(v)+s) - math.Sqrt(v)
	}
	var cov mat.Dense
	cov.Mul(root, g.Power(.5))
	cov.Mul(&cov, inverse)
	cov.Scale(.5, &cov)
	for k := range d {
		cov.Set(k, k, cov.At(k, k)-s/2)
	}
	slope = new(mat.Dense)
	slope.Mul(cov.T(), p.Power(-1))
	return value, slope
}

// On a grid, with the densities as weights, sums are as accurate as integrals.
func TestSinkhornOfGaussiansOnAGrid(t *testing.T) {
	grid := func(g *exact.Gaussian, n int) (x, w []float64) {
		mean, sd := g.Mean[0], math.Sqrt(g.Values[0])
		for i := range n {
			z := 12*float64(i)/float64(n-1) - 6
			x, w = append(x, mean+sd*z), append(w, math.Exp(-z*z/2))
		}
		return x, w
	}
	p, q := lineGaussian(t, 1, 4), lineGaussian(t, -2, .25)
	x, a := grid(p, 300)
	y, b := grid(q, 200)
	cost, ys := batch.New(300, 200), batch.New(200, 1)
	for j := range y {
		ys.Data[j] = float32(y[j])
	}
	for i := range x {
		for j := range y {
			cost.Data[i*200+j] = float32((x[i] - y[j]) * (x[i] - y[j]))
		}
	}
	for _, relative := range []float64{1, .05, .01} {
		s := Sinkhorn{Epsilon: relative, Tolerance: 1e-5}
		c, err := s.Solve(cost, a, b)
		if err != nil {
			t.Fatal(err)
		}
		value, slope := gaussianOT(t, p, q, c.Epsilon)
		if c.Status != potential.Converged || c.MarginalError > 2e-5 {
			t.Errorf("ε = %g: %v after %d iterations, marginal error %g", c.Epsilon, c.Status, c.Iterations, c.MarginalError)
		}
		if math.Abs(c.Dual-value) > 1e-4*value {
			t.Errorf("ε = %g: OT is %g, want %g", c.Epsilon, c.Dual, value)
		}
		k := slope.At(0, 0)
		if want := 9 + 4 + .25 - 2*4*k; math.Abs(c.Cost-want) > 2e-4*want {
			t.Errorf("ε = %g: the cost is %g, want %g", c.Epsilon, c.Cost, want)
		}
		means := batch.New(300, 1)
		if err := c.Barycentres(means, ys); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			if math.Abs(x[i]-1) > 6 { // beyond three standard deviations the ends of the grid matter
				continue
			}
			if want := -2 + k*(x[i]-1); math.Abs(float64(means.Data[i])-want) > 1e-3 {
				t.Errorf("ε = %g: the mean partner of %g is %g, want %g", c.Epsilon, x[i], means.Data[i], want)
			}
		}
	}
}

func TestSinkhornOfGaussianSamples(t *testing.T) {
	const n = 1024
	p := gaussian(t, []float64{1, 0}, []float64{2, 1.2, 1.2, 1})
	q := gaussian(t, []float64{0, 2}, []float64{.5, -.3, -.3, 1.5})
	x, y := p.Sample(n, random.New(3, "x", 0)), q.Sample(n, random.New(3, "y", 0))
	// Gaussians with the samples' own moments stand for the laws.
	p, q = fitted(t, x), fitted(t, y)
	s := Sinkhorn{Epsilon: .1}
	m, c, err := s.Map(x, y)
	if err != nil {
		t.Fatal(err)
	}
	value, slope := gaussianOT(t, p, q, c.Epsilon)
	if math.Abs(c.Dual-value) > .02*value {
		t.Errorf("OT is %g, want %g", c.Dual, value)
	}
	// The map at new points.
	z, got := p.Sample(500, random.New(3, "z", 0)), batch.New(500, 2)
	if err := m.Apply(got, z); err != nil {
		t.Fatal(err)
	}
	var sum float64
	for i := range z.Rows {
		for k := range 2 {
			want := q.Mean[k]
			for l := range 2 {
				want += slope.At(k, l) * (float64(batch.Row(z, i)[l]) - p.Mean[l])
			}
			sum += (float64(batch.Row(got, i)[k]) - want) * (float64(batch.Row(got, i)[k]) - want)
		}
	}
	if mse := sum / 500; mse > .01*mat.Trace(q.Power(1)) {
		t.Errorf("mean squared error of the entropic map is %g, of a variance of %g", mse, mat.Trace(q.Power(1)))
	}
}

func lineGaussian(t *testing.T, mean, variance float64) *exact.Gaussian {
	return gaussian(t, []float64{mean}, []float64{variance})
}

func gaussian(t *testing.T, mean, cov []float64) *exact.Gaussian {
	t.Helper()
	g, err := exact.NewGaussian(mean, mat.NewSymDense(len(mean), cov))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func fitted(t *testing.T, x blas32.General) *exact.Gaussian {
	t.Helper()
	g, err := exact.FitGaussian(x, 0)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
