package experiments

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"

	"gonum.org/v1/gonum/mat"
)

// runEnergy is a run of a few hundred steps.
func runEnergy[T any](t *testing.T, d run.Definition[T], variables ...string) (*run.Run, string, error) {
	t.Helper()
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_PRESET=quick", "CMF_STEPS=600", "CMF_BATCH=256", "CMF_CHAIN=100",
		"CMF_SAMPLES=512", "CMF_HIDDEN=32,32", "CMF_LR=0.02").With(variables...)
	var log bytes.Buffer
	r, err := run.Execute(t.Context(), d, env, nil, &log)
	return r, log.String(), err
}

func userEnergy(t *testing.T, dim int, f func(x mat.Vector) float64) *data.Energy {
	t.Helper()
	e, err := data.EnergyFunc(dim, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// For two modes the density, the constant, the points and the corrected points are right,
// and the page shows everything.
func TestEnergy(t *testing.T) {
	r, _, err := runEnergy(t, Energy, "CMF_ENERGY=two-gaussians")
	if err != nil {
		t.Fatal(err)
	}
	m := r.Report.Metrics
	if !(m["ess"] > .9) || !(m["log_z_error"] < .05) || !(m["residual_sd_exact"] < .4) || !(m["kl_grid"] >= 0 && m["kl_grid"] < .05) {
		t.Errorf("ess %.3f, error of log Z %.3f, residual %.3f, KL %.4f", m["ess"], m["log_z_error"], m["residual_sd_exact"], m["kl_grid"])
	}
	// At 512 points the shares of the modes are uncertain by .02; as large a share of the
	// points must cross, each at the squared distance 9.
	floor := r.Report.Floor["w2"]
	for _, v := range []float64{m["w2"], m["w2_corrected"], r.Report.Baseline["w2"]} {
		if !(v > 0 && v < floor+.4) {
			t.Errorf("W2 %.3f, floor %.3f", v, floor)
		}
	}
	// There are 2048·(32 + 68) evaluations to explore. Each of 600 steps has 256, and two
	// steps of the walkers, which are 4/9 of them.
	if want := 204800. + 600*(256+2*114); m["energy_evaluations"] != want {
		t.Errorf("%g evaluations of the energy, want %g", m["energy_evaluations"], want)
	}
	for _, file := range []string{"figure3.png", "corrected.png", "samples.npy", "index.html", "report.json"} {
		if _, err := os.Stat(filepath.Join(r.Folder, file)); err != nil {
			t.Error(err)
		}
	}
	if len(r.Report.Notes) != 0 {
		t.Errorf("notes %q", r.Report.Notes)
	}
}

// A mixture on the line is drawn as curves.
func TestEnergyOnTheLine(t *testing.T) {
	r, _, err := runEnergy(t, Energy, "CMF_MIXTURE=0.5,-2,0.5;0.5,2,0.5")
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Report.Metrics; !(m["ess"] > .9) || !(m["kl_grid"] < .05) || !(m["log_z_error"] < .05) {
		t.Errorf("ess %.3f, KL %.4f, error of log Z %.3f", m["ess"], m["kl_grid"], m["log_z_error"])
	}
	for _, file := range []string{"figure3.png", "samples.png"} {
		if _, err := os.Stat(filepath.Join(r.Folder, file)); err != nil {
			t.Error(err)
		}
	}
}

// A user's energy in three dimensions has no grid and no exact points, but has weights and
// a constant: here those of a Gaussian with a twist that keeps volumes.
func TestEnergyOf(t *testing.T) {
	twisted := func(x mat.Vector) float64 {
		a, b, c := x.AtVec(0), x.AtVec(1), x.AtVec(2)
		b -= .5 * math.Sin(a)
		return a*a/2 + b*b/2 + c*c/8
	}
	r, _, err := runEnergy(t, EnergyOf("twisted", userEnergy(t, 3, twisted)))
	if err != nil {
		t.Fatal(err)
	}
	m := r.Report.Metrics
	if want := 1.5*math.Log(2*math.Pi) + math.Log(2); !(math.Abs(m["log_z"]-want) < .1) || !(m["ess"] > .9) {
		t.Errorf("log Z %.3f, want %.3f; ess %.3f", m["log_z"], want, m["ess"])
	}
	for _, name := range []string{"w2", "kl_grid", "log_z_error"} {
		if v, ok := m[name]; ok {
			t.Errorf("%s is %g, where nothing exact is known", name, v)
		}
	}
	if want := "the energy twisted on ℝ^3"; r.Report.Data != want {
		t.Errorf("the run is of %q, want %q", r.Report.Data, want)
	}
}

// A run survives holes in an energy and reports them. A kink, without curvature, is learned.
func TestEnergyWithHoles(t *testing.T) {
	if testing.Short() {
		t.Skip("the same path as TestEnergy")
	}
	r, _, err := runEnergy(t, EnergyOf("holes", userEnergy(t, 1, func(x mat.Vector) float64 {
		if v := x.AtVec(0); v > -4 {
			return math.Abs(v)
		}
		return math.NaN()
	})))
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Report.Metrics; !(m["ess"] > .7) || m["weights_failed"] > 50 {
		t.Errorf("ess %.3f, %g points in the hole", m["ess"], m["weights_failed"])
	}
	if len(r.Report.Notes) != 1 || !strings.Contains(r.Report.Notes[0], "not a number at") {
		t.Errorf("notes %q", r.Report.Notes)
	}
}

func TestEnergyBadInput(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"CMF_ENERGY", "bananas", `CMF_ENERGY=bananas: unknown energy "bananas"; known are gaussian,`},
		{"CMF_MIXTURE", "1,0", `CMF_MIXTURE=1,0: component 1 is "1,0": it has 2 numbers`},
		{"CMF_OWN", "-1", "CMF_OWN=-1, CMF_WALK=1, CMF_SPREAD=0.25: "},
		{"CMF_SAMPLES", "10", "CMF_SAMPLES=10: allowed are 64 to 16384"},
		{"CMF_SETS", "0", "CMF_SETS=0: allowed are 1 to 100"},
		{"CMF_SOURCE", "gaussian", "CMF_SOURCE=gaussian: it is always gibbs here"},
		{"CMF_LOSS", "dual", "the term dual needs samples"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			if _, _, err := runEnergy(t, Energy, c.name+"="+c.value); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	flat := EnergyOf("flat", userEnergy(t, 2, func(x mat.Vector) float64 { return x.AtVec(0) * x.AtVec(0) }))
	if _, _, err := runEnergy(t, flat); err == nil || !strings.Contains(err.Error(), "not integrable") {
		t.Errorf("a valley to infinity: %v", err)
	}
}

// The help names all energies and no others.
func TestEnergyHelpNamesAll(t *testing.T) {
	settings, err := Energy.Settings(nil, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		for _, name := range data.EnergyNames() {
			if s.Name == "CMF_ENERGY" && !strings.Contains(s.Meaning, name) {
				t.Errorf("the help on CMF_ENERGY does not name %s", name)
			}
		}
	}
}

// Of a family of energies the maps, constants and weights given a context are right, for contexts
// that were not learned, and a run that was interrupted goes on to the same points.
func TestEnergyFamily(t *testing.T) {
	variables := []string{"CMF_ENERGY=turning-gaussian", "CMF_STEPS=800", "CMF_FEATURES=32", "CMF_JUDGED=3", "CMF_PARTICLES=2000"}
	r, _, err := runEnergy(t, Energy, variables...)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Report.Metrics
	if !(m["ess_worst"] > .9) || !(m["log_z_error_worst"] < .03) || !(m["uvp_percent_worst"] < 2) || !(m["uvp_percent"] <= m["uvp_percent_worst"]) {
		t.Errorf("ess at least %.3f, error of log Z at most %.3f, UVP at most %.3f %%", m["ess_worst"], m["log_z_error_worst"], m["uvp_percent_worst"])
	}
	if _, err := os.Stat(r.Path("given.png")); err != nil {
		t.Error(err)
	}
	t.Logf("ess at least %.3f, error of log Z at most %.4f, UVP at most %.3f %%", m["ess_worst"], m["log_z_error_worst"], m["uvp_percent_worst"])

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	short := append(variables, "CMF_STEPS=60", "CMF_JUDGED=1")
	env := func(more ...string) config.Environment {
		return config.Variables("CMF_OUT="+t.TempDir(), "CMF_PRESET=quick", "CMF_BATCH=64", "CMF_CHAIN=20", "CMF_SAMPLES=1024", "CMF_HIDDEN=8").With(short...).With(more...)
	}
	whole, err := run.Execute(t.Context(), Energy, env(), nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	stop := fit.Hook{Step: func(l *fit.Loop) error {
		if l.Step() == 25 {
			cancel()
		}
		return nil
	}}
	half, err := run.Execute(fit.WithHooks(ctx, stop), Energy, env(), nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := run.Execute(t.Context(), Energy, env("CMF_RESUME="+half.Path("checkpoint.safetensors")), nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(whole.Path("samples.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(rest.Path("samples.npy")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the resumed run gives other points (%v)", err)
	}
}
