package monge

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/inputs"
	"cmf/experiments/internal/outcome"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph/onnxtest"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

var needed = config.Variables("CMF_SOURCE_FILE=source.npy", "CMF_TARGET_FILE=target.npy")

func TestVariables(t *testing.T) {
	t.Chdir(t.TempDir())
	c := inputs.Command{Experiment: Transport, Needed: needed}
	inputs.TestVariables(t, c)
	inputs.TestNames(t, c, "PRESET OUT VM BLAS THREADS WATCH SEED RESUME STEPS BATCH MINUTES LOSS INIT CONJUGATE HIDDEN UNIT POTENTIAL PIECES RANK TAU LR ONNX "+
		"COLUMNS HEADER SOURCE_FILE TARGET_FILE POINTS HOLDOUT SCALE SIDE SPREAD SHARE")
}

// execute runs the experiment with some variables, in a folder of its own.
func execute(t *testing.T, ctx context.Context, variables ...string) (*run.Run, error) {
	t.Helper()
	return run.Execute(ctx, Transport, config.Variables("CMF_OUT="+t.TempDir()).With(variables...), nil, io.Discard)
}

func mustExecute(t *testing.T, variables ...string) *run.Run {
	t.Helper()
	r, err := execute(t, t.Context(), variables...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func npyFile(t *testing.T, x blas32.General) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "points.npy")
	if err := data.WriteNPY(path, x); err != nil {
		t.Fatal(err)
	}
	return path
}

func csvFile(t *testing.T, header []string, x blas32.General) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "points.csv")
	if err := data.WriteCSV(path, header, x); err != nil {
		t.Fatal(err)
	}
	return path
}

