package experiments

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/experiments/fit"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// Without the Cartoon Set the stand-in is used and the run says so; every output is there.
func TestCartoonOnStandIn(t *testing.T) {
	env := seconds(t, "CMF_SPACE=pixels", "CMF_SIDE=12", "CMF_COMPONENTS=24", "CMF_PICTURES=1000", "CMF_STEPS=60", "CMF_SAMPLES=64", "CMF_MIXING=20")
	var log bytes.Buffer
	out := env["CMF_OUT"]
	r, err := run.Execute(t.Context(), Cartoon, env, nil, &log)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"report.json", "metrics.jsonl", "grid.png", "noise.png", "curves.png", "samples.npy", "gibbs.npy", "checkpoint.safetensors", "index.html"} {
		if info, err := os.Stat(filepath.Join(out, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if strings.Count(log.String(), "stand-in") < 2 || !strings.Contains(r.Report.Data, "stand-in") {
		t.Errorf("data %q; the log does not say stand-in twice:\n%s", r.Report.Data, log.String())
	}
	for _, name := range []string{"energy_distance", "sliced_w2", "nn_accuracy", "noise_energy_distance", "nearest_training_distance"} {
		for part, numbers := range map[string]report.Numbers{"metrics": r.Report.Metrics, "baseline": r.Report.Baseline, "floor": r.Report.Floor} {
			if v, ok := numbers[name]; !ok || math.IsNaN(v) {
				t.Errorf("%s.%s is %v", part, name, v)
			}
		}
	}
	if gibbs, white := r.Report.Metrics["noise_energy_distance"], r.Report.Baseline["noise_energy_distance"]; !(gibbs < white) {
		t.Errorf("the Gibbs factor is at %g from the data, N(0, I) at %g", gibbs, white)
	}
	for _, name := range []string{"samples.npy", "gibbs.npy"} {
		x, err := table.ReadBatch(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if x.Rows != 64 || x.Cols != 3*12*12 {
			t.Errorf("%s has shape (%d, %d)", name, x.Rows, x.Cols)
		}
	}
	checkSavedCartoons(t, out)
}

// checkSavedCartoons compares a checkpoint with what the run left: its own draw gives the
// same pictures, and they have densities.
func checkSavedCartoons(t *testing.T, folder string) {
	t.Helper()
	m, err := fit.LoadModel(filepath.Join(folder, "checkpoint.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	draw, err := m.Draw(t.Context(), 64, 20, random.New(1, "generation", 0))
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := m.Units().Data(draw.Points, random.New(1, "remainder", 0))
	if err != nil {
		t.Fatal(err)
	}
	saved, err := table.ReadBatch(filepath.Join(folder, "samples.npy"))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range pictures.Data {
		if math.Abs(float64(v-saved.Data[k])) > 1e-4 {
			t.Fatalf("value %d of the pictures is %g, in the run it was %g", k, v, saved.Data[k])
		}
	}
	near := batch.New(8, draw.Points.Cols) // near the mean no pixel is cut to [0, 1]
	for k := range near.Data {
		near.Data[k] = draw.Points.Data[k] / 20
	}
	mean, err := m.Units().Data(near, nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Units().Learning(mean)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range near.Data {
		if math.Abs(float64(v-back.Data[k])) > 1e-3 {
			t.Errorf("coordinate %d is %g, from its picture %g", k, v, back.Data[k])
		}
	}
	logPDF, info, err := m.LogPDF(t.Context(), batch.Rows(pictures, 0, 4), random.New(1, "log Z", 0))
	if err != nil || !batch.AllFinite(logPDF) || !batch.AllFinite([]float64{info.LogZ}) {
		t.Errorf("log densities %v with log Z %g, error %v", logPDF, info.LogZ, err)
	}
	if _, err := m.Units().Data(batch.New(2, 3), nil); err == nil {
		t.Error("points of another dimension are not refused")
	}
}

func TestCartoonBadInput(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"CMF_SIDE", "4", "CMF_SIDE=4"},
		{"CMF_COMPONENTS", "2000", "CMF_COMPONENTS=2000"},
		{"CMF_PICTURES", "10", "CMF_PICTURES=10"},
		{"CMF_SAMPLES", "500", "CMF_SAMPLES=500"},
	} {
		env := seconds(t, "CMF_SPACE=pixels", "CMF_PICTURES=3000", "CMF_SAMPLES=64", c.name+"="+c.value)
		_, err := run.Execute(t.Context(), Cartoon, env, nil, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
	}
}

// Random normal combinations of the pictures have the pictures' covariance.
func TestGaussianOfPictures(t *testing.T) {
	independent, mix, x := batch.New(500, 12), batch.New(12, 12), batch.New(500, 12)
	random.New(1, "independent", 0).Normals(independent.Data)
	random.New(1, "mix", 0).Normals(mix.Data)
	batch.Multiply(x, independent, mix)
	u := &cartoonUnits{train: batch.Shifted(x, batch.Means(x))}
	_, want := batch.Moments(u.train)
	_, got := batch.Moments(u.gaussian(20_000, random.New(1, "draws", 0)))
	for i := range 12 {
		for j := range 12 {
			if scale := math.Sqrt(want.At(i, i) * want.At(j, j)); math.Abs(got.At(i, j)-want.At(i, j)) > .06*scale {
				t.Errorf("covariance (%d, %d) is %g, want %g", i, j, got.At(i, j), want.At(i, j))
			}
		}
	}
}
