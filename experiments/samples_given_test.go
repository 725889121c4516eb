package experiments

import (
	"context"
	"errors"
	"fmt"
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
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/random"
)

// ward is a table whose columns stay and ward depend on age and clinic: 700 rows as CSV.
func ward(t *testing.T) string {
	t.Helper()
	rng := random.New(1, "ward", 0)
	return csvFile(t, "age,stay,clinic,ward\n", 700, func(i int) string {
		age, clinic, name := 20+60*rng.Float64(), "", rng.IntN(3)
		if name > 0 {
			clinic = []string{"", "east", "west"}[name]
		}
		ward := "a"
		if rng.Float64() < .2+.3*float64(name) {
			ward = "b"
		}
		return fmt.Sprintf("%.2f,%.8f,%s,%s", age, 1e-3*(age/10+float64(name)+(.2+.01*age)*rng.NormFloat64()), clinic, ward)
	})
}

var wardVariables = []string{"CMF_GIVEN=clinic,1", "CMF_STEPS=60", "CMF_COUNT=300", "CMF_MIXING=20", "CMF_PARTICLES=512", "CMF_BATCH=128", "CMF_HIDDEN=16", "CMF_FEATURES=8"}

// Columns are learned given others of mixed kinds, and the checkpoint draws and evaluates for
// a file of contexts, whose columns are in another order.
func TestTableGiven(t *testing.T) {
	path := ward(t)
	r := mustRun(t, Samples, append(wardVariables, "CMF_DATA_FILE="+path)...)
	rows := readTable(t, r.Path("samples.csv"))
	if !slices.Equal(rows.Names(), []string{"age", "stay", "clinic", "ward"}) || rows.Rows() != 300 {
		t.Errorf("%d rows of %q", rows.Rows(), rows.Names())
	}
	held := readTable(t, r.Path("densities.csv"))
	for i, v := range columnOf(t, rows, "age").Values[:140] {
		if v != columnOf(t, held, "age").Values[i] {
			t.Fatalf("row %d is given %g, held out is %g", i+1, v, columnOf(t, held, "age").Values[i])
		}
	}
	m, g := r.Report.Metrics, r.Report.Baseline
	if !(m["log_likelihood"] > g["log_likelihood"]-.2 && m["column_distance"] < .3 && math.Abs(m["coverage_90"]-.9) < .08) {
		t.Errorf("metrics %v, of the regression %v", m, g)
	}

	at := csvFile(t, "id,clinic,age\n", 4, func(i int) string {
		return fmt.Sprintf("%d,%s,%d", i, []string{"east", "", "west", "west"}[i], []int{30, 50, 70, 95}[i])
	})
	saved := mustRun(t, Generate, "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_CONTEXTS="+at, "CMF_COUNT=400", "CMF_MIXING=30", "CMF_POINTS="+path)
	draws, conditionals := readTable(t, saved.Path("draws.csv")), readTable(t, saved.Path("conditionals.csv"))
	if !slices.Equal(draws.Names(), []string{"row", "age", "clinic", "stay", "ward"}) || draws.Rows() != 1600 || conditionals.Rows() != 4 {
		t.Fatalf("%d draws of %q, %d conditionals", draws.Rows(), draws.Names(), conditionals.Rows())
	}
	stay, of := columnOf(t, draws, "stay").Values, columnOf(t, draws, "row").Values
	for i := range 4 {
		own := slices.Clone(stay[400*i : 400*(i+1)])
		var mean float64
		for _, v := range own {
			mean += v / 400
		}
		slices.Sort(own)
		if got := columnOf(t, conditionals, "stay_mean").Values[i]; math.Abs(got-mean) > 1e-9 || of[400*i+7] != float64(i+1) {
			t.Errorf("row %d has the mean %g, its draws %g", i+1, got, mean)
		}
		if q := columnOf(t, conditionals, "stay_q95").Values[i]; q < own[379] || q > own[380] {
			t.Errorf("row %d has the quantile %g; it must be between %g and %g", i+1, q, own[379], own[380])
		}
		if a, b := columnOf(t, conditionals, "ward_a").Values[i], columnOf(t, conditionals, "ward_b").Values[i]; math.Abs(a+b-1) > 1e-9 {
			t.Errorf("row %d has the shares %g and %g", i+1, a, b)
		}
	}
	means := columnOf(t, conditionals, "stay_mean").Values
	if !(means[2] > means[1]+1e-3 && means[0] < means[2]-2e-3) {
		t.Errorf("means %g", means)
	}
	notes := strings.Join(saved.Report.Notes, "\n")
	for _, want := range []string{`Column "age" of the contexts is 95 in row 4, beyond`, `are ignored: ["id"]`} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note says %q:\n%s", want, notes)
		}
	}
	densities := readTable(t, saved.Path("densities.csv"))
	known := map[float64]float64{} // of held-out rows by their stay
	for i, v := range columnOf(t, held, "stay").Values {
		known[v] = columnOf(t, held, "log_density").Values[i]
	}
	var difference, n float64
	for i, v := range columnOf(t, readTable(t, path), "stay").Values {
		if l, ok := known[v]; ok {
			difference += columnOf(t, densities, "log_density").Values[i] - l
			n++
		}
	}
	if n < 140 || math.Abs(difference/n) > .05 {
		t.Errorf("densities of %g held-out rows differ by %g from those of the run", n, difference/n)
	}
}

