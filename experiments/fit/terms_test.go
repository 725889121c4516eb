package fit_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/plane"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
)

// Every term except dual and pairs fits two moons, alone or added to dual. It leaves a
// convex potential, or without the projection a nearly convex one.
func TestEveryTermFits(t *testing.T) {
	iterations := make(map[string]float64) // of the conjugate solves
	for _, c := range []struct {
		loss   string
		energy float64 // a Gaussian fit is at .0115
	}{
		{"sinkhorn", .009}, // entropy shrinks the map
		{"likelihood", .003},
		{"likelihood-cg", .003},
		{"dual+0.1*moments", .005},
		{"dual+0.3*enot", .005},
		{"dual+0.1*growth", .005},
		{"dual+100*penalty", .006},
		{"dual+amortised", .005},
	} {
		t.Run(c.loss, func(t *testing.T) {
			r, err := plane.Run(t, "CMF_LOSS="+c.loss)
			if err != nil {
				t.Fatal(err)
			}
			m := r.Report.Metrics
			if !(m["energy_distance"] < c.energy) {
				t.Errorf("energy distance %.4f", m["energy_distance"])
			}
			if m["conjugate_converged"] < .99 || m["convexity_violation"] > 1e-3 || m["least_curvature"] <= 0 {
				t.Errorf("%g of the conjugates solved, convexity violated by %g, least curvature %g", m["conjugate_converged"], m["convexity_violation"], m["least_curvature"])
			}
			if m["train_skipped_batches"]+m["train_runaways"] > 0 {
				t.Errorf("%g batches skipped, %g runaways", m["train_skipped_batches"], m["train_runaways"])
			}
			iterations[c.loss] = m["train_conjugate_iterations"]
			t.Logf("energy distance %.4f", m["energy_distance"])
		})
	}
	if warm, guessed := iterations["dual+0.3*enot"], iterations["dual+amortised"]; !(guessed < .95*warm) {
		t.Errorf("conjugates take %.2f iterations from their predictions, %.2f from the last solutions", guessed, warm)
	}
}

