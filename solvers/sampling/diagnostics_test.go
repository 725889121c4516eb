package sampling_test

import (
	"math"
	"testing"

	"cmf/solvers/random"
	"cmf/solvers/sampling"
)

// autoregression returns chains x_t = φ x_{t−1} + √(1−φ²) ξ_t with N(0, 1) marginals;
// chain m is shifted by m·shift.
func autoregression(chains, steps int, phi, shift float64) [][]float64 {
	traces := make([][]float64, chains)
	for m := range traces {
		rng := random.New(11, "autoregression", uint64(m))
		traces[m] = make([]float64, steps)
		x := rng.NormFloat64()
		for t := range traces[m] {
			traces[m][t] = x + float64(m)*shift
			x = phi*x + math.Sqrt(1-phi*phi)*rng.NormFloat64()
		}
	}
	return traces
}

func TestEffectiveSampleSizeOfAutoregression(t *testing.T) {
	const chains, steps = 4, 5000
	for _, phi := range []float64{-.5, 0, .5, .9} {
		got, err := sampling.EffectiveSampleSize(autoregression(chains, steps, phi, 0))
		if err != nil {
			t.Fatal(err)
		}
		if want := chains * steps * (1 - phi) / (1 + phi); math.Abs(got/want-1) > .12 {
			t.Errorf("φ = %g: ESS %.0f, want about %.0f", phi, got, want)
		}
	}
}

func TestSplitRHat(t *testing.T) {
	drift := autoregression(1, 1000, 0, 0)
	for step := range drift[0] {
		drift[0][step] += 3 * float64(step) / 1000
	}
	for _, c := range []struct {
		name     string
		traces   [][]float64
		low, top float64
	}{
		{"alike", autoregression(4, 2000, 0, 0), .999, 1.005},
		{"shifted", autoregression(4, 2000, 0, 5), 3, math.Inf(1)},
		{"drifting", drift, 1.3, math.Inf(1)},
		// Halves {1, 3} and {5, 7}: W = 2, B/n = 8, var⁺ = 1 + 8.
		{"by hand", [][]float64{{1, 3, 5, 7}}, math.Sqrt(4.5) - 1e-12, math.Sqrt(4.5) + 1e-12},
		{"by hand, odd", [][]float64{{1, 3, 100, 5, 7}}, math.Sqrt(4.5) - 1e-12, math.Sqrt(4.5) + 1e-12},
	} {
		got, err := sampling.SplitRHat(c.traces)
		if err != nil {
			t.Fatal(err)
		}
		if !(got >= c.low && got <= c.top) {
			t.Errorf("%s: R̂ is %g, want %g to %g", c.name, got, c.low, c.top)
		}
	}
}

func TestShiftedChainsHaveNoEffectiveSample(t *testing.T) {
	got, err := sampling.EffectiveSampleSize(autoregression(4, 2000, 0, 5))
	if err != nil || got > 20 {
		t.Errorf("ESS of four chains that never meet is %g (%v), want a handful", got, err)
	}
}

func TestDiagnosticsOfBadTraces(t *testing.T) {
	for name, traces := range map[string][][]float64{
		"none": nil, "short": {{1, 2, 3}}, "ragged": {{1, 2, 3, 4}, {1, 2, 3}}, "not finite": {{1, 2, math.NaN(), 4}},
	} {
		if _, err := sampling.SplitRHat(traces); err == nil {
			t.Errorf("%s: R̂ without an error", name)
		}
		if _, err := sampling.EffectiveSampleSize(traces); err == nil {
			t.Errorf("%s: ESS without an error", name)
		}
	}
	constant := [][]float64{{2, 2, 2, 2}, {2, 2, 2, 2}}
	rhat, err := sampling.SplitRHat(constant)
	ess, err2 := sampling.EffectiveSampleSize(constant)
	if !math.IsNaN(rhat) || !math.IsNaN(ess) || err != nil || err2 != nil {
		t.Errorf("constant traces: R̂ %g (%v), ESS %g (%v); want NaN", rhat, err, ess, err2)
	}
}
