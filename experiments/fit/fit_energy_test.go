package fit_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/plane"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/mat"
)

// valley fits an energy twice, the second time in a separate folder.
var valley = run.Definition[plane.Config]{
	Name: "valley",
	Presets: map[string]func(*plane.Config){
		"default": func(c *plane.Config) {
			c.Steps, c.Batch, c.Hidden, c.LR, c.Loss = 300, 128, config.Widths{32, 32}, 1e-2, "monge-ampere"
		},
	},
	Do: func(ctx context.Context, r *run.Run, c *plane.Config) error {
		banana, err := data.EnergyFunc(2, func(x mat.Vector) float64 {
			a, b := x.AtVec(0), x.AtVec(1)-.5*x.AtVec(0)*x.AtVec(0)+.5
			return a*a/2 + 2*b*b
		}, nil)
		if err != nil {
			return err
		}
		around := exact.StandardGaussian(2).Sample(2000, random.New(c.Seed, "start", 0))
		for _, name := range []string{"", "again"} {
			w, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: c.Hidden})
			if err != nil {
				return err
			}
			m, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
				Name: name, Potential: w, Start: layers.Start{Law: exact.StandardGaussian(2)}, Train: around, Energy: banana,
				Tolerance: 1e-2, Precondition: true, Decay: .98, Shares: solvers.Shares{Model: 2, Energy: 2, Box: 1},
				Box: solvers.Box{Lower: []float64{-4, -3}, Upper: []float64{4, 8}},
			})
			if err != nil || !m.Finished {
				return err
			}
		}
		return nil
	},
}

func TestFitToAnEnergy(t *testing.T) {
	whole, err := run.Execute(t.Context(), valley, config.Variables("CMF_OUT="+t.TempDir()), nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	curves, err := report.ReadMetricsLog(whole.Folder)
	if err != nil {
		t.Fatal(err)
	}
	sd := curves["residual_sd"].Y
	if first, last := sd[0], sd[len(sd)-1]; !(last < .5 && last < first/2) {
		t.Errorf("sd of the residual %.3f at first, %.3f at last", first, last)
	}
	if _, ok := whole.Report.Metrics["again.train_seconds"]; !ok {
		t.Errorf("metrics of the second fit are not among %v", whole.Report.Metrics)
	}

	// If the run is interrupted in the second fit and resumed, it gives the same weights.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fits := 0
	inTheSecond := fit.Hook{
		Start: func(*fit.Loop) error { fits++; return nil },
		Step: func(l *fit.Loop) error {
			if fits == 2 && l.Step() == 150 {
				cancel()
			}
			return nil
		},
	}
	half, err := run.Execute(fit.WithHooks(ctx, inTheSecond), valley, config.Variables("CMF_OUT="+t.TempDir()), nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if stop := half.Report.Stop; stop.Reason != report.Interrupted || stop.Step != 150 {
		t.Fatalf("stopped: %+v", stop)
	}
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_RESUME="+half.Path("checkpoint.safetensors"))
	resumed, err := run.Execute(t.Context(), valley, env, nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"", "again"} {
		want, got := exptest.LoadCheckpoint(t, whole.Folder, folder), exptest.LoadCheckpoint(t, resumed.Folder, folder)
		if diff := cmp.Diff(want.Tensors, got.Tensors); diff != "" {
			t.Errorf("the fit %q differs after an interruption:\n%s", folder, diff)
		}
		delete(want.Texts, "config") // the configuration names the folders
		delete(got.Texts, "config")
		if diff := cmp.Diff(want.Texts, got.Texts); diff != "" {
			t.Errorf("the fit %q differs after an interruption:\n%s", folder, diff)
		}
	}
}

func TestLossesThatAFitCannotFeed(t *testing.T) {
	if _, err := run.Execute(t.Context(), valley, config.Variables("CMF_OUT="+t.TempDir(), "CMF_LOSS=dual"), nil, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "CMF_LOSS=dual: losses: the term dual needs samples") {
		t.Errorf("dual on an energy: error %v", err)
	}
	if _, err := plane.Run(t, "CMF_LOSS=dual+monge-ampere"); err == nil || !strings.Contains(err.Error(), "the term monge-ampere needs an energy") {
		t.Errorf("monge-ampere on samples: error %v", err)
	}
}
