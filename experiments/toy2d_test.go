package experiments

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/gif"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/data"
	"cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

func TestToy2DRefusesBadInput(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"CMF_BASELINE", "none", "allowed are fit, icnn"},
		{"CMF_POINTS", "10", "100 to 10000000"},
		{"CMF_SPREAD", "NaN", "1 to 100"},
		{"CMF_SAMPLES", "5000", "64 to 4096"},
		{"CMF_REPEATS", "0", "1 to 20"},
		{"CMF_MIXING", "1", "20 to 100000"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			_, err := Toy2D.Settings(config.Variables(c.name+"="+c.value), nil, io.Discard)
			if err == nil || !strings.HasPrefix(err.Error(), c.name+"=") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %s=… and %q", err, c.name, c.want)
			}
		})
	}
}

// The variable's description names every set, and data that cannot be learned is refused by
// name.
func TestToy2DData(t *testing.T) {
	var help bytes.Buffer
	Toy2D.Settings(nil, []string{"-h"}, &help)
	for _, name := range data.ToyNames() {
		if !strings.Contains(help.String(), name) {
			t.Errorf("CMF_DATASET's description lacks %s", name)
		}
	}
	file := func(name string, line func(i int) string) string {
		var text strings.Builder
		for i := range 500 {
			text.WriteString(line(i) + "\n")
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	npy := filepath.Join(t.TempDir(), "nan.npy")
	points := batch.New(500, 2)
	points.Data[7] = float32(math.NaN())
	if err := data.WriteNPY(npy, points); err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{
		"moon": "circles, moons",
		file("three.csv", func(i int) string { return "1,2,3" }):                     "(500, 3)",
		file("constant.csv", func(i int) string { return "1,2" }):                    "do not vary",
		file("words.csv", func(i int) string { return fmt.Sprintf("%d,word", i) }):   "column 2 (x2) holds texts",
		file("line.csv", func(i int) string { return fmt.Sprintf("%d,%d", i, 2*i) }): "positive",
		npy:          "row 4",
		"absent.npy": "no such file",
	} {
		env := config.Variables("CMF_DATASET="+set, "CMF_OUT="+t.TempDir(), "CMF_PRESET=quick")
		_, err := run.Execute(t.Context(), Toy2D, env, nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "CMF_DATASET=") {
			t.Errorf("%s: %v; want %q", set, err, want)
		}
	}
}

// A file's points can be converted back from the units of learning, and every point is either
// learned from or held out, once.
func TestPlanarUnits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(400, 3000).Draw(t, "n")
		shift, scale := rapid.Float64Range(-100, 100).Draw(t, "shift"), rapid.Float64Range(.01, 100).Draw(t, "scale")
		rng := random.New(rapid.Uint64().Draw(t, "seed"), "points", 0)
		points := batch.New(n, 2)
		for i := range n {
			// The first coordinate identifies the point.
			points.Data[2*i], points.Data[2*i+1] = float32(i), float32(shift+scale*rng.NormFloat64())
		}
		p, err := planeOf(points, &Toy2DConfig{Samples: 256, Repeats: 3})
		if err != nil {
			t.Fatal(err)
		}
		mean, cov := batch.Moments(p.train)
		if math.Abs(mean[0])+math.Abs(mean[1]) > .01 || math.Abs(cov.At(0, 0)+cov.At(1, 1)-2) > .01 {
			t.Fatalf("it is learned with mean %v and variances %g, %g", mean, cov.At(0, 0), cov.At(1, 1))
		}
		parts := []blas32.General{p.original(p.train)}
		for _, pair := range p.held {
			parts = append(parts, pair.truth, pair.other)
		}
		seen := make([]bool, n)
		total := 0
		for _, part := range parts {
			for i := range part.Rows {
				x := batch.Row(part, i)
				k := int(math.Round(float64(x[0])))
				if seen[k] {
					t.Fatalf("point %d is there twice", k)
				}
				seen[k] = true
				if want := points.Data[2*k+1]; math.Abs(float64(x[1]-want)) > 1e-5*(100+float64(n)) {
					t.Fatalf("point %d comes back at %g, not %g", k, x[1], want)
				}
			}
			total += part.Rows
		}
		if total != n || 2*p.train.Rows < n {
			t.Fatalf("%d points of %d, %d to learn from", total, n, p.train.Rows)
		}
	})
}