// The weights of a term, the stream of the probes and the failures of a run are in its
// checkpoint: if it is interrupted and resumed, it ends with the same weights.
func TestTermsResumeExactly(t *testing.T) {
	variables := []string{"CMF_LOSS=dual+amortised+0.1*likelihood-cg", "CMF_STEPS=20"}
	whole, err := plane.Run(t, variables...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	half, err := run.Execute(fit.WithHooks(ctx, plane.At(7, cancel)), plane.Moons, config.Variables("CMF_OUT="+t.TempDir()).With(variables...), nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	file := half.Path("checkpoint.safetensors")
	rest, err := plane.Run(t, append(variables, "CMF_RESUME="+file)...)
	if err != nil {
		t.Fatal(err)
	}
	want, got := exptest.LoadCheckpoint(t, whole.Folder), exptest.LoadCheckpoint(t, rest.Folder)
	if _, ok := want.Tensors["own.amortised.out"]; !ok {
		t.Error("the checkpoint lacks the weights of the prediction")
	}
	delete(want.Texts, "config") // the configuration names the folders
	delete(got.Texts, "config")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the run differs after an interruption:\n%s", diff)
	}

	if _, err := plane.Run(t, "CMF_LOSS=dual+amortised", "CMF_STEPS=20", "CMF_RESUME="+whole.Path("checkpoint.safetensors")); err != nil {
		t.Errorf("resuming without a term that has no weights: %v", err)
	}
	plain, err := plane.Run(t, "CMF_LOSS=dual", "CMF_STEPS=3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plane.Run(t, "CMF_LOSS=dual+amortised", "CMF_STEPS=3", "CMF_RESUME="+plain.Path("checkpoint.safetensors")); err == nil || !strings.Contains(err.Error(), "CMF_LOSS must be") {
		t.Errorf("resuming with a term whose weights are not there: %v", err)
	}
}

// The failures of a run that are in its state survive the checkpoint.
func TestFailuresAreStored(t *testing.T) {
	r, err := plane.Run(t, "CMF_STEPS=2")
	if err != nil {
		t.Fatal(err)
	}
	c := exptest.LoadCheckpoint(t, r.Folder)
	if c.Texts["failures"] != "0" || c.Texts["halvings"] != "0" {
		t.Fatalf("a run without failures stores %q and %q", c.Texts["failures"], c.Texts["halvings"])
	}
	c.Texts["failures"], c.Texts["halvings"] = "4", "5"
	file := r.Path("failed.safetensors")
	if err := c.Save(file); err != nil {
		t.Fatal(err)
	}
	r, err = plane.Run(t, "CMF_STEPS=4", "CMF_RESUME="+file)
	if err != nil {
		t.Fatal(err)
	}
	if c = exptest.LoadCheckpoint(t, r.Folder); c.Texts["failures"] != "0" || c.Texts["halvings"] != "5" {
		t.Errorf("after good steps the run stores %q failures in a row and %q halvings; want 0 and 5", c.Texts["failures"], c.Texts["halvings"])
	}
	curves, err := report.ReadMetricsLog(r.Folder)
	if err != nil {
		t.Fatal(err)
	}
	// This is the third step of a warm-up of 20.
	if got, want := curves["learning_rate"].Y[2], 1e-2*3/21/32; math.Abs(got-want) > 1e-9 {
		t.Errorf("the learning rate is %g, want %g", got, want)
	}
}

// bare is a fit of N(0, I) whose quadratic has a twentieth of the curvature: beyond the
// data, the tails of the hinges must do the rest.
var bare = run.Definition[bareConfig]{
	Name: "bare",
	Presets: map[string]func(*bareConfig){
		"default": func(c *bareConfig) { c.Steps, c.Batch, c.Hidden, c.LR = 500, 256, config.Widths{64}, 1e-2 },
	},
	Do: func(ctx context.Context, r *run.Run, c *bareConfig) error {
		points := batch.New(2000, 2)
		random.New(c.Seed, "points", 0).Normals(points.Data)
		w, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: c.Hidden})
		if err != nil {
			return err
		}
		model, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
			Potential: w, Start: layers.Start{Law: exact.StandardGaussian(2), Share: .05}, Train: points,
			Precondition: true, Decay: .99,
		})
		if err != nil {
			return err
		}
		draw, err := model.Draw(ctx, 10000, 200, random.New(c.Seed, "generation", 0))
		if err != nil {
			return err
		}
		var radii []float64
		for i := range draw.Points.Rows {
			p := batch.Row(draw.Points, i)
			radii = append(radii, math.Hypot(float64(p[0]), float64(p[1])))
		}
		slices.Sort(radii)
		// P(|x| > r) = e^{−r²/2}.
		r.Report.Metrics["median"] = radii[5000] / math.Sqrt(2*math.Ln2)
		r.Report.Metrics["thousandth"] = radii[9990] / math.Sqrt(2*math.Log(1000))
		return nil
	},
}

type bareConfig struct{ config.Core }

// Without the term growth, the outermost thousandth of the samples is far beyond that of
// the truth; with it, it is where it should be.
func TestGrowthHoldsTheTails(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	far := make(map[string]float64)
	for _, loss := range []string{"dual", "dual+growth"} {
		r, err := run.Execute(t.Context(), bare, config.Variables("CMF_OUT="+t.TempDir(), "CMF_LOSS="+loss), nil, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		far[loss] = r.Report.Metrics["thousandth"]
		if m := r.Report.Metrics["median"]; math.Abs(m-1) > .05 {
			t.Errorf("%s: the median radius is %.3f of the truth", loss, m)
		}
		t.Logf("%s: the median radius is %.3f of the truth, that of the outermost thousandth %.3f", loss, r.Report.Metrics["median"], far[loss])
	}
	if !(far["dual"] > 1.2 && math.Abs(far["dual+growth"]-1) < .1) {
		t.Errorf("the radius of the outermost thousandth, relative to the truth: %v", far)
	}
}
