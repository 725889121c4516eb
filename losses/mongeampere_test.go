package losses

import (
	"math"
	"testing"

	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/line"
	"cmf/solvers/random"
)

// evaluate runs a loss on inputs by name, each a function of row and column.
func evaluate(t *testing.T, m *layers.ICNN, term Term, n int, inputs map[string]func(i, k int) float64) float64 {
	t.Helper()
	p, _, err := Compile(m, Sum{{1, term}}, n)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range inputs {
		in := p.In(name)
		for i := range in.F64 {
			in.F64[i] = f(i/in.Cols, i%in.Cols)
		}
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return p.Out("loss").At(0, 0)
}

func equal(n int) func(i, k int) float64 {
	return func(int, int) float64 { return 1 / float64(n) }
}

// The residual is constant at the closed form of a Gaussian: w = ½Σ λ_k^{-1/3}(x_k−c_k)².
func TestMongeAmpereOfAGaussian(t *testing.T) {
	const n = 64
	mean, variance := []float64{3, -2, .5}, []float64{4, .25, 1.5}
	m, err := layers.NewICNN(layers.Architecture{Dim: 3, Hidden: []int{2}, Float64: true})
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range variance {
		m.Share.Set(k, math.Pow(v, -1./3))
		m.Center.Set(k, mean[k]/(1+math.Pow(v, 1./3)))
	}
	x := make([]float64, 3*n)
	rng := random.New(1, "points", 0)
	for i := range x {
		x[i] = 5 * rng.NormFloat64()
	}
	inputs := map[string]func(i, k int) float64{
		solvers.BatchMask.Name:   equal(n),
		solvers.BatchPoints.Name: func(i, k int) float64 { return x[3*i+k] },
		solvers.BatchEnergy.Name: func(i, _ int) (e float64) {
			for k, v := range variance {
				e += (x[3*i+k] - mean[k]) * (x[3*i+k] - mean[k]) / (2 * v)
			}
			return e
		},
		solvers.BatchSlope.Name: func(i, k int) float64 { return (x[3*i+k] - mean[k]) / variance[k] },
	}
	of := func(names ...string) map[string]func(i, k int) float64 {
		some := make(map[string]func(i, k int) float64)
		for _, name := range names {
			some[name] = inputs[name]
		}
		return some
	}
	if v := evaluate(t, m, MongeAmpere{}, n, of(solvers.BatchPoints.Name, solvers.BatchEnergy.Name, solvers.BatchMask.Name)); !(v < 1e-20) {
		t.Errorf("variance of the residual %g, want 0", v)
	}
	if v := evaluate(t, m, MongeAmpereGradient{}, n, of(solvers.BatchPoints.Name, solvers.BatchSlope.Name, solvers.BatchMask.Name)); !(v < 1e-20) {
		t.Errorf("squared slope of the residual %g, want 0", v)
	}
	m.Share.Set(1, 1.1*m.Share.At(1))
	if v := evaluate(t, m, MongeAmpere{}, n, of(solvers.BatchPoints.Name, solvers.BatchEnergy.Name, solvers.BatchMask.Name)); !(v > 1) {
		t.Errorf("variance of the residual %g off the solution", v)
	}
	if v := evaluate(t, m, MongeAmpereGradient{}, n, of(solvers.BatchPoints.Name, solvers.BatchSlope.Name, solvers.BatchMask.Name)); !(v > 1) {
		t.Errorf("squared slope of the residual %g off the solution", v)
	}
}

// If the hinges follow the fixed point of a 1-D mixture, the variance of the residual
// vanishes as their number grows.
func TestMongeAmpereOfAMixture(t *testing.T) {
	rho, err := line.NewMixture(line.Component{Weight: .7, Mean: -2, SD: .5}, line.Component{Weight: .3, Mean: 1.5, SD: .8})
	if err != nil {
		t.Fatal(err)
	}
	truth, err := line.Solver{}.Conjugate(rho)
	if err != nil {
		t.Fatal(err)
	}
	const n = 201
	x := func(i, _ int) float64 { return -3.2 + 6.4*float64(i)/(n-1) }
	inputs := map[string]func(i, k int) float64{
		solvers.BatchMask.Name: equal(n), solvers.BatchPoints.Name: x,
		solvers.BatchEnergy.Name: func(i, k int) float64 { return -rho.LogPDF(x(i, k)) },
	}
	last := math.Inf(1)
	for _, knots := range []int{50, 100, 200} {
		m, err := layers.NewICNN(layers.Architecture{Dim: 1, Hidden: []int{1}, Knots: knots, Float64: true})
		if err != nil {
			t.Fatal(err)
		}
		// w′ = w′(lo) + Σ_k Δ_k·σ(s(x − t_k)) steps from grid point to grid point.
		const lo, hi = -5., 5.
		h := (hi - lo) / float64(knots)
		slope := 2 / h
		for k, knot := range m.Knots {
			at := lo + h*(float64(k)+.5)
			knot.Slope.Set(0, slope)
			knot.Bias.Set(0, -slope*at)
			knot.Weight.Set(0, (truth.Slope(at+h/2)-truth.Slope(at-h/2))/slope)
		}
		m.Linear.Set(0, truth.Slope(lo))
		v := evaluate(t, m, MongeAmpere{}, n, inputs)
		if !(v < last/3) {
			t.Errorf("%d knots: variance of the residual %g, %g with half as many", knots, v, last)
		}
		last = v
	}
	if !(last < 1e-3) {
		t.Errorf("variance of the residual %g, want almost 0", last)
	}
	t.Logf("variance of the residual with 200 hinges: %.2g", last)
}
