package experiments

import (
	"bytes"
	"context"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/data"
	"cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/latent"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/train"
	"cmf/layers/autoencoder"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// smallLatent is a run in a latent space that takes seconds.
func smallLatent(t *testing.T, extra ...string) config.Environment {
	t.Helper()
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	return config.Variables(
		"CMF_OUT="+t.TempDir(), "CMF_DATA_DIR="+t.TempDir(), "CMF_PRESET=quick", "CMF_STEPS=8", "CMF_BATCH=32", "CMF_PIECES=4",
		"CMF_PASSES=1", "CMF_LATENTS=6", "CMF_SAMPLES=64", "CMF_TRAIN=1000", "CMF_PARTICLES=64", "CMF_MIXING=20",
	).With(extra...)
}

// The run leaves all outputs, its report has all laws side by side, and says that densities
// are those of latents; the saved model gives the same pictures.
func TestMNISTInLatents(t *testing.T) {
	env := smallLatent(t, "CMF_BESIDE=true")
	r, log, err := execute(t, t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log, "Densities are those of latents") {
		t.Error("the log does not say what densities are of")
	}
	for _, file := range []string{"grid.png", "others.png", "walk.png", "classes.png", "autoencoder/curves.png", "autoencoder/metrics.jsonl", "samples.npy", "checkpoint.safetensors", "pictures.onnx", "index.html"} {
		if info, err := os.Stat(r.Path(file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	var names []string
	for _, c := range r.Report.Beside {
		names = append(names, c.Name)
		for _, metric := range []string{"frechet", "energy_distance", "nn_accuracy", "confidence", "nearest_training_distance"} {
			if v, ok := c.Metrics[metric]; !ok || v-v != 0 {
				t.Errorf("%s of %s is %v", metric, c.Name, v)
			}
		}
	}
	if want := []string{"reconstructions", "normal", "mixture10", "mixture50"}; !slices.Equal(names, want) {
		t.Errorf("laws beside the model: %q, want %q", names, want)
	}
	// Pictures that are encoded and decoded are nearer to the data than any law's.
	if a, b := r.Report.Beside[0].Metrics["frechet"], r.Report.Metrics["frechet"]; !(a < b) {
		t.Errorf("Fréchet distance %g of reconstructions, %g of the model", a, b)
	}
	m, err := fit.LoadModel(r.Path("checkpoint.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Units().(*autoencoder.Latent); !ok {
		t.Fatalf("the saved model has units %T", m.Units())
	}
	draw, err := m.Draw(t.Context(), 64, 20, random.New(1, "generation", 0))
	if err != nil {
		t.Fatal(err)
	}
	x, err := m.Units().Data(draw.Points, nil)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := table.ReadBatch(r.Path("samples.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(saved.Data, x.Data) {
		t.Error("the saved model gives other pictures")
	}
	// Generate says what its densities are of.
	points := filepath.Join(t.TempDir(), "points.npy")
	if err := data.WriteNPY(points, batch.Rows(saved, 0, 4)); err != nil {
		t.Fatal(err)
	}
	generated, err := run.Execute(t.Context(), Generate, config.Variables("CMF_OUT="+t.TempDir(), "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_COUNT=64", "CMF_MIXING=20", "CMF_POINTS="+points), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(generated.Report.Notes, func(n string) bool { return strings.Contains(n, "density of latents") }) {
		t.Errorf("notes %q", generated.Report.Notes)
	}
}

// Digits given their class: a share of them is recognised, the figures are there, and
// generate draws the classes that it is asked for, with the density given one of them.
func TestMNISTGivenLabel(t *testing.T) {
	env := smallLatent(t, "CMF_GIVEN=label", "CMF_PIECES=10")
	r, _, err := execute(t, t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"classes.png", "grid.png", "walk.png", "model.onnx", "pictures.onnx"} {
		if info, err := os.Stat(r.Path(file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	m := r.Report.Metrics
	if m["recognised"] < .5 || m["recognised_least"] > m["recognised"] || r.Report.Floor["recognised"] < .8 {
		t.Errorf("recognised: %v, the least %v, of held-out digits %v", m["recognised"], m["recognised_least"], r.Report.Floor["recognised"])
	}
	points, x := filepath.Join(t.TempDir(), "points.npy"), batch.New(2, 784)
	if err := data.WriteNPY(points, x); err != nil {
		t.Fatal(err)
	}
	given := func(variables ...string) (*run.Run, error) {
		return run.Execute(t.Context(), Generate, config.Variables("CMF_OUT="+t.TempDir(), "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_COUNT=6", "CMF_MIXING=20").With(variables...), nil, nil)
	}
	generated, err := given("CMF_CLASSES=3, 7")
	if err != nil {
		t.Fatal(err)
	}
	classes, err := table.ReadBatch(generated.Path("classes.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{3, 7, 3, 7, 3, 7}; !slices.Equal(classes.Data, want) {
		t.Errorf("classes %v, want %v", classes.Data, want)
	}
	if generated, err = given("CMF_CLASSES=3", "CMF_POINTS="+points); err != nil || math.IsNaN(generated.Report.Metrics["log_likelihood"]) {
		t.Errorf("the density given a class: error %v", err)
	}
	for want, variables := range map[string][]string{
		`"12" is no class of the model; allowed are 0 to 9`: {"CMF_CLASSES=3,12"},
		"name one class as CMF_CLASSES":                     {"CMF_POINTS=" + points},
	} {
		if _, err := given(variables...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v; want one that says %q", variables, err, want)
		}
	}
	for want, variable := range map[string]string{
		"allowed is label":           "CMF_GIVEN=colour",
		"CMF_SPACE must be latent":   "CMF_SPACE=pixels",
		"with contexts; of the know": "CMF_LOSS=dual+pairs",
	} {
		if _, _, err := execute(t, t.Context(), env.With(variable)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v; want one that says %q", variable, err, want)
		}
	}
}

// A run that is interrupted before and while its autoencoder trains, and again while its potential
// trains, goes on to the bits of a run left alone.
func TestLatentRunGoesOn(t *testing.T) {
	env := smallLatent(t)
	whole, _, err := execute(t, t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	env = maps.Clone(env)
	var learned *run.Run // the autoencoder, before the last of these
	for _, stop := range []struct {
		autoencoder, potential int // the step at which it is interrupted; −1 for none
	}{{0, -1}, {50, -1}, {-1, 3}} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		see := func(l *train.Loop[*latent.Training]) error {
			if l.Step() == stop.autoencoder {
				cancel()
			}
			return nil
		}
		ctx = train.WithHooks(ctx, train.Hook[*latent.Training]{Start: see, Step: see})
		ctx = fit.WithHooks(ctx, fit.Hook{Step: func(l *fit.Loop) error {
			if l.Step() == stop.potential {
				cancel()
			}
			return nil
		}})
		env["CMF_OUT"] = t.TempDir()
		r, _, err := execute(t, ctx, env)
		if err != nil {
			t.Fatal(err)
		}
		if r.Report.Stop.Reason != report.Interrupted || !strings.Contains(r.Report.Stop.Text, "CMF_RESUME=") {
			t.Fatalf("it stopped as %+v", r.Report.Stop)
		}
		env["CMF_RESUME"], learned = r.Checkpoint, r
	}
	env["CMF_OUT"] = t.TempDir()
	again, _, err := execute(t, t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	for file, by := range map[string]*run.Run{"samples.npy": again, "autoencoder/metrics.jsonl": learned} {
		want, err := os.ReadFile(whole.Path(file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(by.Path(file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from that of a run left alone", file)
		}
	}
}
