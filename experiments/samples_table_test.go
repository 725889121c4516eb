package experiments

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph/onnxtest"
	"cmf/solvers/random"
)

// clinic is a table with a column of each kind: 600 rows as CSV.
func clinic(t *testing.T) string {
	t.Helper()
	rng := random.New(1, "clinic", 0)
	cities := []string{"Rome", "Oslo", "Bonn"}
	return csvFile(t, "visit,age,city,country,smoker,rain,share,weight,height,index,source,total\n", 600, func(i int) string {
		city := rng.IntN(3)
		rain, share, smoker, weight := "0", "", "no", ""
		if rng.Float64() < .4 {
			rain = fmt.Sprintf("%.3f", 2*rng.ExpFloat64())
		}
		if rng.Float64() < .9 {
			share = fmt.Sprintf("%.4f", 1/(1+math.Exp(-rng.NormFloat64()-float64(city))))
		}
		if rng.Float64() < .3 {
			smoker = "yes"
		}
		w, h := 70+10*rng.NormFloat64(), 170+8*rng.NormFloat64()
		weight = fmt.Sprintf("%.2f", w)
		return fmt.Sprintf("2024-%02d-%02d,%d,%s,%s,%s,%s,%s,%s,%.2f,%d,clinic,%.2f", 1+i%12, 1+i%28, 20+rng.IntN(60)+5*city, cities[city], strings.ToUpper(cities[city][:2]), smoker, rain, share, weight, h, i*i%997, math.Round(100*w)/100+2*math.Round(100*h)/100)
	})
}

