package experiments

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/data/images"
	"cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/picture"
	"cmf/experiments/picture/inpaint"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
)

// seconds configures a run that takes seconds, without data and without a network.
func seconds(t *testing.T, extra ...string) config.Environment {
	t.Helper()
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	return config.Variables("CMF_OUT="+t.TempDir(), "CMF_DATA_DIR="+t.TempDir(), "CMF_PRESET=quick",
		"CMF_STEPS=12", "CMF_BATCH=32", "CMF_HIDDEN=48", "CMF_PARTICLES=64").With(extra...)
}

// paint configures a run of inpaint that takes seconds.
func paint(t *testing.T, extra ...string) config.Environment {
	t.Helper()
	return seconds(t, "CMF_SPACE=pixels", "CMF_TRAIN=1000", "CMF_DIGITS=6", "CMF_DRAWS=2", "CMF_HOLES=half,scribble",
		"CMF_TRAJECTORIES=6", "CMF_LEAPS=2", "CMF_CLAMPED=6").With(extra...)
}

// A run without a checkpoint trains first; another fills holes with only that run's
// checkpoint. Both leave all numbers and figures.
func TestInpaintOnStandIn(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a potential")
	}
	var log bytes.Buffer
	trained := paint(t, "CMF_HOLES=scribble")
	first, err := run.Execute(t.Context(), inpaint.Inpaint, trained, nil, &log)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := filepath.Join(trained["CMF_OUT"], "checkpoint.safetensors")
	// The settings of the checkpoint's training override those of this run.
	filled := paint(t, "CMF_CHECKPOINT="+checkpoint, "CMF_HIDDEN=7", "CMF_ALPHA=0.2", "CMF_HOLES=half")
	second, err := run.Execute(t.Context(), inpaint.Inpaint, filled, nil, &log)
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(second.Report.Notes, " "); !strings.Contains(notes, checkpoint) {
		t.Errorf("the notes do not name the checkpoint: %s", notes)
	}
	for _, c := range []struct {
		r    *run.Run
		hole string
	}{{first, "scribble"}, {second, "half"}} {
		if !strings.Contains(c.r.Report.Data, "stand-in") {
			t.Errorf("the report's data is %q", c.r.Report.Data)
		}
		for _, file := range []string{"report.json", "index.html", "inpaint_" + c.hole + ".png", "samples.npy"} {
			if info, err := os.Stat(c.r.Path(file)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", file, err)
			}
		}
		checkCompletions(t, &c.r.Report, c.hole)
	}
	x, err := table.ReadBatch(filepath.Join(filled["CMF_OUT"], "samples.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if x.Rows != 6*2 {
		t.Errorf("samples.npy has %d rows", x.Rows)
	}
	truth := picture.Spread(images.StandIn(1, 0, 2000).Test, 6)
	for k := range picture.Side * picture.Side / 2 { // draws keep the upper half of the first digit
		if v := batch.Row(x, 1)[k]; v != batch.Row(truth, 0)[k] {
			t.Fatalf("observed pixel %d of a completion is %g, of the digit %g", k, v, batch.Row(truth, 0)[k])
		}
	}
}

// checkCompletions checks that all numbers of a hole are there, that draws differ, and that
// they are better than the mean of all digits.
func checkCompletions(t *testing.T, r *report.Report, hole string) {
	t.Helper()
	for _, method := range []string{"posterior", "clamped"} {
		key := hole + "." + method + "."
		for _, metric := range []string{"psnr", "psnr_draw", "ssim", "ssim_draw", "accuracy", "accuracy_draw"} {
			for part, numbers := range map[string]report.Numbers{"metrics": r.Metrics, "baseline": r.Baseline} {
				if v, ok := numbers[key+metric]; !ok || math.IsNaN(v) {
					t.Errorf("%s.%s is %g", part, key+metric, v)
				}
			}
		}
		if v := r.Metrics[key+"diversity"]; !(v > .01) {
			t.Errorf("%sdiversity is %g", key, v)
		}
		if got, mean := r.Metrics[key+"psnr"], r.Metrics[hole+".mean_fill.psnr"]; !(got > mean) {
			t.Errorf("%spsnr is %g, that of the mean digit %g", key, got, mean)
		}
	}
}

// In a latent space every preset, and the least number that is allowed, leave states enough to compare.
func TestInpaintLeavesStates(t *testing.T) {
	for settings, ok := range map[string]bool{"CMF_PRESET=quick": true, "CMF_PRESET=paper": true, "CMF_TRAJECTORIES=10": true, "CMF_TRAJECTORIES=9": false} {
		if _, err := inpaint.Inpaint.Settings(config.Variables(settings), nil, nil); (err == nil) != ok {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

func TestInpaintBadInput(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no.safetensors")
	for _, c := range []struct{ name, value, want string }{
		{"CMF_HOLES", "half,middle", `CMF_HOLES=half,middle: there is no hole "middle"; allowed are half, centre, random, scribble`},
		{"CMF_DRAWS", "1", "CMF_DRAWS=1"},
		{"CMF_TRAJECTORIES", "2", "CMF_TRAJECTORIES=2"},
		{"CMF_DEVIATION", "0", "CMF_DEVIATION=0"},
		{"CMF_ALPHA", "0.5", "CMF_ALPHA=0.5"},
		{"CMF_CHECKPOINT", missing, "CMF_CHECKPOINT=" + missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := run.Execute(t.Context(), inpaint.Inpaint, paint(t, c.name+"="+c.value), nil, new(bytes.Buffer))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}
