package line

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/solvers/internal/problem"
	"cmf/solvers/random"

	"pgregory.net/rapid"
)

// The tails of a mixture and of its reflection agree, and its quantiles have
// their levels.
func TestMixture1DTails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, lo, hi float64) float64 { return rapid.Float64Range(lo, hi).Draw(t, name) }
		var one, mirrored []Component
		for range rapid.IntRange(1, 3).Draw(t, "components") {
			c := Component{draw("weight", .1, 1), draw("mean", -3, 3), draw("sd", .01, 2)}
			one = append(one, c)
			mirrored = append(mirrored, Component{c.Weight, -c.Mean, c.SD})
		}
		rho, err := NewMixture(one...)
		if err != nil {
			t.Fatal(err)
		}
		mirror, err := NewMixture(mirrored...)
		if err != nil {
			t.Fatal(err)
		}
		x := draw("x", -40, 40)
		lower, upper := rho.LogLower(x), rho.LogUpper(x)
		if lower != mirror.LogUpper(-x) || lower > 0 || math.Abs(math.Exp(lower)+math.Exp(upper)-1) > 1e-12 {
			t.Fatalf("log tails at %g are %g and %g, reflected %g", x, lower, upper, mirror.LogUpper(-x))
		}
		p := draw("p", 1e-12, 1-1e-12)
		if q := Quantile(rho, p); math.Abs(math.Exp(rho.LogLower(q))-p) > 1e-9*p {
			t.Fatalf("quantile %g of %g", q, p)
		}
	})
	for _, p := range []float64{0, 1, -1, math.NaN()} {
		if q := Quantile(laplace{}, p); !math.IsNaN(q) {
			t.Errorf("quantile %g of %g", q, p)
		}
	}
}

// log P(Z > z) continues where erfc underflows.
func TestNormalTail(t *testing.T) {
	for z, want := range map[float64]float64{0: -math.Ln2, 30: -454.3212439955966, 40: -804.6084420137538} {
		problem.CloseTo(t, fmt.Sprintf("log P(Z > %g)", z), logNormalTail(z), want, 1e-9*math.Abs(want))
	}
	problem.CloseTo(t, "step where the series begins", logNormalTail(30)-logNormalTail(30-1e-9), -30e-9, 1e-9)
}

func TestMixture1DErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for want, components := range map[string][]Component{
		"component 2 has weight -0.5":           {{1, 0, 1}, {-.5, 0, 1}},
		"component 1 has weight NaN":            {{nan, 0, 1}},
		"component 1 has mean +Inf":             {{1, inf, 1}},
		"component 3 has standard deviation 0":  {{1, 0, 1}, {1, 0, 1}, {1, 0, 0}},
		"component 1 has standard deviation -1": {{1, 0, -1}},
		"the weights of 1 components sum to 0":  {{0, 0, 1}},
		"the weights of 0 components sum to 0":  {},
	} {
		if _, err := NewMixture(components...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", components, err, want)
		}
	}
	m := mustMixture(t, Component{1, -1, 1}, Component{3, 1, 2})
	if m.Total != 4 || m.Components[1].Weight != .75 {
		t.Errorf("weights 1 and 3 give total %g and %+v", m.Total, m.Components)
	}
	problem.CloseTo(t, "mean", m.Mean(), .5, 1e-15)
	problem.CloseTo(t, "variance", m.Variance(), .25*(1+2.25)+.75*(4+.25), 1e-15)
	x := m.Sample(200000, random.New(1, "mixture", 0))
	var sum, squares float64
	for _, v := range x.Data {
		sum, squares = sum+float64(v)/200000, squares+float64(v)*float64(v)/200000
	}
	problem.CloseTo(t, "sample mean", sum, m.Mean(), .02)
	problem.CloseTo(t, "sample variance", squares-sum*sum, m.Variance(), .05)
}