func readTable(t *testing.T, path string) *table.Table {
	t.Helper()
	x, _, err := table.Read(path, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// column is a column's values by its name.
func columnOf(t *testing.T, x *table.Table, name string) table.Column {
	t.Helper()
	j := slices.Index(x.Names(), name)
	if j < 0 {
		t.Fatalf("no column %q among %q", name, x.Names())
	}
	return x.Columns[j]
}

func shareOf(values []float64, is func(float64) bool) float64 {
	n := 0.
	for _, v := range values {
		if is(v) {
			n++
		}
	}
	return n / float64(len(values))
}

// Generated rows of a mixed table have its columns, labels, bounds, atoms, missing values,
// constants and dependences, and the checkpoint alone gives the same rows and densities.
func TestTableOfMixedColumns(t *testing.T) {
	path := clinic(t)
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_COLUMNS=share:[0,1]", "CMF_STEPS=60", "CMF_COUNT=2000", "CMF_MIXING=40", "CMF_PARTICLES=1024", "CMF_BATCH=128")
	data, got := readTable(t, path), readTable(t, r.Path("samples.csv"))
	header, err := os.ReadFile(r.Path("samples.csv"))
	if err != nil || !strings.HasPrefix(string(header), "visit,age,city,country,smoker,rain,share,weight,height,index,source,total\n2024-") {
		t.Errorf("samples.csv begins with %q: %v", header[:80], err)
	}
	for j, c := range data.Columns {
		if g := got.Columns[j]; g.Kind != c.Kind || c.Labels != nil && len(g.Labels) > len(c.Labels) {
			t.Errorf("column %s: kind %s with labels %q, of the data %s with %q", c.Name, g.Kind, g.Labels, c.Kind, c.Labels)
		}
	}
	for name, is := range map[string]func(float64) bool{
		"rain":  func(v float64) bool { return v == 0 },
		"share": math.IsNaN,
	} {
		want, have := shareOf(columnOf(t, data, name).Values, is), shareOf(columnOf(t, got, name).Values, is)
		if math.Abs(want-have) > .04 {
			t.Errorf("column %s: the share %.3f of its atom, in the data %.3f", name, have, want)
		}
	}
	w, h, total := columnOf(t, got, "weight"), columnOf(t, got, "height"), columnOf(t, got, "total")
	city, country := columnOf(t, got, "city"), columnOf(t, got, "country")
	for i := range got.Rows() {
		rain, share, age := columnOf(t, got, "rain").Values[i], columnOf(t, got, "share").Values[i], columnOf(t, got, "age").Values[i]
		if rain < 0 || share < 0 || share > 1 || age != math.Trunc(age) {
			t.Fatalf("row %d: rain %g, share %g, age %g", i+1, rain, share, age)
		}
		if math.Abs(w.Values[i]+2*h.Values[i]-total.Values[i]) > .006 {
			t.Fatalf("row %d: %g + 2·%g is not %g", i+1, w.Values[i], h.Values[i], total.Values[i])
		}
		if a, b := city.Labels[int(city.Values[i])], country.Labels[int(country.Values[i])]; b != strings.ToUpper(a[:2]) {
			t.Fatalf("row %d: %s in %s", i+1, a, b)
		}
	}
	m := r.Report.Metrics
	if !(m["log_likelihood"] > -100 && m["rows_outside"] == 0 && m["column_distance"] < .15) || len(r.Report.Beside) != 2 {
		t.Errorf("metrics %v", m)
	}

	saved := mustRun(t, Generate, "CMF_COUNT=2000", "CMF_MIXING=40", "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_POINTS="+path)
	for _, file := range []string{"samples.csv", "samples.npy"} {
		a, errA := os.ReadFile(r.Path(file))
		b, errB := os.ReadFile(saved.Path(file))
		if errA != nil || errB != nil || !slices.Equal(a, b) {
			t.Errorf("the checkpoint does not give the %s of its run: %v %v", file, errA, errB)
		}
	}
	of := columnOf(t, readTable(t, saved.Path("densities.csv")), "log_density")
	if len(of.Values) != 600 || shareOf(of.Values, func(v float64) bool { return v-v != 0 }) > 0 {
		t.Errorf("%d densities, some not finite", len(of.Values))
	}
}

// Rows count by their weights: a half of low weight is generated rarely.
func TestWeightsOfRows(t *testing.T) {
	rng := random.New(1, "weights", 0)
	path := csvFile(t, "x,y,w\n", 800, func(i int) string {
		side := float64(i%2*2 - 1)
		return fmt.Sprintf("%g,%g,%g", 3*side+.5*rng.NormFloat64(), rng.NormFloat64(), []float64{1, 9}[i%2])
	})
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_WEIGHT=w", "CMF_STEPS=100", "CMF_COUNT=4000", "CMF_MIXING=50", "CMF_PARTICLES=1024")
	got := readTable(t, r.Path("samples.csv"))
	if len(got.Columns) != 2 {
		t.Errorf("columns %q", got.Names())
	}
	if share := shareOf(got.Columns[0].Values, func(v float64) bool { return v > 0 }); math.Abs(share-.9) > .04 {
		t.Errorf("a share of %.3f of the rows is on the side of nine tenths of the weight", share)
	}
}

// Columns with atoms, bounds, outliers, tails and a far mode are learned by their margins.
func TestHardColumns(t *testing.T) {
	var rng *random.Stream // of each case
	uniform := func() float64 { return rng.Float64() }
	for name, c := range map[string]struct {
		value func(i int) string
		check func(v []float64) string // what is wrong
		note  string
		warns bool // at the head of the page
	}{
		"zeros": {func(int) string {
			if uniform() < .7 {
				return "0"
			}
			return fmt.Sprintf("%.2f", 30*rng.ExpFloat64())
		}, func(v []float64) string {
			if zeros := shareOf(v, func(v float64) bool { return v == 0 }); math.Abs(zeros-.7) > .03 || slices.Min(v) < 0 {
				return fmt.Sprintf("%.3f zeros, least %g", zeros, slices.Min(v))
			}
			return ""
		}, "is 0 in", false},
		"incomes": {func(int) string { return fmt.Sprintf("%.0f", 2e4*math.Exp(.8*rng.NormFloat64())) }, func(v []float64) string {
			if slices.Min(v) < 0 {
				return fmt.Sprintf("an income of %g", slices.Min(v))
			}
			return ""
		}, "no negative values", false},
		"sentinels": {func(i int) string {
			if i%30 == 0 {
				return "-9999"
			}
			return fmt.Sprintf("%.4f", 20+3*rng.NormFloat64())
		}, func(v []float64) string {
			between := shareOf(v, func(v float64) bool { return v > -9000 && v < 0 })
			if far := shareOf(v, func(v float64) bool { return v < -9000 }); math.Abs(far-.03) > .02 || between > .005 {
				return fmt.Sprintf("%.3f below −9000, %.3f above it and below 0", far, between)
			}
			return ""
		}, "-9999", true},
		"tails": {func(int) string { return fmt.Sprint(math.Tan(math.Pi * (uniform() - .5))) }, func(v []float64) string {
			if far := shareOf(v, func(v float64) bool { return math.Abs(v) > 12.7 }); math.Abs(far-.05) > .02 {
				return fmt.Sprintf("%.3f beyond 12.7, where a Cauchy law has .05", far)
			}
			return ""
		}, "robust deviations", true},
		"far mode": {func(int) string {
			if uniform() < .04 {
				return fmt.Sprint(40 + .3*rng.NormFloat64())
			}
			return fmt.Sprint(rng.NormFloat64())
		}, func(v []float64) string {
			if far := shareOf(v, func(v float64) bool { return math.Abs(v-40) < 2 }); math.Abs(far-.04) > .015 {
				return fmt.Sprintf("%.3f at the mode of 4 %%", far)
			}
			return ""
		}, "robust deviations", true},
	} {
		t.Run(name, func(t *testing.T) {
			rng = random.New(1, name, 0)
			path := csvFile(t, "v,other\n", 1000, func(i int) string { return c.value(i) + "," + fmt.Sprint(rng.NormFloat64()) })
			r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_STEPS=30", "CMF_COUNT=4000", "CMF_MIXING=40", "CMF_PARTICLES=1024")
			if wrong := c.check(columnOf(t, readTable(t, r.Path("samples.csv")), "v").Values); wrong != "" {
				t.Error(wrong)
			}
			if !strings.Contains(strings.Join(r.Report.Notes, "\n"), c.note) {
				t.Errorf("no note with %q among %q", c.note, r.Report.Notes)
			}
			page, err := os.ReadFile(r.Path("index.html"))
			if err != nil {
				t.Fatal(err)
			}
			head, _, _ := strings.Cut(string(page), "</header>")
			if strings.Contains(head, c.note) != c.warns || c.warns && !strings.Contains(head, "if they are faults, leave out their rows") {
				t.Errorf("the head of the page warns with %q: not %t", c.note, c.warns)
			}
		})
	}
}

// Training ends where held-out rows are no longer better explained, and a run that is ended
// at any step goes on to the same choice.
func TestTrainingChoosesAndSettles(t *testing.T) {
	rng := random.New(1, "few", 0)
	path := csvFile(t, "a,b,c\n", 120, func(int) string {
		return fmt.Sprintf("%g,%g,%g", rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64())
	})
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_COUNT=100", "CMF_MIXING=20", "CMF_PARTICLES=256", "CMF_BATCH=64")
	stop, chosen := r.Report.Stop, r.Report.Metrics["chosen_step"]
	if stop.Reason != report.Halted || stop.Step >= stop.Of || chosen >= float64(stop.Step) {
		t.Errorf("training of noise ended with %+v and the state of step %g", stop, chosen)
	}
	again := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_COUNT=100", "CMF_MIXING=20", "CMF_PARTICLES=256", "CMF_BATCH=64",
		"CMF_RESUME="+r.Path("checkpoint.safetensors"))
	if again.Report.Metrics["chosen_step"] != chosen {
		t.Errorf("resumed to the state of step %g, before %g", again.Report.Metrics["chosen_step"], chosen)
	}
	if again.Report.Stop.Step != stop.Step {
		t.Errorf("resumed, training ended at step %d, before at %d", again.Report.Stop.Step, stop.Step)
	}
}

// model.onnx says in which units its points are, and a table in other formats is written back
// in its own.
func TestUnitsAndFormats(t *testing.T) {
	rng := random.New(1, "formats", 0)
	csv := csvFile(t, "time,value\n", 300, func(i int) string {
		return fmt.Sprintf("%.3f,%g", 1.7e9+1000*rng.NormFloat64(), rng.NormFloat64())
	})
	rows := readTable(t, csv)
	rows.Format = table.Format{Name: "parquet"}
	parquet := filepath.Join(t.TempDir(), "points.parquet")
	out, err := table.Create(parquet, rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Append(rows); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{csv, parquet} {
		r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_STEPS=10", "CMF_COUNT=500", "CMF_MIXING=20", "CMF_PARTICLES=256")
		got := readTable(t, r.Path("samples"+filepath.Ext(path)))
		times := map[float64]bool{}
		for _, v := range got.Columns[0].Values {
			if math.Abs(v-1.7e9) > 1e4 {
				t.Fatalf("%s: a time of %f", path, v)
			}
			times[v] = true
		}
		if len(times) < 450 { // float32 has steps of 128 there
			t.Errorf("%s: 500 rows have %d different times", path, len(times))
		}
		model, err := os.ReadFile(r.Path("model.onnx"))
		if err != nil || !strings.Contains(string(model), "cmf.units") || !strings.Contains(string(model), `"Affine":{"Center":1`) {
			t.Errorf("model.onnx does not tell its units: %v", err)
		}
	}
}

// In the data's units, model.onnx takes rows as they are in the file and gives the noise of
// each, on another runtime. Mixed columns are refused before learning.
func TestExportOfTables(t *testing.T) {
	rng := random.New(1, "export", 0)
	path := csvFile(t, "x,one,y\n", 300, func(int) string {
		return fmt.Sprintf("%.9f,7,%.9f", 1e5+rng.NormFloat64(), .01*rng.NormFloat64()-3e5)
	})
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_STEPS=5", "CMF_COUNT=200", "CMF_MIXING=20", "CMF_PARTICLES=256", "CMF_ONNX=data")
	saved := mustRun(t, Generate, "CMF_COUNT=0", "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_POINTS="+path)
	rows, noise := readTable(t, path), readNPY(t, saved, "gradients.npy")
	model, err := os.ReadFile(r.Path("model.onnx"))
	if err != nil || !strings.Contains(string(model), `["x","y"]`) {
		t.Errorf("model.onnx does not name its columns: %v", err)
	}
	x := onnxtest.Array{Dims: []int{300, 2}, Type: "float64"}
	for i := range 300 {
		x.Data = append(x.Data, rows.Columns[0].Values[i], rows.Columns[2].Values[i])
	}
	answer := onnxtest.Run(t, []onnxtest.Request{{Model: r.Path("model.onnx"), Inputs: map[string]onnxtest.Array{"x": x}}})[0]
	for i, want := range noise.Data {
		if got := answer["noise"].Data[i]; !(math.Abs(got-float64(want)) < 1e-4) {
			t.Fatalf("the noise of row %d is %g, want %g", i/2+1, got, want)
		}
		// In units of learning the gradient is the noise.
		if got := answer["gradient"].Data[i] * []float64{1, .01}[i%2]; math.Abs(got-float64(want)) > .2*(1+math.Abs(float64(want))) {
			t.Fatalf("the gradient of row %d is %g in deviations, want about %g", i/2+1, got, want)
		}
	}
}

func TestExportRefusesMixedTables(t *testing.T) {
	path := csvFile(t, "x,city\n", 200, func(i int) string { return fmt.Sprintf("%d.5,%c", i*i%97, 'a'+i%3) })
	out := t.TempDir()
	_, err := run.Execute(t.Context(), Samples, config.Variables("CMF_OUT="+out, "CMF_DATA_FILE="+path, "CMF_ONNX=data"), nil, io.Discard)
	if err == nil || !strings.Contains(err.Error(), `CMF_ONNX=data: column "x" is learned by its margin`) || !strings.Contains(err.Error(), "allowed is learning") {
		t.Errorf("a mixed table: %v", err)
	}
	if _, err := os.Stat(filepath.Join(out, "checkpoint.safetensors")); err == nil {
		t.Error("learning began")
	}
}

func TestVersion(t *testing.T) {
	if v := run.Version(); !strings.Contains(v, "go1.") {
		t.Errorf("version %q", v)
	}
}
