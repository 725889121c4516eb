package inference

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/internal/inputs"
	"cmf/experiments/metric"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/stat/distuv"
)

// The exact posteriors are those of the simulators: of pairs (θ, x), θ has the law of a draw
// given x, and so do its ranks among draws.
func TestReferencesAreCalibrated(t *testing.T) {
	const n, draws = 1000, 9
	for _, s := range Simulators() {
		theta, x, err := s.Pairs(n, random.New(1, "pairs", 0))
		if err != nil {
			t.Fatal(err)
		}
		c := Calibration{Draws: draws, Ranks: make([][]int, theta.Cols)}
		other := batch.New(n, theta.Cols)
		for i := range n {
			exact, err := s.Exact(batch.Row(x, i), draws, random.New(2, "exact", uint64(i)))
			if err != nil {
				t.Fatal(err)
			}
			copy(batch.Row(other, i), batch.Row(exact, 0))
			for k, v := range batch.Row(theta, i) {
				rank := 0
				for r := range draws {
					if batch.Row(exact, r)[k] < v {
						rank++
					}
				}
				c.Ranks[k] = append(c.Ranks[k], rank)
			}
		}
		for k := range c.Ranks {
			if p := c.PValue(k, 10); p < 1e-4 {
				t.Errorf("%s: ranks of parameter %d have the p-value %g", s.Name, k, p)
			}
		}
		// Together with x, too, which ranks do not show.
		accuracy, err := metric.NearestNeighbourAccuracy(beside(theta, x), beside(other, x))
		if err != nil {
			t.Fatal(err)
		}
		// Each row has its twin with the same x, so that only distances in θ count.
		if accuracy > .54 {
			t.Errorf("%s: exact draws are told from parameters with accuracy %.3f", s.Name, accuracy)
		}
	}
}

func beside(a, b blas32.General) blas32.General {
	out := batch.New(a.Rows, a.Cols+b.Cols)
	for i := range a.Rows {
		copy(batch.Row(out, i), batch.Row(a, i))
		copy(batch.Row(out, i)[a.Cols:], batch.Row(b, i))
	}
	return out
}

// Ranks of exact posteriors pass; those of posteriors that are too narrow, or off, do not.
func TestCalibrationTellsBadPosteriors(t *testing.T) {
	const pairs, draws = 2000, 39
	for name, c := range map[string]struct {
		scale, shift float64
		good         bool
	}{
		"exact": {1, 0, true}, "narrow": {.7, 0, false}, "wide": {1.4, 0, false}, "off": {1, .3, false},
	} {
		rng := random.New(1, name, 0)
		of := Calibration{Draws: draws, Ranks: [][]int{nil}}
		for range pairs {
			theta, rank := rng.NormFloat64(), 0
			for range draws {
				if c.shift+c.scale*rng.NormFloat64() < theta {
					rank++
				}
			}
			of.Ranks[0] = append(of.Ranks[0], rank)
		}
		if p := of.PValue(0, 7); (p > 1e-3) != c.good {
			t.Errorf("%s: p-value %g", name, p)
		}
		if within := of.Deviation(0) <= of.Band(); within != c.good {
			t.Errorf("%s: ranks deviate by %.4f, in a band of %.4f", name, of.Deviation(0), of.Band())
		}
		if off := of.CoverageError(0, .51); off <= of.CoverageBand(.5) != c.good && name != "off" {
			t.Errorf("%s: the coverage of 50 %% is off by %.4f, in a band of %.4f", name, off, of.CoverageBand(.5))
		}
		if worst := of.WorstCoverage(.9); worst > .03 == c.good && name != "off" {
			t.Errorf("%s: the coverage of 90 %% is off by %.3f", name, worst)
		}
	}
}

