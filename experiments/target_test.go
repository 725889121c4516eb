package experiments

import (
	"math"
	"os"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/experiments/config"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/mat"
)

// A Gaussian is learned as well anywhere as about 0, and its points come back in its units.
func TestGaussianAnywhere(t *testing.T) {
	for _, mean := range []string{"5000,3000"} {
		r := runGaussian(t, "CMF_MEAN="+mean)
		m := r.Report.Metrics
		if !(m["cmfgen.uvp_percent"] < .5 && m["cmfma.uvp_percent"] < .5) {
			t.Errorf("mean %s: UVP %.3f and %.3f %%", mean, m["cmfgen.uvp_percent"], m["cmfma.uvp_percent"])
		}
		x, err := table.ReadBatch(r.Path("samples.npy"))
		if err != nil {
			t.Fatal(err)
		}
		var want config.Vector
		if err := want.Decode(mean); err != nil {
			t.Fatal(err)
		}
		for k, v := range batch.Means(x) {
			if math.Abs(v-want[k]) > .2 {
				t.Errorf("mean %s: that of the samples is %v", mean, batch.Means(x))
			}
		}
		if len(r.Report.Warnings) > 0 || r.Page.Report.Stop.Reason != "finished" {
			t.Errorf("mean %s: %v, warnings %q", mean, r.Report.Stop, r.Report.Warnings)
		}
	}
}

// So is an energy, given or the user's own, of any scale.
func TestEnergyAnywhere(t *testing.T) {
	r, _, err := runEnergy(t, Energy, "CMF_MIXTURE=1,500,-300,1", "CMF_STEPS=300")
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Report.Metrics; !(m["ess"] > .95) || !(math.Abs(m["log_z"]) < .02) || !(m["log_z_error"] < .02) {
		t.Errorf("ess %.3f, log Z %.4f, error %.4f", m["ess"], m["log_z"], m["log_z_error"])
	}
	own := EnergyOf("own", userEnergy(t, 1, func(x mat.Vector) float64 {
		z := (x.AtVec(0) - 4000) / 30
		return z*z/2 + .1*math.Cos(z)
	}))
	r, _, err = runEnergy(t, own, "CMF_STEPS=300")
	if err != nil {
		t.Fatal(err)
	}
	// ∫e^{−z²/2 − cos(z)/10} = √(2π)·(1 − e^{−1/2}/10 + (1 + e^{−2})/400 − …)
	want := math.Log(30*math.Sqrt(2*math.Pi)) + math.Log(1-.1*math.Exp(-.5)+(1+math.Exp(-2))/400)
	if m := r.Report.Metrics; !(m["ess"] > .9) || !(math.Abs(m["log_z"]-want) < .02) {
		t.Errorf("ess %.3f, log Z %.4f, want %.4f", m["ess"], m["log_z"], want)
	}
}

// Laws of far finer detail than their width are refused before training, with the reason.
func TestEnergyOfTooMuchDetail(t *testing.T) {
	for _, mixture := range []string{"0.5,0,0,1;0.5,3000,0,1", "0.5,0,0,0.001;0.5,100,0,0.001"} {
		_, _, err := runEnergy(t, Energy, "CMF_MIXTURE="+mixture)
		if err == nil || !strings.Contains(err.Error(), "along coordinate 1") || !strings.Contains(err.Error(), "allowed is up to") {
			t.Errorf("%s: %v", mixture, err)
		}
	}
}

// A wall of 10¹² is learned beside and drawn in little time and memory.
func TestEnergyWithAWall(t *testing.T) {
	if testing.Short() {
		t.Skip("the figures of package figure are tested there")
	}
	wall := EnergyOf("wall", userEnergy(t, 2, func(x mat.Vector) float64 {
		if x.AtVec(0) < 0 {
			return 1e12
		}
		return x.AtVec(0) + x.AtVec(1)*x.AtVec(1)/2
	}))
	r, _, err := runEnergy(t, wall, "CMF_STEPS=200")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Page.Figures {
		if _, err := os.Stat(r.Path(f.File)); err != nil {
			t.Error(err)
		}
	}
	t.Logf("metrics %v, notes %q", r.Report.Metrics, r.Report.Notes)
	if len(r.Page.Figures) < 2 || r.Page.Figures[0].File != "figure3.png" || len(r.Page.Curves) != 1 || r.Page.Curves[0].Lead != "residual_sd" {
		t.Errorf("figures %v, curves %v, notes %q", r.Page.Figures, r.Page.Curves, r.Report.Notes)
	}
}
