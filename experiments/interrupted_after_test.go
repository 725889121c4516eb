package experiments

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/outcome"
	"cmf/experiments/internal/plane"
	"cmf/experiments/monge"
	"cmf/experiments/picture/inpaint"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	gocmp "github.com/google/go-cmp/cmp"
)

// fuse is a context that ends when it is asked so many times whether it has, from when
// it is lit.
type fuse struct {
	context.Context
	lit   bool
	left  int
	ended time.Time
}

func (f *fuse) Err() error {
	if !f.lit {
		return f.Context.Err()
	}
	if f.left--; f.left > 0 {
		return nil
	}
	if f.ended.IsZero() {
		f.ended = time.Now()
	}
	return context.Canceled
}

// An interrupt after training, wherever it comes, ends the run soon, and leaves the
// checkpoint, whole files, and a report that says so. The run with CMF_RESUME repeats
// what follows training, to the same numbers.
func TestInterruptsAfterTraining(t *testing.T) {
	if testing.Short() {
		t.Skip("carries out every experiment")
	}
	points := filepath.Join(t.TempDir(), "points.npy")
	if err := data.WriteNPY(points, exact.StandardGaussian(3).Sample(400, random.New(1, "points", 0))); err != nil {
		t.Fatal(err)
	}
	tiny := []string{"CMF_PRESET=quick", "CMF_STEPS=6", "CMF_BATCH=32", "CMF_HIDDEN=16", "CMF_PARTICLES=64"}
	saved := filepath.Join(t.TempDir(), "saved.safetensors") // by the experiment samples
	often := []int{1, 4, 16, 64, 256, 1024}
	for _, c := range []struct {
		name      string
		run       run.Experiment
		variables []string
		at        []int  // the questions that are answered by an end
		has, not  string // metrics in the report of the last interrupt: where it came
	}{
		{"samples", Samples, slices.Concat(tiny, []string{"CMF_DATA_FILE=" + points, "CMF_COUNT=256", "CMF_MIXING=20"}), often, "", ""},
		{"generate", Generate, []string{"CMF_CHECKPOINT=" + saved, "CMF_COUNT=256", "CMF_MIXING=20", "CMF_POINTS=" + points}, often, "", ""},
		{"transport", monge.Transport, []string{"CMF_PRESET=quick", "CMF_STEPS=6", "CMF_BATCH=32", "CMF_HIDDEN=16", "CMF_SOURCE_FILE=" + points, "CMF_TARGET_FILE=" + points, "CMF_POINTS=" + points}, often, "", ""},
		{"toy2d", Toy2D, slices.Concat(tiny, []string{"CMF_POINTS=1000", "CMF_SAMPLES=64", "CMF_MIXING=20"}), often, "", ""},
		{"gaussian", Gaussian, slices.Concat(tiny, []string{"CMF_COV=2,0,0;0,1,0;0,0,1", "CMF_POINTS=500", "CMF_CHAIN=20"}), often, "", ""},
		{"energy", Energy, slices.Concat(tiny, []string{"CMF_MIXTURE=1,0,0,0,1;1,1,1,1,.5", "CMF_SAMPLES=64", "CMF_CHAIN=20"}), often, "", ""},
		{"cartoon", Cartoon, slices.Concat(tiny, []string{"CMF_SPACE=pixels", "CMF_SIDE=8", "CMF_COMPONENTS=12", "CMF_PICTURES=1000", "CMF_SAMPLES=64", "CMF_MIXING=20"}), often, "", ""},
		{"mixture1d", Mixture1D, tiny, []int{30}, "cmfgen.uvp_percent", "r_hat"},
		{"cartoon in latents", Cartoon, slices.Concat(tiny, []string{"CMF_PIECES=4", "CMF_SIDE=8", "CMF_LATENTS=4", "CMF_PASSES=1", "CMF_PICTURES=1000", "CMF_SAMPLES=64", "CMF_MIXING=20"}), often, "", ""},
		{"mnist", MNIST, slices.Concat(tiny, []string{"CMF_SPACE=pixels", "CMF_TRAIN=1000", "CMF_SAMPLES=64", "CMF_MIXING=20", "CMF_LIKELIHOOD=4"}), []int{2, 150}, "frechet", "log_likelihood"},
		{"inpaint", inpaint.Inpaint, slices.Concat(tiny, []string{"CMF_SPACE=pixels", "CMF_TRAIN=1000", "CMF_DIGITS=6", "CMF_DRAWS=2", "CMF_HOLES=half", "CMF_TRAJECTORIES=6", "CMF_LEAPS=2", "CMF_CLAMPED=6"}), []int{5}, "half.nearest.psnr", "half.posterior.psnr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := config.Variables("CMF_DATA_DIR=" + t.TempDir()).With(c.variables...)
			t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
			trained := c.name != "generate"
			// goOn carries out what follows training until that many questions.
			goOn := func(at int) (*run.Run, *fuse) {
				env["CMF_OUT"] = t.TempDir()
				ctx := &fuse{Context: t.Context(), left: at, lit: !trained}
				light := fit.Hook{End: func(*fit.Loop) error { ctx.lit = true; return nil }}
				r, err := c.run.Execute(fit.WithHooks(ctx, light), env, io.Discard)
				if err != nil {
					t.Fatalf("ending at question %d: %v", at, err)
				}
				if trained {
					env["CMF_RESUME"] = r.Path("checkpoint.safetensors")
				}
				if err := outcome.Whole(r.Folder); err != nil {
					t.Error(err)
				}
				return r, ctx
			}
			for k, at := range c.at {
				r, ctx := goOn(at)
				if ctx.ended.IsZero() {
					if k == 0 || c.has != "" {
						t.Errorf("it was done before question %d", at)
					}
					break
				}
				if took := time.Since(ctx.ended); took > 3*time.Second {
					t.Errorf("ended at question %d, it took another %v", at, took)
				}
				says := "the same command begins again"
				if trained {
					says = "CMF_RESUME=" + r.Path("checkpoint.safetensors")
				}
				if stop := r.Report.Stop; stop.Reason != report.Interrupted || !strings.Contains(stop.Text, says) {
					t.Errorf("ended at question %d, the report says %+v", at, stop)
				}
				if trained && plane.StepIn(t, r.Folder) == 0 {
					t.Errorf("ended at question %d, the checkpoint is lost", at)
				}
				_, has := r.Report.Metrics[c.has]
				if _, not := r.Report.Metrics[c.not]; c.has != "" && k == len(c.at)-1 && (!has || not) {
					t.Errorf("ended at question %d, it has the metrics %v", at, r.Report.Metrics)
				}
			}
			if c.has != "" {
				return // the rest is slow
			}
			repeated, _ := goOn(1 << 40)
			delete(env, "CMF_RESUME")
			whole, _ := goOn(1 << 40)
			want, err := outcome.Numbers(whole.Folder)
			if err != nil {
				t.Fatal(err)
			}
			got, err := outcome.Numbers(repeated.Folder)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("what follows training differs when it is repeated:\n%s", diff)
			}
			if c.name == "samples" {
				if err := exptest.LoadCheckpoint(t, whole.Folder).Save(saved); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