// A short run gives draws, densities and calibration, near the exact posterior, from the start that
// suits it.
func TestPosterior(t *testing.T) {
	for name, c := range map[string]struct {
		variables []string
		energy    float64
		share     float64
	}{
		"gaussian-linear": {[]string{"CMF_STEPS=100", "CMF_HIDDEN=32", "CMF_PAIRS=30"}, .02, .97},                           // of draws from the prior: .5
		"two-moons":       {[]string{"CMF_STEPS=300", "CMF_HIDDEN=32,32", "CMF_OBSERVED=.25,1.3", "CMF_PAIRS=60"}, .01, .5}, // partly beyond the bounds
	} {
		env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_PRESET=quick", "CMF_SIMULATOR="+name, "CMF_RANKS=19", "CMF_COUNT=500", "CMF_SIMULATIONS=2000").With(c.variables...)
		r, err := run.Execute(t.Context(), Posterior, env, nil, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		m := r.Report.Metrics
		t.Logf("%s: energy distance %.4f, C2ST %.3f, 1-NN accuracy %.3f, log posterior %.3f ± %.3f, coverage off by %.3f", name, m["energy_distance"], m["c2st"], m["c2st_nn"], m["log_posterior"], m["log_posterior_se"], m["coverage_error_90"])
		s, err := Known(name)
		if err != nil {
			t.Fatal(err)
		}
		x, err := table.ReadBatch(r.Path("samples.npy"))
		if err != nil {
			t.Fatal(err)
		}
		if beyond := s.beyond(x); s.Plain != (m["beyond_bounds"] > 0) || len(beyond) > 0 {
			t.Errorf("%s: %d draws lie beyond the bounds, at first a share of %g", name, len(beyond), m["beyond_bounds"])
		}
		if m["start_share"] != c.share {
			t.Errorf("%s: learned from a start with the share %g; want %g", name, m["start_share"], c.share)
		}
		if !(m["energy_distance"] < c.energy) || m["conjugate_converged"] < .99 || m["log_posterior_failed"] > 0 || !(m["coverage_error_90"] < .25) {
			t.Errorf("%s: metrics %v", name, m)
		}
	}
}

// Quadratics learn a posterior of two separate parts.
func TestQuadraticsPosterior(t *testing.T) {
	const sd = .1
	square := Simulator{Name: "square", Parameters: []string{"a"}, Outputs: 1,
		Prior:    func(rng *random.Stream) []float64 { return []float64{rng.NormFloat64()} },
		Simulate: func(a []float64, rng *random.Stream) []float64 { return []float64{a[0]*a[0] + sd*rng.NormFloat64()} },
		// v = a² has the density N(v; x, sd²)·e^{−v/2}/√v, up to a constant.
		Reference: func(x []float64) func(*random.Stream) []float64 {
			return func(rng *random.Stream) []float64 {
				v := x[0] + sd*rng.NormFloat64()
				if v < .25 || rng.Float64() > math.Exp(-(v-.25)/2)*.5/math.Sqrt(v) {
					return nil
				}
				if rng.Float64() < .5 {
					return []float64{-math.Sqrt(v)}
				}
				return []float64{math.Sqrt(v)}
			}
		}}
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_PRESET=quick", "CMF_POTENTIAL=quadratics", "CMF_PIECES=4", "CMF_STEPS=80", "CMF_FEATURES=8", "CMF_OBSERVED=1",
		"CMF_PAIRS=20", "CMF_RANKS=9", "CMF_COUNT=400", "CMF_SIMULATIONS=2000")
	r, err := run.Execute(t.Context(), square.Definition(), env, nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Report.Metrics
	t.Logf("C2ST %.3f, energy distance %.4f, log posterior %.3f", m["c2st"], m["energy_distance"], m["log_posterior"])
	if !(m["c2st"] < .65) || !(m["energy_distance"] < .03) || m["log_posterior_failed"] > 0 {
		t.Errorf("metrics %v", m)
	}
}

// Draws of a posterior on a box lie in it, with the mass of the sides: of a prior that the outputs
// say nothing of, the posterior is the prior.
func TestBox(t *testing.T) {
	s := Simulator{Name: "unseen", Parameters: []string{"a", "b"}, Outputs: 1, Lower: []float64{-3, 0}, Upper: []float64{1, 1e-3},
		Simulate: func(_ []float64, rng *random.Stream) []float64 { return []float64{rng.NormFloat64()} },
		Reference: func([]float64) func(*random.Stream) []float64 {
			return func(rng *random.Stream) []float64 { return []float64{4*rng.Float64() - 3, 1e-3 * rng.Float64()} }
		}}
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_PRESET=quick", "CMF_STEPS=60", "CMF_HIDDEN=16", "CMF_PAIRS=20", "CMF_RANKS=9", "CMF_COUNT=1000", "CMF_SIMULATIONS=2000")
	r, err := run.Execute(t.Context(), s.Definition(), env, nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Report.Metrics
	if math.Abs(m["c2st"]-.5) > .04 || math.Abs(m["log_posterior"]+math.Log(4e-3)) > .05 {
		t.Errorf("C2ST %.4f; log posterior %.4f, want %.4f", m["c2st"], m["log_posterior"], -math.Log(4e-3))
	}
}

// The density of a posterior in plain units is that of the law within its bounds, which is drawn. A
// uniform prior that stays at its Gaussian has a sixth of it beyond them.
func TestDensityWithinBounds(t *testing.T) {
	s := Simulator{Name: "unseen", Parameters: []string{"a", "b"}, Outputs: 1, Lower: []float64{-3, 0}, Upper: []float64{1, 1}, Plain: true,
		Simulate: func(_ []float64, rng *random.Stream) []float64 { return []float64{rng.NormFloat64()} }}
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_PRESET=quick", "CMF_STEPS=10", "CMF_LR=1e-9", "CMF_HIDDEN=16", "CMF_PAIRS=40", "CMF_COUNT=250", "CMF_SIMULATIONS=4000")
	r, err := run.Execute(t.Context(), s.Definition(), env, nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	theta, _, err := s.Pairs(40, random.New(1, "held-out pairs", 0))
	if err != nil {
		t.Fatal(err)
	}
	var want float64
	for i := range theta.Rows {
		for k, v := range batch.Row(theta, i) {
			law := distuv.Normal{Mu: (s.Lower[k] + s.Upper[k]) / 2, Sigma: (s.Upper[k] - s.Lower[k]) / math.Sqrt(12)}
			want += (law.LogProb(float64(v)) - math.Log(law.CDF(s.Upper[k])-law.CDF(s.Lower[k]))) / float64(theta.Rows)
		}
	}
	if got := r.Report.Metrics["log_posterior"]; !(math.Abs(got-want) < .06) {
		t.Errorf("log posterior %.4f; want %.4f", got, want)
	}
}

// Bounds that are wrong, and outputs that no parameters have, are told.
func TestBoxRefuses(t *testing.T) {
	for want, s := range map[string]Simulator{
		"1 lower and 0 upper bounds":  {Name: "x", Parameters: []string{"a"}, Lower: []float64{0}},
		"a of x lies between 1 and 0": {Name: "x", Parameters: []string{"a"}, Lower: []float64{1}, Upper: []float64{0}},
		"x has no prior":              {Name: "x", Parameters: []string{"a"}},
	} {
		if _, _, err := s.Pairs(1, random.New(1, "pairs", 0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
	if _, err := SLCP().Exact([]float32{0, 0, 1e5, 1e5, 0, 1e5, 1e5, 0}, 1, random.New(1, "exact", 0)); err == nil || !strings.Contains(err.Error(), "no parameters of slcp") {
		t.Errorf("error %v", err)
	}
	if _, err := TwoMoons().Exact([]float32{50, 50}, 1, random.New(1, "exact", 0)); err == nil || !strings.Contains(err.Error(), "could have the output [50 50]") {
		t.Errorf("error %v", err)
	}
}

// A simulator of one's own needs a prior and a simulator, and is told what is wrong with them.
func TestOwnSimulator(t *testing.T) {
	spring := Simulator{Name: "spring", Parameters: []string{"k"}, Outputs: 1,
		Prior:    func(rng *random.Stream) []float64 { return []float64{1 + rng.Float64()} },
		Simulate: func(k []float64, rng *random.Stream) []float64 { return []float64{1/k[0] + .1*rng.NormFloat64()} }}
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_PRESET=quick", "CMF_STEPS=100", "CMF_HIDDEN=16", "CMF_OBSERVED=.7", "CMF_PAIRS=20", "CMF_RANKS=9", "CMF_COUNT=250", "CMF_SIMULATIONS=1000")
	r, err := run.Execute(t.Context(), spring.Definition(), env, nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Report.Warnings) > 0 || r.Report.Metrics["log_posterior_failed"] > 0 {
		t.Errorf("warnings %q, metrics %v", r.Report.Warnings, r.Report.Metrics)
	}
	spring.Simulate = func([]float64, *random.Stream) []float64 { return []float64{math.NaN()} }
	if _, _, err := spring.Pairs(1, random.New(1, "pairs", 0)); err == nil || !strings.Contains(err.Error(), "the simulator of spring gave [NaN]") {
		t.Errorf("error %v", err)
	}
	spring.Prior = func(*random.Stream) []float64 { return nil }
	if _, _, err := spring.Pairs(1, random.New(1, "pairs", 0)); err == nil || !strings.Contains(err.Error(), "the prior of spring gave []; it must give 1") {
		t.Errorf("error %v", err)
	}
}

func TestVariables(t *testing.T) {
	t.Chdir(t.TempDir())
	inputs.TestVariables(t, inputs.Command{Experiment: Posterior})
	for variables, want := range map[string]string{
		"CMF_OBSERVED=50,50":  "no parameters of two-moons were found that could have the output [50 50]",
		"CMF_OBSERVED=1,2,3":  "it has 3 numbers, an output of two-moons 2",
		"CMF_LOSS=dual+pairs": "the term pairs for a potential with contexts",
	} {
		if _, err := run.Execute(t.Context(), Posterior, config.Variables("CMF_OUT="+t.TempDir(), variables), nil, &bytes.Buffer{}); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: error %v; want one that says %q", variables, err, want)
		}
	}
}
