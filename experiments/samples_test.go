package experiments

import (
	"encoding/csv"
	"fmt"
	"image"
	"image/png"
	"io"
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
	"cmf/experiments/internal/plane"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/stat"
)

func TestSamplesRefusesBadInput(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"CMF_DATA_FILE", "", "name a table"},
		{"CMF_HOLDOUT", "0.9", "0.05 to 0.5"},
		{"CMF_SCALE", "none", "allowed are each, common"},
		{"CMF_COUNT", "0", "1 to 1000000"},
		{"CMF_SPREAD", "-1", "1 to 100"},
		{"CMF_MIXING", "1", "20 to 100000"},
		{"CMF_NOISE", "0", "0.05 to 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Samples.Settings(config.Variables("CMF_DATA_FILE=points.npy", c.name+"="+c.value), nil, io.Discard)
			if err == nil || !strings.HasPrefix(err.Error(), c.name+"=") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %s=… and %q", err, c.name, c.want)
			}
		})
	}
}

// csvFile writes n lines under a header.
func csvFile(t *testing.T, header string, n int, line func(i int) string) string {
	t.Helper()
	var text strings.Builder
	text.WriteString(header)
	for i := range n {
		text.WriteString(line(i) + "\n")
	}
	path := filepath.Join(t.TempDir(), "points.csv")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Files that cannot be learned are refused with their name, row and column.
func TestSamplesRefusesBadFiles(t *testing.T) {
	rng := random.New(1, "file", 0)
	broken := batch.New(300, 3)
	rng.Normals(broken.Data)
	broken.Data[3*6+1] = float32(math.Inf(1))
	npy := filepath.Join(t.TempDir(), "points.npy")
	if err := data.WriteNPY(npy, broken); err != nil {
		t.Fatal(err)
	}
	noise := func() string { return fmt.Sprint(rng.NormFloat64()) }
	for path, want := range map[string]string{
		npy:           "row 7, column 2 (x2) is +Inf",
		"absent.npy":  "no such file",
		t.TempDir():   "holds no PNG",
		"samples.go":  "they must agree",
		"../go.mod/x": "not a directory",
		csvFile(t, "a,b\n", 300, func(i int) string {
			if i == 9 {
				return "1,2,3"
			}
			return noise() + "," + noise()
		}): "line 11 has 3 columns",
		csvFile(t, "", 90, func(i int) string { return noise() }):                         "it has 90 rows of 1 columns; needed are at least",
		csvFile(t, "a,b\n", 300, func(int) string { return "3,4" }):                       "none of its columns varies",
		csvFile(t, "a,b,c\n", 300, func(i int) string { return noise() + "," + noise() }): "line 2 has 2 columns, line 1 has 3",
	} {
		_, err := run.Execute(t.Context(), Samples, config.Variables("CMF_DATA_FILE="+path, "CMF_OUT="+t.TempDir()), nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "CMF_DATA_FILE="+path) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
}

// mixture draws from a mixture of two Gaussians in mixed units, and returns its log density.
func mixture(t *testing.T) (a, b *exact.Gaussian, logPDF func(x blas32.General) []float64) {
	t.Helper()
	law := func(mean []float64, cov [][]float64) *exact.Gaussian {
		m := make(config.Matrix, len(cov))
		for i, line := range cov {
			m[i] = line
		}
		g, err := exact.GaussianFromMatrix(mean, m.Dense())
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	a = law([]float64{300, -1, .02}, [][]float64{{900, 0, 0}, {0, 1, .005}, {0, .005, 1e-4}})
	b = law([]float64{420, 1, -.01}, [][]float64{{900, 15, 0}, {15, 1, 0}, {0, 0, 1e-4}})
	return a, b, func(x blas32.General) []float64 {
		out, err := a.LogPDF(x)
		if err != nil {
			t.Fatal(err)
		}
		other, err := b.LogPDF(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range out {
			out[i] = math.Log(.5*math.Exp(v) + .5*math.Exp(other[i]))
		}
		return out
	}
}

// mustRun runs a definition with variables such as CMF_STEPS=20.
func mustRun[T any](t *testing.T, d run.Definition[T], variables ...string) *run.Run {
	t.Helper()
	r, err := run.Execute(t.Context(), d, config.Variables("CMF_OUT="+t.TempDir()).With(variables...), nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readNPY(t *testing.T, r *run.Run, name string) blas32.General {
	t.Helper()
	x, err := table.ReadBatch(r.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// A table in mixed units is learned. Its densities are those of the law in the table's units,
// and the checkpoint alone gives the same points and densities.
func TestSamplesAndGenerate(t *testing.T) {
	a, b, exact := mixture(t)
	const n = 4000
	points := batch.Stacked(a.Sample(n/2, random.New(1, "a", 0)), b.Sample(n/2, random.New(1, "b", 0)))
	path := csvFile(t, "speed,phase,\"size, in m\"\n", n, func(i int) string {
		x := batch.Row(points, i)
		return fmt.Sprintf("%g,%g,%g", x[0], x[1], x[2])
	})
	steps := "400"
	if testing.Short() {
		steps = "100"
	}
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_STEPS="+steps, "CMF_COUNT=1500", "CMF_MIXING=100", "CMF_PARTICLES=1024")
	m, g, f := r.Report.Metrics, r.Report.Baseline, r.Report.Floor
	for _, name := range []string{"energy_distance", "w2_standard", "sliced_w2_standard"} {
		// Points that repeat training rows would be far below the floor.
		if !(f[name]/2 < m[name] && m[name] < 2*f[name] && m[name] < g[name]/1.5) && !testing.Short() {
			t.Errorf("%s %.4g, of the Gaussian fit %.4g, floor %.4g", name, m[name], g[name], f[name])
		}
	}
	held := readNPY(t, r, "densities.npy")
	x := held
	x.Cols = 3
	truth := stat.Mean(exact(x), nil)
	t.Logf("log likelihood %.3f, of the law %.3f, of the Gaussian fit %.3f", m["log_likelihood"], truth, g["log_likelihood"])
	if !(math.Abs(m["log_likelihood"]-truth) < .15 && g["log_likelihood"] < truth-.3) && !testing.Short() {
		t.Errorf("log likelihood %.3f, of the law %.3f, of the Gaussian fit %.3f", m["log_likelihood"], truth, g["log_likelihood"])
	}
	if held.Rows != n/5 || held.Cols != 5 {
		t.Errorf("densities.npy has shape (%d, %d)", held.Rows, held.Cols)
	}
	samples := readNPY(t, r, "samples.npy")
	mean := batch.Means(samples)
	if samples.Rows != 1500 || math.Abs(mean[0]-360) > 20 || math.Abs(mean[1]) > .3 || math.Abs(mean[2]) > .005 {
		t.Errorf("%d samples with the mean %v", samples.Rows, mean)
	}
	file, err := os.Open(r.Path("samples.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil || len(lines) != 1501 || !slices.Equal(lines[0], []string{"speed", "phase", "size, in m"}) {
		t.Errorf("samples.csv has %d lines, the first %v: %v", len(lines), lines[0], err)
	}
	again, err := table.ReadBatch(r.Path("samples.csv"))
	if err != nil || !slices.Equal(again.Data, samples.Data) {
		t.Errorf("samples.csv does not hold samples.npy: %v", err)
	}
	recorded, err := os.ReadFile(r.Path("config.env"))
	if err != nil || !strings.Contains(string(recorded), "CMF_HIDDEN=128,128\n") {
		t.Errorf("config.env does not tell the network: %v", err)
	}

	at := csvFile(t, "", held.Rows, func(i int) string {
		x := batch.Row(held, i)
		return fmt.Sprintf("%g,%g,%g", x[0], x[1], x[2])
	})
	saved := mustRun(t, Generate, "CMF_COUNT=1500", "CMF_MIXING=100", "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_POINTS="+at)
	if got := readNPY(t, saved, "samples.npy"); !slices.Equal(got.Data, samples.Data) {
		t.Error("the checkpoint does not give the points of its run")
	}
	y := readNPY(t, saved, "gradients.npy")
	if y.Rows != held.Rows || y.Cols != 3 || slices.Equal(y.Data[:3], x.Data[:3]) {
		t.Errorf("gradients.npy has shape (%d, %d)", y.Rows, y.Cols)
	}
	// Columns are matched by name.
	other := csvFile(t, "phase,extra,speed,\"size, in m\"\n", 3, func(i int) string {
		x := batch.Row(held, i)
		return fmt.Sprintf("%g,%d,%g,%g", x[1], i, x[0], x[2])
	})
	moved := mustRun(t, Generate, "CMF_COUNT=0", "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_POINTS="+other)
	for i, v := range readNPY(t, moved, "densities.npy").Data {
		if want := batch.Row(held, i)[3]; math.Abs(float64(v-want)) > 5e-2 {
			t.Errorf("log density %g at row %d in another order, that of its run %g", v, i+1, want)
		}
	}
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_COUNT=0", "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_POINTS="+csvFile(t, "phase,speed\n", 3, func(int) string { return "1,2" }))
	if _, err := run.Execute(t.Context(), Generate, env, nil, io.Discard); err == nil || !strings.Contains(err.Error(), `it lacks the columns ["size, in m"]`) {
		t.Errorf("without a column: %v", err)
	}
	for i, v := range readNPY(t, saved, "densities.npy").Data {
		if want := batch.Row(held, i)[3]; math.Abs(float64(v-want)) > 2e-2 {
			t.Fatalf("log density %g at held-out row %d, that of its run %g", v, i+1, want)
		}
	}
}

// The density of a model on the line has mass 1 in the data's units.
func TestLogPDFOnTheLine(t *testing.T) {
	rng := random.New(1, "points", 0)
	points := batch.New(1000, 1)
	for i := range points.Data {
		points.Data[i] = float32(5000 + 100*(math.Copysign(1, rng.NormFloat64())+.3*rng.NormFloat64()))
	}
	path := filepath.Join(t.TempDir(), "points.npy")
	if err := data.WriteNPY(path, points); err != nil {
		t.Fatal(err)
	}
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_STEPS=100", "CMF_COUNT=300", "CMF_MIXING=50", "CMF_PARTICLES=512")
	m, err := fit.LoadModel(r.Path("checkpoint.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	const n, half = 2000, 500
	x := batch.New(n, 1)
	for i := range n {
		x.Data[i] = float32(5000 + half*(2*(float64(i)+.5)/n-1))
	}
	logPDF, info, err := m.LogPDF(t.Context(), x, random.New(1, "log Z", 0))
	if err != nil {
		t.Fatal(err)
	}
	var mass float64
	for _, v := range logPDF {
		mass += math.Exp(v) * 2 * half / n
	}
	if math.Abs(mass-1) > .01+3*info.Error {
		t.Errorf("the density has the mass %g ± %g", mass, info.Error)
	}
}

// Pictures are generated as pictures.
func TestSamplesOfPictures(t *testing.T) {
	folder := t.TempDir()
	rng := random.New(1, "pictures", 0)
	picture := image.NewGray(image.Rect(0, 0, 5, 4))
	for i := range 200 {
		at := rng.IntN(5)
		for k := range picture.Pix {
			picture.Pix[k] = uint8(20 * rng.IntN(2))
			if k%5 == at {
				picture.Pix[k] = uint8(200 + rng.IntN(50))
			}
		}
		file, err := os.Create(filepath.Join(folder, fmt.Sprintf("%03d.png", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(file, picture); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	r := mustRun(t, Samples, "CMF_SPACE=pixels", "CMF_DATA_FILE="+folder, "CMF_STEPS=40", "CMF_COUNT=100", "CMF_MIXING=40", "CMF_PARTICLES=256", "CMF_BATCH=128")
	x := readNPY(t, r, "samples.npy")
	if x.Rows != 100 || x.Cols != 20 || slices.Min(x.Data) < 0 || slices.Max(x.Data) > 1 || slices.Max(x.Data) < .6 {
		t.Errorf("pictures of shape (%d, %d), pixels from %g to %g", x.Rows, x.Cols, slices.Min(x.Data), slices.Max(x.Data))
	}
	if m := r.Report.Metrics["log_likelihood"]; math.IsNaN(m) || m < -10 {
		t.Errorf("log likelihood %g nats of pixels in [0, 1]", m)
	}
	saved := mustRun(t, Generate, "CMF_COUNT=100", "CMF_MIXING=40", "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_POINTS="+folder)
	if got := readNPY(t, saved, "samples.npy"); !slices.Equal(got.Data, x.Data) {
		t.Error("the checkpoint does not give the pictures of its run")
	}
	if l := readNPY(t, saved, "densities.npy"); l.Rows != 200 || l.Cols != 1 {
		t.Errorf("densities.npy has shape (%d, %d)", l.Rows, l.Cols)
	}
}

// A file that is not a model of an experiment is refused with the reason.
func TestGenerateRefuses(t *testing.T) {
	r, err := plane.Run(t, "CMF_STEPS=2")
	if err != nil {
		t.Fatal(err)
	}
	good := r.Path("checkpoint.safetensors")
	changed := func(name string, change func(c *graph.Checkpoint)) string {
		c, err := graph.LoadCheckpoint(good)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		path := filepath.Join(t.TempDir(), name+".safetensors")
		if err := c.Save(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.safetensors")
	if err := os.WriteFile(cut, content[:len(content)-100], 0o644); err != nil {
		t.Fatal(err)
	}
	text := func(name, value string) func(c *graph.Checkpoint) {
		return func(c *graph.Checkpoint) { c.Texts[name] = value }
	}
	for path, want := range map[string]string{
		"absent.safetensors":             "no such file",
		cut:                              "a damaged one",
		"picture/classifier.safetensors": "does not give its architecture",
		changed("kind", text("architecture", `{"Dim":2,"Hidden":[32,32],"Attention":3}`)):                  `this version does not know its architecture: json: unknown field "Attention"`,
		changed("wide", text("architecture", `{"Dim":2,"Hidden":[1000000000,32]}`)):                        "its architecture needs [2 1000000000]",
		changed("flat", text("architecture", `{"Dim":2,"Hidden":[32,32]}`)):                                "that is not here",
		changed("deep", text("architecture", `{"Dim":2,"Hidden":[32,32],"Rank":1000000}`)):                 "more arrays than it holds",
		changed("units", text("units", `{"Center":[0],"Scale":[1]}`)):                                      "1 centres and 1 scales for points of 2",
		changed("scale", text("units", `{"Center":[0,0],"Scale":[1,-1]}`)):                                 "it must be positive",
		changed("gamma", text("chains.gamma", "fast")):                                                     "chains.gamma",
		changed("nan", func(c *graph.Checkpoint) { c.Tensors["weight.out"].F32[0] = float32(math.NaN()) }): `"weight.out" holds NaN`,
		changed("bank", func(c *graph.Checkpoint) { delete(c.Tensors, "bank.y") }):                         "they must be (n, 2)",
	} {
		_, err := run.Execute(t.Context(), Generate, config.Variables("CMF_CHECKPOINT="+path, "CMF_OUT="+t.TempDir()), nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "CMF_CHECKPOINT="+path) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_CHECKPOINT="+good, "CMF_COUNT=0", "CMF_POINTS="+csvFile(t, "", 3, func(int) string { return "1,2,3" }))
	if _, err := run.Execute(t.Context(), Generate, env, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "its rows have 3 coordinates, but the model has 2") {
		t.Errorf("points of another dimension: %v", err)
	}
}
