package study

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/experiments"
	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/sweep"
)

func execute(t *testing.T, of run.Experiment, variables ...string) *run.Run {
	t.Helper()
	r, err := of.Execute(t.Context(), config.Variables("CMF_OUT="+t.TempDir()).With(variables...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// CMFGen explains more of ∇w† than the closed form with the data's moments does.
func TestInverse(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	r := execute(t, Inverse, "CMF_DIM=2", "CMF_STEPS=400", "CMF_POINTS=30000", "CMF_HIDDEN=128")
	got, gaussian := r.Report.Metrics["uvp_percent"], r.Report.Baseline["uvp_percent"]
	if !(got < gaussian/2) {
		t.Errorf("UVP %.3f %%, of the Gaussian fit %.3f %%", got, gaussian)
	}
}

// The map of a rotated product is learned from its energy.
func TestProduct(t *testing.T) {
	r := execute(t, Product)
	uvp, gaussian := r.Report.Metrics["uvp_percent"], r.Report.Baseline["uvp_percent"]
	if !(uvp < .5) || !(gaussian > 5*uvp) {
		t.Errorf("UVP %.3f %%, of the Gaussian with the same moments %.3f %%", uvp, gaussian)
	}
}

// Of two modes that a regression does not have, most is learned in few steps.
func TestConditional(t *testing.T) {
	r := execute(t, Conditional, "CMF_TABLE=two-ways", "CMF_ROWS=2000", "CMF_STEPS=200", "CMF_HIDDEN=32,32", "CMF_FEATURES=16", "CMF_PARTICLES=1024")
	got, regression, truth := r.Report.Metrics["log_likelihood"], r.Report.Baseline["log_likelihood"], r.Report.Floor["log_likelihood"]
	if !(got > (regression+truth)/2 && got < truth+.1) {
		t.Errorf("log-likelihood %.3f, of the regression %.3f, of the truth %.3f", got, regression, truth)
	}
}

// At the extremes of what is allowed, runs end with a result or with a message that says
// what to change.
func TestStability(t *testing.T) {
	first := []string{"samples/1000", "toy2d/1000", "gaussian/1000", "energy/1000"}
	if testing.Short() {
		first = first[1:] // samples and toy2d read the same files
	}
	for _, c := range first {
		r := execute(t, Stability, "CMF_CASE="+c, "CMF_LR=1", "CMF_STEPS=15", "CMF_THREADS=1")
		if _, ok := r.Report.Metrics["score"]; !ok && len(r.Report.Notes) != 1 {
			t.Errorf("%s: neither a result nor a message: %v", c, r.Report.Metrics)
		}
	}
	execute(t, Stability, "CMF_CASE=toy2d/0.001", "CMF_LR=1e-6", "CMF_STEPS=15", "CMF_THREADS=1")
	for text, want := range map[string]string{"toy3d/1": "experiments are energy, gaussian, mnist, samples, toy2d", "toy2d": "such as toy2d/1000", "toy2d/0": "1e-6 to 1e6"} {
		_, err := Stability.Execute(t.Context(), config.Variables("CMF_CASE="+text), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "CMF_CASE="+text) {
			t.Errorf("CMF_CASE=%s: error %v", text, err)
		}
	}
}

// cellsOf runs chosen cells of a sweep in this process.
func cellsOf(t *testing.T, a sweep.Ablation, choose func(c sweep.Cell) bool, variables ...string) (cells []sweep.Cell) {
	t.Helper()
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_THREADS=1").With(variables...)
	all, err := a.Cells(env, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if choose(c) {
			own := config.Environment{}
			for name, v := range c.Config {
				own[name] = v
			}
			own["CMF_OUT"] = c.Folder
			r, err := a.Of.Execute(t.Context(), own, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			c.Report = &r.Report
		}
		cells = append(cells, c)
	}
	return cells
}

// The studies draw the cells that have finished, and draw nothing if none has.
func TestStudiesDraw(t *testing.T) {
	first := func(n int) func(sweep.Cell) bool {
		return func(sweep.Cell) bool { n--; return n >= 0 }
	}
	for _, c := range []struct {
		name      string
		of        sweep.Ablation
		choose    func(c sweep.Cell) bool
		variables []string
		want      []string
	}{
		{"inverse", InverseBudgets, first(2), []string{"CMF_PRESET=quick", "CMF_HIDDEN=8"}, []string{"inverse.png"}},
		{"product", ProductBudgets, first(2), []string{"CMF_PRESET=quick", "CMF_HIDDEN=8"}, []string{"product.png"}},
		{"bridges", Bridges, func(c sweep.Cell) bool {
			return c.Set == "8gaussians" && (strings.HasSuffix(c.Variant, "iterations: 250") || strings.HasSuffix(c.Variant, "iterations: 500"))
		}, []string{"CMF_SAMPLES=64", "CMF_REPEATS=1", "CMF_BATCH=64", "CMF_PARTICLES=128", "CMF_MIXING=20"}, []string{"bridges.png", "bridges_points.png"}},
		{"stability", StabilitySweep, first(2), []string{"CMF_PRESET=quick", "CMF_STEPS=3"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			none := func(sweep.Cell) bool { return false }
			if figures, err := c.of.Draw(folder, cellsOf(t, c.of, none, c.variables...)); err != nil || len(figures) > 0 {
				t.Errorf("of nothing: figures %v, error %v", figures, err)
			}
			figures, err := c.of.Draw(folder, cellsOf(t, c.of, c.choose, c.variables...))
			if err != nil {
				t.Fatal(err)
			}
			drawn := map[string]report.Figure{}
			for _, f := range figures {
				drawn[f.File] = f
			}
			for _, name := range c.want {
				if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Size() < 1000 || drawn[name].Caption == "" {
					t.Errorf("%s: %v, with the caption %q", name, err, drawn[name].Caption)
				}
			}
			if c.name == "stability" {
				text, err := os.ReadFile(filepath.Join(folder, "stability.md"))
				if err != nil || !strings.Contains(string(text), "| toy2d/1 | ") {
					t.Errorf("stability.md: %v\n%s", err, text)
				}
			}
		})
	}
}

// Every cell of every study is a run that its configuration allows, at every preset.
func TestStudiesAreWellFormed(t *testing.T) {
	for _, a := range []sweep.Ablation{InverseBudgets, ProductBudgets, Bridges, StabilitySweep, Conditionals} {
		for _, preset := range a.Of.PresetNames() {
			if _, err := a.Cells(config.Variables("CMF_PRESET="+preset, "CMF_OUT="+t.TempDir()), nil, io.Discard); err != nil {
				t.Errorf("%s, %s: %v", a.Name, preset, err)
			}
		}
	}
	if fmt.Sprint(experiments.Toy2D.PresetNames()) != "[quick default paper]" {
		t.Error("the presets of toy2d differ from those that the studies know")
	}
}
