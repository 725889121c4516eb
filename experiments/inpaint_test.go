package experiments

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/data"
	"cmf/data/images"
	"cmf/experiments/config"
	"cmf/experiments/picture"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// seconds configures a run of seconds, without data and without a network.
func seconds(t *testing.T, extra ...string) config.Environment {
	t.Helper()
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	return config.Variables("CMF_OUT="+t.TempDir(), "CMF_DATA_DIR="+t.TempDir(), "CMF_PRESET=quick",
		"CMF_STEPS=12", "CMF_BATCH=32", "CMF_HIDDEN=48", "CMF_PARTICLES=64").With(extra...)
}

// paint configures such a run of inpaint.
func paint(t *testing.T, extra ...string) config.Environment {
	t.Helper()
	return seconds(t, "CMF_TRAIN=1000", "CMF_DIGITS=6", "CMF_DRAWS=2", "CMF_HOLES=half,scribble",
		"CMF_TRAJECTORIES=6", "CMF_LEAPS=2", "CMF_CLAMPED=6").With(extra...)
}

// A run trains when it has no checkpoint; another fills by that run's checkpoint
// alone, and both leave all numbers and figures.
func TestInpaintOnStandIn(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a potential")
	}
	var log bytes.Buffer
	trained := paint(t, "CMF_HOLES=scribble")
	first, err := run.Execute(t.Context(), Inpaint, trained, nil, &log)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := filepath.Join(trained["CMF_OUT"], "checkpoint.safetensors")
	// What the checkpoint was trained with overrides what is set.
	filled := paint(t, "CMF_CHECKPOINT="+checkpoint, "CMF_HIDDEN=7", "CMF_ALPHA=0.2", "CMF_HOLES=half")
	second, err := run.Execute(t.Context(), Inpaint, filled, nil, &log)
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
	x, err := data.ReadNPY(filepath.Join(filled["CMF_OUT"], "samples.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if x.Rows != 6*2 {
		t.Errorf("samples.npy has %d rows", x.Rows)
	}
	truth := picture.Spread(images.StandIn(1, 0, 2000).Test, 6)
	for k := range picture.Side * picture.Side / 2 { // the upper half of the first digit's draws is its own
		if v := batch.Row(x, 1)[k]; v != batch.Row(truth, 0)[k] {
			t.Fatalf("observed pixel %d of a completion is %g, of the digit %g", k, v, batch.Row(truth, 0)[k])
		}
	}
}

// checkCompletions checks that all numbers of a hole are there, that draws differ,
// and that they are better than the mean of all digits.
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
			_, err := run.Execute(t.Context(), Inpaint, paint(t, c.name+"="+c.value), nil, new(bytes.Buffer))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestHoles(t *testing.T) {
	for name, want := range map[string][2]int{"half": {392, 392}, "centre": {196, 196}, "random": {340, 444}, "scribble": {80, 400}} {
		h := picture.NewHole(name, 3)
		if n := len(h.Hidden()); n < want[0] || n > want[1] {
			t.Errorf("the hole %s has %d pixels, want %d to %d", name, n, want[0], want[1])
		}
	}
	if h := picture.NewHole("centre", 3); h.Observed[14*picture.Side+14] || !h.Observed[6*picture.Side+14] || !h.Observed[14*picture.Side+21] || h.Observed[20*picture.Side+20] {
		t.Error("the hole in the centre is elsewhere")
	}
}

// PSNR of a known error, SSIM of a picture with itself, its negative and a
// constant, and the deviation of known draws.
func TestInpaintMetrics(t *testing.T) {
	truth := batch.New(2, picture.Pixels)
	random.New(1, "picture", 0).Normals(truth.Data)
	for i, v := range truth.Data {
		truth.Data[i] = .5 + .2*max(-2, min(2, v))
	}
	hidden := picture.NewHole("centre", 1).Hidden()
	off, negative, flat := batch.New(2, picture.Pixels), batch.New(2, picture.Pixels), batch.New(2, picture.Pixels)
	for i, v := range truth.Data {
		off.Data[i], negative.Data[i], flat.Data[i] = v+.1, 1-v, .5
	}
	if got := picture.HolePSNR(truth, off, hidden); math.Abs(got-20) > 1e-4 {
		t.Errorf("an error of .1 gives %g dB, want 20", got)
	}
	if got := picture.HoleSSIM(truth, truth, hidden); math.Abs(got-1) > 1e-9 {
		t.Errorf("SSIM with itself %g, want 1", got)
	}
	if got := picture.HoleSSIM(truth, negative, hidden); got > -.8 {
		t.Errorf("SSIM with the negative %g, want near −1", got)
	}
	if got := picture.HoleSSIM(truth, flat, hidden); math.Abs(got) > .1 {
		t.Errorf("SSIM with a constant %g, want near 0", got)
	}
	// Draws ±.3 about anything have the unbiased deviation .3·√2.
	draws := batch.New(4, picture.Pixels)
	for i := range draws.Rows {
		for k := range picture.Pixels {
			batch.Row(draws, i)[k] = batch.Row(truth, i/2)[k] + .3*float32(1-2*(i%2))
		}
	}
	if got := picture.Diversity(draws, 2, hidden); math.Abs(got-.3*math.Sqrt2) > 1e-6 {
		t.Errorf("diversity %g, want %g", got, .3*math.Sqrt2)
	}
	if got := picture.Diversity(blas32.General{Rows: 4, Cols: picture.Pixels, Stride: 0, Data: batch.Row(truth, 0)}, 2, hidden); got > 1e-6 {
		t.Errorf("diversity of equal draws %g", got)
	}
}

// Each digit to complete comes with its own label.
func TestInpaintLabels(t *testing.T) {
	set := images.StandIn(1, 1000, 500)
	j, err := newInpaintJudge(&prior{digits: &picture.DigitData{Set: set}}, 60)
	if err != nil {
		t.Fatal(err)
	}
	for i, label := range j.labels {
		found := false
		for k := range set.Test.Rows {
			found = found || set.TestLabels[k] == label && slices.Equal(batch.Row(set.Test, k), batch.Row(j.truth, i))
		}
		if !found {
			t.Fatalf("digit %d has not the label %d", i, label)
		}
	}
}
