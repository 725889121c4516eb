package losses

import (
	"math"
	"strings"
	"testing"

	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/random"
)

// With contexts the residual of a Gaussian whose mean depends on them is constant for each,
// whatever the constants of the energies are, and the loss compares no rows of two contexts.
func TestMongeAmpereGivenContexts(t *testing.T) {
	const n, groups = 4 * solvers.ContextRows, 4
	variance := []float64{4, .25}
	m, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: []int{2}, Context: 1, Float64: true})
	if err != nil {
		t.Fatal(err)
	}
	shift := []float64{.7, -.4}
	for k, v := range variance {
		m.Share.Set(k, math.Pow(v, -1./3))
		m.Params().ByName("context.shift.linear").Set(k, shift[k])
	}
	m.Params().ByName("context.scale").Set(0, 1)
	context := func(i int) float64 { return []float64{-1, .5, 2, 0}[i/solvers.ContextRows] }
	mean := func(i, k int) float64 { return (1 + math.Pow(variance[k], 1./3)) * shift[k] * context(i) }
	x := make([]float64, 2*n)
	rng := random.New(1, "points", 0)
	for i := range x {
		x[i] = 3 * rng.NormFloat64()
	}
	constants := []float64{5, -20, 0, 100}
	inputs := map[string]func(i, k int) float64{
		"context":                func(i, _ int) float64 { return context(i) },
		solvers.BatchMask.Name:   equal(n),
		solvers.BatchPoints.Name: func(i, k int) float64 { return x[2*i+k] },
		solvers.BatchEnergy.Name: func(i, _ int) float64 {
			e := constants[i/solvers.ContextRows]
			for k, v := range variance {
				e += math.Pow(x[2*i+k]-mean(i, k), 2) / (2 * v)
			}
			return e
		},
	}
	if v := evaluate(t, m, MongeAmpere{}, n, inputs); !(v < 1e-20) {
		t.Errorf("variance of the residual %g, want 0", v)
	}
	slopes := map[string]func(i, k int) float64{
		"context": inputs["context"], solvers.BatchMask.Name: inputs[solvers.BatchMask.Name], solvers.BatchPoints.Name: inputs[solvers.BatchPoints.Name],
		solvers.BatchSlope.Name: func(i, k int) float64 { return (x[2*i+k] - mean(i, k)) / variance[k] },
	}
	if v := evaluate(t, m, MongeAmpereGradient{}, n, slopes); !(v < 1e-20) {
		t.Errorf("squared slope of the residual %g, want 0", v)
	}
	// Off the solution for one context alone, the loss is the variance among its rows, of 1/4
	// of the weight.
	m.Share.Set(0, 1.1*m.Share.At(0))
	all := evaluate(t, m, MongeAmpere{}, n, inputs)
	inputs[solvers.BatchMask.Name] = func(i, _ int) float64 {
		if i/solvers.ContextRows == 2 {
			return 1. / n
		}
		return 0
	}
	if part := evaluate(t, m, MongeAmpere{}, n, inputs); !(part > 0 && part < all) {
		t.Errorf("the loss of one context is %g, of all %g", part, all)
	}
	if _, _, err := Compile(m, Sum{{1, MongeAmpere{}}}, n+1); err == nil || !strings.Contains(err.Error(), "a multiple of 16") {
		t.Errorf("a batch of %d points: %v", n+1, err)
	}
	if err := (Sum{{1, MongeAmpereConstant{}}}).CheckContexts(); err == nil {
		t.Error("one constant for all contexts is allowed")
	}
}

// The gradients in every weight, those of contexts too, are those of finite differences.
func TestMongeAmpereGradientsGivenContexts(t *testing.T) {
	for _, term := range []Term{MongeAmpere{}, MongeAmpereGradient{}} {
		m, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: []int{3, 2}, Full: true, Context: 2, ContextHidden: 2, Float64: true})
		if err != nil {
			t.Fatal(err)
		}
		randomise(m)
		const n = 2 * solvers.ContextRows
		p, trained, err := Compile(m, Sum{{1, term}}, n)
		if err != nil {
			t.Fatal(err)
		}
		fill(p, Sum{{1, term}})
		c := p.In("context")
		for i := range c.F64 {
			c.F64[i] = math.Sin(float64(1 + i/(2*solvers.ContextRows)*2 + i%2))
		}
		loss := func() float64 {
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			return p.Out("loss").At(0, 0)
		}
		for _, w := range trained {
			loss()
			got := append([]float64(nil), p.Out(gradient(w)).F64...)
			for i := range w.Len() {
				const h = 1e-4
				v := w.At(i)
				w.Set(i, v+h)
				above := loss()
				w.Set(i, v-h)
				want := (above - loss()) / (2 * h)
				w.Set(i, v)
				if math.Abs(got[i]-want) > 1e-5*(1+math.Abs(want)) {
					t.Errorf("%s: ∂/∂%s[%d] is %g, by differences %g", term.Name(), w.Name, i, got[i], want)
				}
			}
		}
	}
}