func runToy2D(t *testing.T, variables ...string) *run.Run {
	t.Helper()
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_PRESET=quick").With(variables...)
	r, err := run.Execute(t.Context(), Toy2D, env, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Moons are learned much better than by a Gaussian fit, and all promised outputs are there.
func TestToy2D(t *testing.T) {
	steps := "200"
	if testing.Short() {
		steps = "60"
	}
	r := runToy2D(t, "CMF_STEPS="+steps, "CMF_SAMPLES=512", "CMF_POINTS=20000", "CMF_MIXING=50")
	text, err := os.ReadFile(filepath.Join(r.Folder, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct{ Metrics, Baseline, Floor report.Numbers }
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"w2", "energy_distance", "sliced_w2", "sinkhorn", "nn_accuracy", "off_support"} {
		m, b, f := report.Metrics[name], report.Baseline[name], report.Floor[name]
		if !(f < b && m < b) {
			t.Errorf("%s is %.4g; of the Gaussian fit %.4g, of data against data %.4g", name, m, b, f)
		}
	}
	if v := report.Metrics["w2"]; !(v < 1.5*report.Floor["w2"]) && !testing.Short() {
		t.Errorf("W2 is %.4g, of data against data %.4g", v, report.Floor["w2"])
	}
	page, err := os.ReadFile(filepath.Join(r.Folder, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, []byte("data:image/gif;base64,R0lGOD")) || bytes.Count(page, []byte("data:image/")) < 4 {
		t.Error("the page lacks the animation or figures")
	}
	// The learning curve has few marks.
	if !bytes.Contains(page, []byte("data:image/svg&#43;xml;base64,PD94bWwg")) {
		t.Error("the page has no figure as SVG")
	}
	file, err := os.Open(filepath.Join(r.Folder, "training.gif"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	film, err := gif.DecodeAll(file)
	if info, _ := file.Stat(); err != nil || len(film.Image) < 10 || len(film.Image) > 60 || info.Size() > 900e3 {
		t.Errorf("the animation has %d frames in %d bytes: %v", len(film.Image), info.Size(), err)
	}
	samples, err := table.ReadBatch(filepath.Join(r.Folder, "samples.npy"))
	if err != nil || samples.Rows != 512 || samples.Cols != 2 {
		t.Errorf("samples.npy has shape (%d, %d): %v", samples.Rows, samples.Cols, err)
	}
}

// The file has a circle in large units, far from 0; the baseline is the network with noise N(0, I).
func TestToy2DFile(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	rng := random.New(1, "file", 0)
	var text strings.Builder
	text.WriteString("longitude,latitude\n")
	for range 4000 {
		sin, cos := math.Sincos(2 * math.Pi * rng.Float64())
		fmt.Fprintf(&text, "%g,%g\n", 5000+300*cos+10*rng.NormFloat64(), -100+300*sin+10*rng.NormFloat64())
	}
	path := filepath.Join(t.TempDir(), "places.csv")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	r := runToy2D(t, "CMF_DATASET="+path, "CMF_BASELINE=icnn", "CMF_STEPS=80", "CMF_SAMPLES=512", "CMF_PARTICLES=2048")
	m, b, f := r.Report.Metrics, r.Report.Baseline, r.Report.Floor
	// A Gaussian fit is 143 away from a circle of radius 300.
	if !(m["w2"] < 80 && b["w2"] < 80 && f["w2"] > 5) {
		t.Errorf("W2 is %.4g, from N(0, I) %.4g, data against data %.4g", m["w2"], b["w2"], f["w2"])
	}
	if _, ok := m["off_support"]; ok {
		t.Error("a file has no known support")
	}
	t.Logf("W2 %.4g, from N(0, I) %.4g, data against data %.4g", m["w2"], b["w2"], f["w2"])
}
