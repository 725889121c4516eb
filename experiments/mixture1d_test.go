package experiments

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
)

func runMixture1D(t *testing.T, variables ...string) (*run.Run, string, error) {
	t.Helper()
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_PRESET=quick").With(variables...)
	var log bytes.Buffer
	r, err := run.Execute(t.Context(), Mixture1D, env, nil, &log)
	return r, log.String(), err
}

// mixtureReport is the part of report.json that the experiment promises.
type mixtureReport struct {
	Truth struct {
		GibbsMean float64 `json:"gibbs_mean"`
		GibbsVar  float64 `json:"gibbs_var"`
		LogZ      float64 `json:"log_z"`
		At        struct{ X, Slope []float64 }
		Moment    struct {
			GibbsMean float64 `json:"gibbs_mean"`
			GibbsVar  float64 `json:"gibbs_var"`
		}
	}
	Metrics report.Numbers
	Notes   []string
}

// The default mixture gives the published figures in the report, and a learned map near the
// exact one.
func TestMixture1D(t *testing.T) {
	r, _, err := runMixture1D(t)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.Folder, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report mixtureReport
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	truth := report.Truth
	got := append([]float64{truth.GibbsMean, truth.GibbsVar, truth.LogZ, truth.Moment.GibbsMean}, truth.At.Slope...)
	for i, want := range []float64{0, 1.969269, 1.492160, 0, -1.114729, -.050581, 0, .003001, .050581, 1.114729} {
		if i >= len(got) || !(math.Abs(got[i]-want) < 1e-5) {
			t.Fatalf("truth %v: figure %d is not %v", got, i, want)
		}
	}
	// The moment measure's Gibbs factor is narrow where ρ is wide.
	if v := truth.Moment.GibbsVar; !(v > 0 && v < 1) {
		t.Errorf("variance %g of the moment measure's Gibbs factor", v)
	}
	m := report.Metrics
	if m["fixed_point.residual"] > 1e-8 || m["fixed_point.iterations"] < 1 {
		t.Errorf("fixed point: residual %g after %g iterations", m["fixed_point.residual"], m["fixed_point.iterations"])
	}
	// The best affine map leaves 10.5 % unexplained.
	if v := m["cmfgen.uvp_percent"]; !(v < 1) {
		t.Errorf("UVP %.3f %%", v)
	}
	if v := m["cmfma.uvp_percent"]; !(v < .5) {
		t.Errorf("UVP %.3f %% by CMFMA", v)
	}
	if !(math.Abs(m["cmfgen.gibbs_mean"]) < .3) || !(math.Abs(m["cmfgen.gibbs_var"]-truth.GibbsVar) < .3) || m["conjugate_converged"] < .99 {
		t.Errorf("learned Gibbs factor: %v", m)
	}
	for _, file := range []string{"densities.png", "gibbs.png", "maps.png", "samples.npy", "index.html", "checkpoint.safetensors"} {
		if _, err := os.Stat(filepath.Join(r.Folder, file)); err != nil {
			t.Error(err)
		}
	}
	t.Logf("UVP %.3f %%, by CMFMA %.3f %%", m["cmfgen.uvp_percent"], m["cmfma.uvp_percent"])
}

// Weights that do not sum to one are normalised, and the run says so.
func TestMixture1DNormalisesWeights(t *testing.T) {
	r, log, err := runMixture1D(t, "CMF_MIXTURE=2,-2,0.5; 2,2,0.5", "CMF_STEPS=20", "CMF_AT=2")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log, "sum to 4") || len(r.Report.Notes) != 1 {
		t.Errorf("notes %q, log:\n%s", r.Report.Notes, log)
	}
	truth := r.Report.Truth.(map[string]any)
	if v := truth["at"].(map[string][]float64)["slope"][0]; math.Abs(v-1.114729) > 1e-5 {
		t.Errorf("w′(2) is %g", v)
	}
}

func TestMixture1DBadInput(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"CMF_MIXTURE", "0.5,-2,0.5;-0.5,2,0.5", "CMF_MIXTURE=0.5,-2,0.5;-0.5,2,0.5: component 2 has weight -0.5; allowed are 0 to 1e12"},
		{"CMF_MIXTURE", "0.5,-2,0", "component 1 has standard deviation 0"},
		{"CMF_MIXTURE", "0.5,-2,0.5;0.5,2", `component 2 is "0.5,2": it has 2 numbers; give weight,mean,deviation`},
		{"CMF_MIXTURE", "0.5,nan,0.5", `component 1 is "0.5,nan,0.5": item 2, "nan", is not a finite number`},
		{"CMF_MIXTURE", "1,0,1;", "component 2"},
		{"CMF_MIXTURE", "0,0,1", "sum to 0"},
		{"CMF_AT", "1,x", `CMF_AT=1,x: item 2, "x", is not a finite number`},
		{"CMF_AT", "", `item 1, ""`},
		{"CMF_POINTS", "3", "CMF_POINTS=3: allowed are 100 to 10000000"},
		{"CMF_LANGEVIN", "0", "CMF_LANGEVIN=0"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			if _, _, err := runMixture1D(t, c.name+"="+c.value); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