// twoWays is a file of n rows of the conditional table of that name, without names.
func twoWays(t *testing.T, n int) (path string, known data.ConditionalTable) {
	t.Helper()
	known, err := data.Conditional("two-ways")
	if err != nil {
		t.Fatal(err)
	}
	rows := known.Sample(n, random.New(1, "rows", 0))
	for j := range rows.Columns {
		rows.Columns[j].Name = ""
	}
	rows.Format.Headless = true
	path = filepath.Join(t.TempDir(), "rows.csv")
	out, err := table.Create(path, rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Append(rows), out.Close()); err != nil {
		t.Fatal(err)
	}
	return path, known
}

// A run with given columns that was interrupted goes on to the same bits; other given columns
// are refused.
func TestTableGivenResumes(t *testing.T) {
	path, _ := twoWays(t, 300)
	resumesGiven(t, path, "CMF_HIDDEN=8", "CMF_FEATURES=4")
}

// Quadratics go on to the same bits too, and their checkpoint draws from both modes of a
// context.
func TestTableGivenQuadratics(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	path, _ := twoWays(t, 300)
	r := resumesGiven(t, path, "CMF_POTENTIAL=quadratics", "CMF_PIECES=12")
	if got, regression := r.Report.Metrics["log_likelihood"], r.Report.Baseline["log_likelihood"]; got < regression+.2 {
		t.Errorf("log-likelihood %.3f, of the regression %.3f", got, regression)
	}
	at := csvFile(t, "x1,x2\n", 1, func(int) string { return "0,0" }) // modes at −1.5 and 1.5, alike
	saved := mustRun(t, Generate, "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"), "CMF_CONTEXTS="+at, "CMF_COUNT=300", "CMF_MIXING=20", "CMF_POINTS="+path)
	var up, between float64
	for _, v := range columnOf(t, readTable(t, saved.Path("draws.csv")), "x3").Values {
		switch {
		case math.Abs(v) < .75:
			between += 1. / 300
		case v > 0:
			up += 1. / 300
		}
	}
	if between > .25 || up < .2 || up > .8 {
		t.Errorf("%.2f of the draws are between the modes, %.2f in the upper one", between, up)
	}
	densities := readTable(t, saved.Path("densities.csv")).Columns[0].Values // of the rows of the file, which has no names
	known := map[float64]float64{}
	for i, v := range readTable(t, path).Columns[2].Values {
		known[v] = densities[i]
	}
	held := readTable(t, r.Path("densities.csv")).Columns
	for i, v := range held[2].Values {
		if got, want := known[v], held[3].Values[i]; math.Abs(got-want) > 1e-3 {
			t.Fatalf("held-out row %d has the log density %g, in the run %g", i+1, got, want)
		}
	}
}

// resumesGiven interrupts a run and lets it go on; it returns one that was left alone.
func resumesGiven(t *testing.T, path string, network ...string) *run.Run {
	t.Helper()
	variables := append(network, "CMF_DATA_FILE="+path, "CMF_GIVEN=1,2", "CMF_STEPS=20", "CMF_COUNT=100", "CMF_MIXING=20", "CMF_PARTICLES=256", "CMF_BATCH=64")
	whole := mustRun(t, Samples, variables...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	part, err := run.Execute(fit.WithHooks(ctx, plane.At(11, cancel)), Samples, config.Variables("CMF_OUT="+t.TempDir()).With(variables...), nil, io.Discard)
	if err != nil || part.Report.Stop.Reason != report.Interrupted {
		t.Fatalf("interrupted: %v", err)
	}
	resume := "CMF_RESUME=" + part.Path("checkpoint.safetensors")
	rest := mustRun(t, Samples, append(variables, resume)...)
	for _, name := range []string{"densities.csv", "samples.csv"} {
		a, errA := os.ReadFile(whole.Path(name))
		b, errB := os.ReadFile(rest.Path(name))
		if errA != nil || errB != nil || !slices.Equal(a, b) {
			t.Errorf("%s differs from that of a run without interruption: %v %v", name, errA, errB)
		}
	}
	env := config.Variables("CMF_OUT=" + t.TempDir()).With(append(variables, resume, "CMF_GIVEN=1")...)
	if _, err := run.Execute(t.Context(), Samples, env, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "CMF_RESUME") {
		t.Errorf("other given columns: %v", err)
	}
	return whole
}

// Two modes are told apart that no regression has, and columns without names are given by
// their places.
func TestTableGivenTwoWays(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	path, known := twoWays(t, 1500)
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_GIVEN=1,2", "CMF_STEPS=300", "CMF_COUNT=500", "CMF_MIXING=40", "CMF_PARTICLES=1024", "CMF_HIDDEN=32,32", "CMF_FEATURES=16")
	held := readTable(t, r.Path("densities.csv"))
	held.Columns = held.Columns[:3]
	truth, err := known.LogPDF(held)
	if err != nil {
		t.Fatal(err)
	}
	mean, _, _ := fit.FiniteMean(truth)
	if got, regression := r.Report.Metrics["log_likelihood"], r.Report.Baseline["log_likelihood"]; !(got > mean-.35 && got < mean+.1 && got > regression+.5) {
		t.Errorf("log-likelihood %.3f, of the truth %.3f, of the regression %.3f", got, mean, regression)
	}
}