func readNPY(t *testing.T, path string) blas32.General {
	t.Helper()
	x, err := table.ReadBatch(path)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// laws are a Gaussian in mixed units and another, with the map between them.
func laws(t *testing.T) (source, target *exact.Gaussian, inverse *exact.Quadratic) {
	t.Helper()
	of := func(mean []float64, cov []float64) *exact.Gaussian {
		g, err := exact.NewGaussian(mean, mat.NewSymDense(3, cov))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	source = of([]float64{5, -20, 0}, []float64{4, 1, 0, 1, 2, .5, 0, .5, 1})
	target = of([]float64{-1, 0, 30}, []float64{1, -.5, 0, -.5, 6, 2, 0, 2, 3})
	inverse, err := target.MongeTo(source)
	if err != nil {
		t.Fatal(err)
	}
	return source, target, inverse
}

// mapped is the true map at the rows of y.
func mapped(t *testing.T, inverse *exact.Quadratic, y blas32.General) blas32.General {
	t.Helper()
	x, at := batch.New(y.Rows, y.Cols), make([]float64, y.Cols)
	for i := range y.Rows {
		batch.Widen(at, batch.Row(y, i))
		_, image, err := inverse.ConjugateAt(at)
		if err != nil {
			t.Fatal(err)
		}
		batch.Narrow(batch.Row(x, i), image)
	}
	return x
}

// The map between two Gaussians is the linear one, in the units of the files, with the
// potential on either side. The checkpoint alone maps as the run did.
func TestGaussians(t *testing.T) {
	source, target, inverse := laws(t)
	const n = 4000
	y := source.Sample(n, random.New(1, "source", 0))
	points := source.Sample(500, random.New(1, "points", 0))
	variables := []string{
		"CMF_SOURCE_FILE=" + npyFile(t, y), "CMF_TARGET_FILE=" + npyFile(t, target.Sample(n, random.New(1, "target", 0))),
		"CMF_POINTS=" + npyFile(t, points), "CMF_STEPS=400", "CMF_HIDDEN=32", "CMF_LR=3e-2",
	}
	fitted := func(x blas32.General) *exact.Gaussian {
		g, err := exact.FitGaussian(x, 0)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	linear, err := fitted(readNPY(t, variables[1][len("CMF_TARGET_FILE="):])).MongeTo(fitted(y))
	if err != nil {
		t.Fatal(err)
	}
	floor, err := metric.UVP(mapped(t, linear, points), mapped(t, inverse, points))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("UVP of the map between the moments of the rows: %.3f %%", floor)
	for _, side := range []string{"source", "target"} {
		r := mustExecute(t, append(variables, "CMF_SIDE="+side)...)
		at := readNPY(t, r.Path("mapped.npy"))
		uvp, err := metric.UVP(at, mapped(t, inverse, points))
		if err != nil {
			t.Fatal(err)
		}
		m, base := r.Report.Metrics, r.Report.Baseline
		t.Logf("potential on the %s: UVP %.3f %%, cost %.4f (linear %.4f), energy distance %.4f, inverse %.2g", side, uvp, m["cost"], base["cost"], m["energy_distance"], m["inverse_error"])
		// Both fits see 3200 rows: the moments alone leave about .1 %.
		if !(uvp < .5) {
			t.Errorf("potential on the %s: UVP %.3f %%", side, uvp)
		}
		transported := readNPY(t, r.Path("transported.npy"))
		if uvp, err = metric.UVP(transported, mapped(t, inverse, y)); err != nil || !(uvp < .5) {
			t.Errorf("potential on the %s: UVP %.3f %% at the rows of the source, error %v", side, uvp, err)
		}
		if math.Abs(m["cost"]/base["cost"]-1) > .02 || !(m["inverse_error"] < 1e-5) || !(m["identity.energy_distance"] > 10) || math.Abs(m["energy_distance"]) > .05 {
			t.Errorf("potential on the %s: metrics %v, baseline %v", side, m, base)
		}
		saved, err := fit.LoadModel(r.Path("checkpoint.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := saved.Map(t.Context(), points)
		if err != nil || !slices.Equal(again.Data, at.Data) {
			t.Errorf("potential on the %s: the checkpoint maps differently, error %v", side, err)
		}
		back, _, err := saved.Back(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if uvp, err := metric.UVP(back, points); err != nil || !(uvp < 1e-3) {
			t.Errorf("potential on the %s: UVP of the way back %.2g %%, error %v", side, uvp, err)
		}
		if _, err := saved.Draw(t.Context(), 10, 20, random.New(1, "draw", 0)); err == nil || !strings.Contains(err.Error(), "the source of this model is a table") {
			t.Errorf("a draw: %v", err)
		}
		if _, _, err := saved.LogPDF(t.Context(), points, random.New(1, "density", 0)); err == nil || !strings.Contains(err.Error(), "the source of this model is a table") {
			t.Errorf("a density: %v", err)
		}
		if _, _, err := saved.Map(t.Context(), batch.New(3, 2)); err == nil {
			t.Error("points of another dimension were mapped")
		}
	}
}

// A law of two parts is reached where the linear map fails; figures are drawn in every
// dimension.
func TestParts(t *testing.T) {
	for d := 1; d <= 7; d += 2 {
		const n = 1500
		y, x := exptest.Normal(n, d, 3, 2, 1), exptest.Normal(n, d, 0, .5, 2)
		for i := range n {
			batch.Row(x, i)[0] += float32(4*(i%2) - 2)
		}
		steps := "CMF_STEPS=300"
		if testing.Short() {
			steps = "CMF_STEPS=20"
		}
		r := mustExecute(t, "CMF_SOURCE_FILE="+npyFile(t, tight(y)), "CMF_TARGET_FILE="+npyFile(t, tight(x)), steps, "CMF_HIDDEN=32,32")
		m, base := r.Report.Metrics, r.Report.Baseline
		t.Logf("d = %d: energy distance %.4f, linear %.4f, floor %.4f", d, m["energy_distance"], base["energy_distance"], r.Report.Floor["energy_distance"])
		if !testing.Short() && !(m["energy_distance"] < base["energy_distance"]/2) {
			t.Errorf("d = %d: energy distance %.4f, of the linear map %.4f", d, m["energy_distance"], base["energy_distance"])
		}
		figures := map[int][]string{1: {"points.png", "map.png"}, 3: {"points.png", "arrows.png"}}[d]
		for _, name := range append(figures, "points.png", "curves.png") {
			if _, err := os.Stat(r.Path(name)); err != nil {
				t.Errorf("d = %d: %v", d, err)
			}
		}
	}
}

// tight is a copy of x without gaps between its rows.
func tight(x blas32.General) blas32.General { return batch.Stacked(x, batch.New(0, x.Cols)) }

// Columns are matched by name; results are tables with the header of the source.
func TestTables(t *testing.T) {
	source, target, inverse := laws(t)
	const n = 2000
	names, other := []string{"speed", "size, in m", "phase"}, []string{"phase", "speed", "size, in m"}
	turned := func(x blas32.General) blas32.General {
		out := batch.New(x.Rows, 3)
		for i := range x.Rows {
			v := batch.Row(x, i)
			copy(batch.Row(out, i), []float32{v[2], v[0], v[1]})
		}
		return out
	}
	points := source.Sample(300, random.New(1, "points", 0))
	for _, scale := range []string{"common", "each"} {
		r := mustExecute(t, "CMF_SOURCE_FILE="+csvFile(t, names, source.Sample(n, random.New(1, "source", 0))),
			"CMF_TARGET_FILE="+csvFile(t, other, turned(target.Sample(n, random.New(1, "target", 0)))),
			"CMF_POINTS="+csvFile(t, other, turned(points)), "CMF_STEPS=20", "CMF_HIDDEN=16", "CMF_SHARE=1", "CMF_SCALE="+scale)
		at := readNPY(t, r.Path("mapped.npy"))
		uvp, err := metric.UVP(at, mapped(t, inverse, points))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: UVP %.2f %%", scale, uvp)
		// In standard deviations another map is optimal.
		if each := scale == "each"; each != (uvp > .5) {
			t.Errorf("%s: UVP %.2f %%", scale, uvp)
		}
		if _, own := r.Report.Metrics["energy_distance_standard"]; own != (scale == "each") {
			t.Errorf("%s: metrics %v", scale, r.Report.Metrics)
		}
		for _, name := range []string{"mapped", "transported"} {
			text, err := os.ReadFile(r.Path(name + ".csv"))
			if err != nil || !strings.HasPrefix(string(text), "speed,\"size, in m\",phase\n") {
				t.Errorf("%s: %s.csv begins with %.40q: %v", scale, name, text, err)
			}
		}
		if notes := strings.Join(r.Report.Notes, "\n"); !strings.Contains(notes, "matched by name") {
			t.Errorf("%s: the notes do not tell of the columns: %s", scale, notes)
		}
	}
}

// tableFile writes columns in the format of a file.
func tableFile(t *testing.T, name, format string, columns ...table.Column) string {
	t.Helper()
	path, rows := filepath.Join(t.TempDir(), name), &table.Table{Columns: columns, Format: table.Format{Name: format}}
	w, err := table.Create(path, rows)
	if err == nil {
		err = errors.Join(w.Append(rows), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func readRows(t *testing.T, path string) *table.Table {
	t.Helper()
	rows, _, err := table.Read(path, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// normals are a column of n normal values in steps of 2⁻²⁰, so that offsets of 2²⁰ are exact.
func normals(name string, n int, offset, sd float64) table.Column {
	c := table.Column{Name: name, Kind: table.Real, Decimals: -1, Values: make([]float64, n)}
	rng := random.New(1, name, uint64(n))
	for i := range c.Values {
		c.Values[i] = offset + math.Round(sd*rng.NormFloat64()*0x1p20)/0x1p20
	}
	return c
}

// The map of tables far from 0 is that of the same tables about 0, moved with them: float32 has
// steps of an eighth there.
func TestFarFromZero(t *testing.T) {
	const n, from, to = 600, 1 << 20, -3 << 20
	var images, further [2]*table.Table
	var numbers [2]report.Numbers
	for k := range 2 {
		f, g := float64(k*from), float64(k*to)
		r := mustExecute(t, "CMF_SOURCE_FILE="+tableFile(t, "a.csv", "csv", normals("x", n, f, 1), normals("y", n, f, 2)),
			"CMF_TARGET_FILE="+tableFile(t, "b.csv", "csv", normals("x", n+1, g, 2), normals("y", n+1, g, .5)),
			"CMF_POINTS="+tableFile(t, "c.csv", "csv", normals("x", n+2, f, 1), normals("y", n+2, f, 2)),
			"CMF_STEPS=40", "CMF_HIDDEN=16", "CMF_THREADS=1")
		images[k], further[k], numbers[k] = readRows(t, r.Path("transported.csv")), readRows(t, r.Path("mapped.csv")), r.Report.Metrics
	}
	for _, x := range [][2]*table.Table{images, further} {
		for j := range x[0].Columns {
			for i, v := range x[0].Columns[j].Values {
				if gap := x[1].Columns[j].Values[i] - to - v; !(math.Abs(gap) < 1e-4) {
					t.Fatalf("row %d, column %d: the image far from 0 is off by %g", i+1, j+1, gap)
				}
			}
		}
	}
	for _, name := range []string{"energy_distance", "sliced_w2", "w2", "inverse_error"} {
		if a, b := numbers[0][name], numbers[1][name]; math.Abs(a-b) > 1e-4 {
			t.Errorf("%s is %g about 0 and %g far from it", name, a, b)
		}
	}
	if want := numbers[0]["cost"] + 2*math.Pow(to-from, 2); math.Abs(numbers[1]["cost"]/want-1) > 1e-3 {
		t.Errorf("a cost of %g; want about %g", numbers[1]["cost"], want)
	}
}

// The map of tables in units of 10²⁰ is that of the same tables in other units.
func TestLargeUnits(t *testing.T) {
	const n, exponent = 300, 66
	var runs [2]*run.Run
	for k := range 2 {
		in := func(c table.Column) table.Column {
			for i := range c.Values {
				c.Values[i] = math.Ldexp(c.Values[i], k*exponent)
			}
			return c
		}
		runs[k] = mustExecute(t, "CMF_SOURCE_FILE="+tableFile(t, "a.csv", "csv", in(normals("x", n, 3, 1)), in(normals("y", n, 0, 2))),
			"CMF_TARGET_FILE="+tableFile(t, "b.csv", "csv", in(normals("x", n+1, 0, 2)), in(normals("y", n+1, 0, .5))), "CMF_SCALE=each", "CMF_STEPS=5", "CMF_HIDDEN=8", "CMF_THREADS=1")
	}
	near, far := readRows(t, runs[0].Path("transported.csv")), readRows(t, runs[1].Path("transported.csv"))
	for j := range 2 {
		for i, v := range near.Columns[j].Values {
			if math.Ldexp(far.Columns[j].Values[i], -exponent) != v {
				t.Fatalf("row %d, column %d: %g, in other units %g", i+1, j+1, far.Columns[j].Values[i], v)
			}
		}
	}
	for name, v := range runs[1].Report.Metrics {
		if want, both := runs[0].Report.Metrics[name]; v-v != 0 || strings.HasSuffix(name, "_standard") && (!both || math.Abs(v-want) > 1e-4*(1+math.Abs(want))) {
			t.Errorf("%s is %g, in other units %g", name, v, want)
		}
	}
}

// Columns are mapped by their kinds and written in the format of their file: whole numbers as
// real ones, times as times, a column of one value in each table as the target's. Columns of
// one file alone are left out by CMF_COLUMNS.
func TestColumnKinds(t *testing.T) {
	const n = 400
	count := func(size int, offset float64) table.Column {
		c := normals("count", size, offset, 30)
		for i, v := range c.Values {
			c.Values[i] = math.Round(v)
		}
		c.Kind = table.Integer
		return c
	}
	day := func(size int, offset float64) table.Column {
		c := normals("day", size, offset, 40)
		for i, v := range c.Values {
			c.Values[i] = math.Round(v)
		}
		c.Kind, c.Clock = table.Time, &table.Clock{Unit: "day", Layout: "2006-01-02"}
		return c
	}
	one := func(size int, v float64) table.Column {
		return table.Column{Name: "one", Kind: table.Real, Decimals: -1, Values: slices.Repeat([]float64{v}, size)}
	}
	label := table.Column{Name: "label", Kind: table.Category, Labels: []string{"a", "b"}, Values: make([]float64, n)}
	for i := range label.Values {
		label.Values[i] = float64(i % 2)
	}
	for format, ext := range map[string]string{"csv": ".csv", "parquet": ".parquet"} {
		source := tableFile(t, "a"+ext, format, normals("x", n, 0, 1), count(n, 1000), label, day(n, 19000), one(n, 3))
		r := mustExecute(t, "CMF_SOURCE_FILE="+source, "CMF_TARGET_FILE="+tableFile(t, "b"+ext, format, one(n+1, 5), day(n+1, 20000), count(n+1, 2000), normals("x", n+1, 9, 1)),
			"CMF_COLUMNS=label:skip", "CMF_SCALE=each", "CMF_STEPS=0", "CMF_HIDDEN=8", "CMF_POINTS="+source)
		rows := readRows(t, r.Path("transported"+ext))
		if names := rows.Names(); !slices.Equal(names, []string{"x", "count", "day", "one"}) {
			t.Fatalf("%s: the images have the columns %q", format, names)
		}
		if further := readRows(t, r.Path("mapped"+ext)); !slices.Equal(further.Columns[1].Values, rows.Columns[1].Values) {
			t.Errorf("%s: rows of the source are mapped differently as further rows", format)
		}
		times, counts := rows.Columns[2], rows.Columns[1]
		if times.Kind != table.Time || math.Abs(float64(times.Clock.Origin)+stat.Mean(times.Values, nil)-20000) > 10 {
			t.Errorf("%s: times of kind %s about %g", format, times.Kind, float64(times.Clock.Origin)+stat.Mean(times.Values, nil))
		}
		if counts.Kind != table.Real || math.Abs(stat.Mean(counts.Values, nil)-2000) > 10 || !slices.ContainsFunc(counts.Values, func(v float64) bool { return v != math.Trunc(v) }) {
			t.Errorf("%s: whole numbers are mapped to %.4g …, of kind %s", format, counts.Values[:3], counts.Kind)
		}
		if slices.Min(rows.Columns[3].Values) != 5 || slices.Max(rows.Columns[3].Values) != 5 {
			t.Errorf("%s: the constant is mapped to %v …", format, rows.Columns[3].Values[:3])
		}
		if notes := strings.Join(r.Report.Notes, "\n"); !strings.Contains(notes, `Column "one" is 3 in all rows of the source and 5 in all rows of the target`) || !strings.Contains(notes, "images are not rounded") || !strings.Contains(notes, "matched by name") {
			t.Errorf("%s: the notes: %s", format, notes)
		}
	}
}

// On another runtime, model.onnx in the data's units maps as the run did, also where the tables
// lie far from 0.
func TestExportInUnitsOfTheData(t *testing.T) {
	const n = 300
	source := tableFile(t, "a.csv", "csv", normals("x", n, 1e5, 1), normals("y", n, -1e5, 2))
	target := tableFile(t, "b.csv", "csv", normals("x", n+1, -3e5, 2), normals("y", n+1, 1e5, .5))
	for _, variables := range [][]string{nil, {"CMF_SIDE=target"}, {"CMF_POTENTIAL=quadratics", "CMF_PIECES=5"}, {"CMF_POTENTIAL=quadratics", "CMF_PIECES=5", "CMF_SIDE=target"}} {
		r := mustExecute(t, append(variables, "CMF_SOURCE_FILE="+source, "CMF_TARGET_FILE="+target, "CMF_STEPS=5", "CMF_HIDDEN=8", "CMF_ONNX=data")...)
		before, after := readRows(t, source), readRows(t, r.Path("transported.csv"))
		name, in, out := "map", before, after
		if slices.Contains(variables, "CMF_SIDE=target") != slices.Contains(variables, "CMF_PIECES=5") {
			name, in, out = "inverse", after, before
		}
		input := "x"
		if slices.Contains(variables, "CMF_PIECES=5") { // the network is the conjugate
			input = "y"
		}
		x := onnxtest.Array{Dims: []int{n, 2}, Type: "float64"}
		for i := range n {
			x.Data = append(x.Data, in.Columns[0].Values[i], in.Columns[1].Values[i])
		}
		answer := onnxtest.Run(t, []onnxtest.Request{{Model: r.Path("model.onnx"), Inputs: map[string]onnxtest.Array{input: x}}})[0]
		if len(answer[name].Data) != 2*n {
			t.Fatalf("%q: outputs %v", variables, slices.Collect(maps.Keys(answer)))
		}
		for i := range n {
			for j := range 2 {
				// Conjugates are solved to a relative residual of 1e-3.
				if gap := answer[name].Data[2*i+j] - out.Columns[j].Values[i]; !(math.Abs(gap) < 2e-2) {
					t.Fatalf("%q: the %s of row %d is off by %g in column %d", variables, name, i+1, gap, j+1)
				}
			}
		}
	}
}

// A run that is interrupted goes on to the same bits.
func TestResumes(t *testing.T) {
	source, target, _ := laws(t)
	variables := []string{
		"CMF_SOURCE_FILE=" + npyFile(t, source.Sample(333, random.New(1, "source", 0))), "CMF_TARGET_FILE=" + npyFile(t, target.Sample(300, random.New(1, "target", 0))),
		"CMF_STEPS=30", "CMF_BATCH=100", "CMF_HIDDEN=16", "CMF_LOSS=dual+amortised", "CMF_THREADS=1",
	}
	whole := mustExecute(t, variables...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := fit.Hook{Every: 13, Step: func(*fit.Loop) error { cancel(); return nil }}
	r, err := execute(t, fit.WithHooks(ctx, stop), variables...)
	if err != nil || r.Report.Stop.Reason != report.Interrupted || r.Report.Steps != 13 {
		t.Fatalf("the stop %+v after %d steps: %v", r.Report.Stop, r.Report.Steps, err)
	}
	resumed := mustExecute(t, append(variables, "CMF_RESUME="+r.Path("checkpoint.safetensors"), "CMF_OUT="+r.Folder)...)
	differences, err := outcome.Differences(whole.Folder, resumed.Folder)
	if err != nil || len(differences) > 0 {
		t.Errorf("%v: %v", differences, err)
	}
}

// Of few rows in many dimensions training learns noise: the linear map is kept. Between laws
// that are not Gaussian it is not.
func TestChoosesByHeldOutRows(t *testing.T) {
	normal := exact.StandardGaussian(20)
	line := exact.StandardGaussian(1)
	square := line.Sample(2000, random.New(1, "square", 0))
	for i, v := range square.Data {
		square.Data[i] = v + .3*v*v*v
	}
	for _, c := range []struct {
		name           string
		source, target blas32.General
		trained        bool
	}{
		{"noise", normal.Sample(300, random.New(1, "source", 0)), normal.Sample(300, random.New(1, "target", 0)), false},
		{"cubic", line.Sample(2000, random.New(1, "source", 0)), square, true},
	} {
		r := mustExecute(t, "CMF_SOURCE_FILE="+npyFile(t, c.source), "CMF_TARGET_FILE="+npyFile(t, c.target),
			"CMF_STEPS=100", "CMF_BATCH=200", "CMF_HIDDEN=16", "CMF_THREADS=1")
		step, ok := r.Report.Metrics["chosen_step"]
		if !ok || (step > 0) != c.trained {
			t.Errorf("%s: the weights are those of step %g", c.name, step)
		}
		saved, err := fit.LoadModel(r.Path("checkpoint.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		x, _, err := saved.Map(t.Context(), c.source)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.Data, readNPY(t, r.Path("transported.npy")).Data) {
			t.Errorf("%s: the checkpoint has another map", c.name)
		}
	}
}

// Every loss on the dual trains, with the potential on either side.
func TestLosses(t *testing.T) {
	source, target, _ := laws(t)
	for _, side := range []string{"source", "target"} {
		for _, loss := range []string{"dual", "pairs", "sinkhorn", "dual+moments", "dual+enot", "dual+growth", "dual+penalty", "dual+amortised"} {
			r := mustExecute(t, "CMF_SOURCE_FILE="+npyFile(t, source.Sample(300, random.New(1, "source", 0))), "CMF_TARGET_FILE="+npyFile(t, target.Sample(300, random.New(1, "target", 0))),
				"CMF_STEPS=5", "CMF_BATCH=64", "CMF_HIDDEN=8,8", "CMF_LOSS="+loss, "CMF_SIDE="+side)
			if m := r.Report.Metrics; m["train_skipped_batches"] != 0 || m["train_masked_rows"] != 0 {
				t.Errorf("%s on the %s: %v", loss, side, m)
			}
		}
	}
}

// What cannot be mapped is refused before any work, with the variable, the columns and
// what is allowed.
func TestRefuses(t *testing.T) {
	points := exptest.Normal(300, 2, 0, 1, 1)
	good, wide := tight(points), tight(exptest.Normal(300, 3, 0, 1, 2))
	flat := tight(points)
	for i := range flat.Rows {
		batch.Row(flat, i)[1] = 7
	}
	a := npyFile(t, good)
	ab := csvFile(t, []string{"a", "b"}, good)
	for k, c := range []struct {
		variables []string
		want      string
	}{
		{[]string{"CMF_SOURCE_FILE="}, "CMF_SOURCE_FILE=: name a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather)"},
		{[]string{"CMF_TARGET_FILE=absent.npy"}, "CMF_TARGET_FILE=absent.npy: stat absent.npy: no such file"},
		{[]string{"CMF_TARGET_FILE=" + npyFile(t, wide)}, "it has 3 columns; it must have 2"},
		{[]string{"CMF_SOURCE_FILE=" + ab, "CMF_TARGET_FILE=" + csvFile(t, []string{"b", "c", "d"}, wide)}, "it lacks the columns a and it has the further columns c, d; its columns must be a, b, in any order"},
		{[]string{"CMF_SOURCE_FILE=" + ab, "CMF_TARGET_FILE=" + csvFile(t, []string{"a", "a"}, good)}, "it has the further columns a.1"},
		{[]string{"CMF_TARGET_FILE=" + npyFile(t, flat)}, `column "x2" is 7 in all 216 rows to learn from; leave it out by CMF_COLUMNS=x2:skip`},
		{[]string{"CMF_SOURCE_FILE=" + npyFile(t, batch.First(good, 100))}, "it has 100 rows of 2 columns; needed are at least"},
		{[]string{"CMF_SOURCE_FILE=" + ab, "CMF_POINTS=" + csvFile(t, []string{"a", "c"}, good)}, `it lacks the columns ["b"]`},
		{[]string{"CMF_POINTS=" + npyFile(t, wide)}, "it has 3 columns, but the model has 2"},
		{[]string{"CMF_SOURCE_FILE=" + ab, "CMF_TARGET_FILE=" + tableFile(t, "l.csv", "csv", normals("a", 300, 0, 1), table.Column{Name: "b", Kind: table.Category, Labels: []string{"u", "v"}, Values: slices.Repeat([]float64{0, 1}, 150)})}, `l.csv: column "b" holds "u", "v": the cost of the map is a squared distance, and labels have none; leave the column out by CMF_COLUMNS=b:skip`},
		{[]string{"CMF_SOURCE_FILE=" + ab, "CMF_TARGET_FILE=" + ab, "CMF_COLUMNS=c:skip"}, `no table has a column "c"`},
		{[]string{"CMF_SOURCE_FILE=" + ab, "CMF_TARGET_FILE=" + ab, "CMF_COLUMNS=a:circular(-9,9)"}, `column "a" is circular`},
		{[]string{"CMF_LOSS=dual+likelihood"}, "CMF_LOSS=dual+likelihood: losses: the term likelihood needs the density of the source"},
		{[]string{"CMF_LOSS=monge-ampere"}, "needs an energy"},
		{[]string{"CMF_BATCH=1000"}, "CMF_BATCH=1000: there are only 216 rows to learn from; allowed are 2 to 216"},
		{[]string{"CMF_SOURCE=gaussian"}, "CMF_SOURCE"},
		{[]string{"CMF_SIDE=both"}, "allowed are source, target"},
		{[]string{"CMF_SCALE=none"}, "allowed are common, each"},
		{[]string{"CMF_HOLDOUT=0.9"}, "0.01 to 0.5"},
	} {
		out := t.TempDir()
		env := config.Variables("CMF_OUT="+out, "CMF_SOURCE_FILE="+a, "CMF_TARGET_FILE="+a).With(c.variables...)
		_, err := run.Execute(t.Context(), Transport, env, nil, io.Discard)
		name, _, _ := strings.Cut(c.variables[len(c.variables)-1], "=")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("case %d: %v; want %s and %q", k, err, name, c.want)
		}
		if _, err := os.Stat(filepath.Join(out, "checkpoint.safetensors")); err == nil {
			t.Errorf("case %d: learning began", k)
		}
	}
	folder := t.TempDir()
	if _, err := execute(t, t.Context(), "CMF_SOURCE_FILE="+a, "CMF_TARGET_FILE="+folder); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("CMF_TARGET_FILE=%s: ", folder)) {
		t.Errorf("an empty folder: %v", err)
	}
}
