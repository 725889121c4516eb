package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/plane"
	"cmf/experiments/picture"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
)

// small configures a run on the stand-in that takes seconds: the folder of data is empty, and
// downloads are sent to a port where nobody listens.
func small(t *testing.T, extra ...string) config.Environment {
	t.Helper()
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	return config.Variables(
		"CMF_SPACE=pixels", "CMF_OUT="+t.TempDir(), "CMF_DATA_DIR="+t.TempDir(), "CMF_PRESET=quick", "CMF_STEPS=12", "CMF_BATCH=32",
		"CMF_HIDDEN=48", "CMF_SAMPLES=64", "CMF_TRAIN=1000", "CMF_PARTICLES=64", "CMF_MIXING=20", "CMF_LIKELIHOOD=0",
	).With(extra...)
}

func execute(t *testing.T, ctx context.Context, env config.Environment) (*run.Run, string, error) {
	t.Helper()
	var log bytes.Buffer
	r, err := run.Execute(ctx, MNIST, env, nil, &log)
	return r, log.String(), err
}

// Without MNIST and without a network the stand-in is used, and all outputs say so; every
// output is there.
func TestMNISTOnStandIn(t *testing.T) {
	env := small(t, "CMF_LIKELIHOOD=4", "CMF_SHARE=1", "CMF_LR=1e-9")
	out := env["CMF_OUT"]
	r, log, err := execute(t, t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(log, "stand-in") < 2 {
		t.Errorf("the log does not say stand-in at the start and at the end:\n%s", log)
	}
	for _, file := range []string{"config.env", "report.json", "metrics.jsonl", "grid.png", "noise.png", "curves.png", "samples.npy", "gibbs.npy", "checkpoint.safetensors", "index.html"} {
		if info, err := os.Stat(filepath.Join(out, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var left report.Report
	if err := json.Unmarshal(text, &left); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(left.Data, "stand-in") {
		t.Errorf("report.json's data is %q", left.Data)
	}
	for _, name := range []string{"frechet", "energy_distance", "nn_accuracy"} {
		for part, numbers := range map[string]report.Numbers{"metrics": left.Metrics, "baseline": left.Baseline, "floor": left.Floor} {
			if v, ok := numbers[name]; !ok || math.IsNaN(v) {
				t.Errorf("%s.%s is %v", part, name, v)
			}
		}
	}
	// A potential that stays at the closed form has the Gaussian's likelihood.
	model, gaussian := left.Metrics["log_likelihood"], left.Baseline["log_likelihood"]
	if !(math.Abs(model-gaussian) < .1) {
		t.Errorf("log likelihood is %g, of the Gaussian fit %g", model, gaussian)
	}
	if se := left.Metrics["log_z_se"]; !(se > 0 && se < 1) {
		t.Errorf("log Z has the standard error %g", se)
	}
	if q := left.Metrics["conjugate_residual_quantile"]; !(q <= 1e-3) {
		t.Errorf("99.9 %% of the conjugates have residual %g; want at most 1e-3", q)
	}
	samples, err := table.ReadBatch(filepath.Join(out, "samples.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if samples.Rows != 64 || samples.Cols != picture.Pixels {
		t.Errorf("samples.npy has shape (%d, %d)", samples.Rows, samples.Cols)
	}
	for i, v := range samples.Data {
		if !(v >= 0 && v <= 1) {
			t.Fatalf("samples.npy holds %g at %d; pixels lie in [0, 1]", v, i)
		}
	}
	if r.Report.Metrics["convexity_violation"] > 1e-6 {
		t.Errorf("w is not convex: %g", r.Report.Metrics["convexity_violation"])
	}
}

// A run that is interrupted and resumed ends with exactly the weights of one that was not;
// both equal a second run with the same seed.
func TestResumeIsExact(t *testing.T) {
	weights := func(out string) *graph.Checkpoint {
		c, err := graph.LoadCheckpoint(filepath.Join(out, "checkpoint.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	whole, part := small(t), small(t)
	if _, _, err := execute(t, t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	interrupted, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, _, err := execute(t, fit.WithHooks(interrupted, plane.At(7, cancel)), part)
	if err != nil {
		t.Fatal(err)
	}
	if stop := r.Report.Stop; stop.Reason != report.Interrupted || stop.Step != 7 || !strings.Contains(stop.Text, "CMF_RESUME="+filepath.Join(part["CMF_OUT"], "checkpoint.safetensors")) {
		t.Errorf("the report says %+v", stop)
	}
	rest := small(t, "CMF_RESUME="+filepath.Join(part["CMF_OUT"], "checkpoint.safetensors"))
	if _, _, err := execute(t, t.Context(), rest); err != nil {
		t.Fatal(err)
	}
	want, got := weights(whole["CMF_OUT"]), weights(rest["CMF_OUT"])
	for name, a := range want.Tensors {
		b := got.Tensors[name]
		if len(a.F32) != len(b.F32) {
			t.Fatalf("%s has %d and %d values", name, len(a.F32), len(b.F32))
		}
		for i := range a.F32 {
			if math.Float32bits(a.F32[i]) != math.Float32bits(b.F32[i]) {
				t.Fatalf("%s[%d]: %v uninterrupted, %v resumed", name, i, a.F32[i], b.F32[i])
			}
		}
	}
	for name, a := range want.Texts {
		if name != "config" && got.Texts[name] != a {
			t.Errorf("%s: %q uninterrupted, %q resumed", name, a, got.Texts[name])
		}
	}
}

// Bad input is refused before any work, with a message that names it.
func TestMNISTBadInput(t *testing.T) {
	damaged := t.TempDir()
	if err := os.MkdirAll(filepath.Join(damaged, "mnist"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"} {
		if err := os.WriteFile(filepath.Join(damaged, "mnist", name), []byte{0, 0, 8, 9, 1, 2}, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("not a checkpoint"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, value, want string }{
		{"CMF_STEPZ", "3", "CMF_STEPS"},
		{"CMF_LOSS", "duel", "known terms are dual, pairs"},
		{"CMF_LOSS", "-1*dual", "positive number"},
		{"CMF_LR", "-0.1", "CMF_LR=-0.1: allowed are numbers above 0, up to 10"},
		{"CMF_HIDDEN", "64,x", `"x" is not a width`},
		{"CMF_ALPHA", "0.7", "0.001 to 0.4"},
		{"CMF_SHARE", "0", "CMF_SHARE=0"},
		{"CMF_CARRY", "0.6", "CMF_CARRY=0.6: allowed are 0 to 0.5"},
		{"CMF_LOSS", "dual+.1*likelihood-cg", "CMF_CARRY must be 0"},
		{"CMF_SAMPLES", "7", "64 to 10000"},
		{"CMF_LIKELIHOOD", "1", "2 to 2000"},
		{"CMF_SAMPLER", "hmc", "allowed are mala, ula"},
		{"CMF_OUT", filepath.Join(file, "below"), "CMF_OUT"},
		{"CMF_DATA_DIR", damaged, "train-images-idx3-ubyte"},
		{"CMF_RESUME", file, "CMF_RESUME"},
		{"CMF_RESUME", file + "-absent", "no such file"},
	} {
		t.Run(fmt.Sprint(c.name, "=", filepath.Base(c.value)), func(t *testing.T) {
			_, _, err := execute(t, t.Context(), small(t, c.name+"="+c.value))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want one with %q", err, c.want)
			}
		})
	}
}

// A checkpoint of another architecture is refused, and the error names the weight that
// differs.
func TestCheckpointOfAnotherArchitecture(t *testing.T) {
	first := small(t, "CMF_STEPS=1")
	if _, _, err := execute(t, t.Context(), first); err != nil {
		t.Fatal(err)
	}
	other := small(t, "CMF_STEPS=1", "CMF_HIDDEN=32", "CMF_RESUME="+filepath.Join(first["CMF_OUT"], "checkpoint.safetensors"))
	_, _, err := execute(t, t.Context(), other)
	if err == nil || !strings.Contains(err.Error(), "another architecture") || !strings.Contains(err.Error(), "layer0") {
		t.Errorf("error %v", err)
	}
}
