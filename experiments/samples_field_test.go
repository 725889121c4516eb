package experiments

import (
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	tables "cmf/data/table"
	"cmf/experiments/run"
	"cmf/experiments/table"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/stat"
)

// inUnits is a table of three columns, the first two in other units by powers of two, with
// which the learned numbers are the same bits.
func inUnits(t *testing.T, first, second int) string {
	t.Helper()
	rng := random.New(1, "units", 0)
	text := func(v float64, exponent int) string { return strconv.FormatFloat(math.Ldexp(v, exponent), 'g', -1, 64) }
	return csvFile(t, "a,b,c\n", 240, func(i int) string {
		side := float64(2*(i%2) - 1)
		return strings.Join([]string{text(1e3*side+200*rng.NormFloat64(), first), text(rng.NormFloat64()+side, second), text(rng.NormFloat64(), 0)}, ",")
	})
}

// A table is learned alike in any units that float64 holds: its numbers in deviations are the
// same, its densities change by the units alone, and rows come back in them.
func TestUnitsOfAnySize(t *testing.T) {
	learn := func(first, second int) *run.Run {
		return mustRun(t, Samples, "CMF_DATA_FILE="+inUnits(t, first, second), "CMF_STEPS=20", "CMF_COUNT=200", "CMF_MIXING=20", "CMF_PARTICLES=256", "CMF_HIDDEN=16", "CMF_THREADS=1")
	}
	want := learn(0, 0)
	rows := readTable(t, want.Path("samples.csv"))
	for name, units := range map[string][2]int{
		"2e20":                               {68, 0},
		"1e-300 beside 1e300":                {-1006, 996},
		"a variance that float32 loses":      {-86, -76},
		"deviations beyond those of float32": {120, 140},
	} {
		r := learn(units[0], units[1])
		for _, metric := range []string{"energy_distance_standard", "w2_standard", "nn_accuracy_standard", "column_distance", "pair_correlation", "r_hat"} {
			if a, b := want.Report.Metrics[metric], r.Report.Metrics[metric]; a != b {
				t.Errorf("%s: %s is %g, in ordinary units %g", name, metric, b, a)
			}
		}
		for metric, v := range r.Report.Metrics {
			if v-v != 0 {
				t.Errorf("%s: %s is %g", name, metric, v)
			}
		}
		shift := -float64(units[0]+units[1]) * math.Ln2
		if a, b := want.Report.Metrics["log_likelihood"]+shift, r.Report.Metrics["log_likelihood"]; math.Abs(a-b) > 1e-3 {
			t.Errorf("%s: log likelihood %g, want %g", name, b, a)
		}
		got := readTable(t, r.Path("samples.csv"))
		for j, exponent := range []int{units[0], units[1], 0} {
			for i, v := range got.Columns[j].Values {
				if back := math.Ldexp(v, -exponent); math.Abs(back-rows.Columns[j].Values[i]) > 1e-9*(1+math.Abs(back)) {
					t.Fatalf("%s: row %d has %g in column %d, want %g", name, i+1, back, j+1, rows.Columns[j].Values[i])
				}
			}
		}
		checkDrawn(t, r, name)
	}
}

// Carriers per cubic metre: squared distances between such numbers are beyond float32.
func TestCarrierDensities(t *testing.T) {
	path := filepath.Join("testdata", "carrier_density.csv")
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_STEPS=20", "CMF_COUNT=1000", "CMF_MIXING=20", "CMF_PARTICLES=256", "CMF_HIDDEN=16")
	want, got := columnOf(t, readTable(t, path), "density_per_m3").Values, columnOf(t, readTable(t, r.Path("samples.csv")), "density_per_m3").Values
	if a, b := stat.Mean(want, nil), stat.Mean(got, nil); math.Abs(a/b-1) > .05 {
		t.Errorf("a mean density of %g, in the data %g", b, a)
	}
	for metric, v := range r.Report.Metrics {
		if v-v != 0 {
			t.Errorf("%s is %g", metric, v)
		}
	}
	if notes := strings.Join(r.Report.Notes, "\n"); !strings.Contains(notes, "No distances in the units of the file") {
		t.Errorf("the notes do not say which distances are left out: %s", notes)
	}
	checkDrawn(t, r, "densities")
}

// Values that are denormal, and zeros of either sign, are numbers like others.
func TestDenormalsAndNegativeZeros(t *testing.T) {
	rng := random.New(1, "denormal", 0)
	path := csvFile(t, "tiny,signed\n", 300, func(i int) string {
		signed := fmt.Sprintf("%.2f", rng.NormFloat64())
		if i%3 == 0 {
			signed = []string{"0.00", "-0.00"}[i%2]
		}
		return strconv.FormatFloat(1e-310*(3+rng.NormFloat64()), 'g', -1, 64) + "," + signed
	})
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_STEPS=20", "CMF_COUNT=600", "CMF_MIXING=20", "CMF_PARTICLES=256", "CMF_HIDDEN=16")
	got := readTable(t, r.Path("samples.csv"))
	tiny := columnOf(t, got, "tiny").Values
	if middle := shareOf(tiny, func(v float64) bool { return v > 3e-310 }); middle < .35 || middle > .65 || slices.Min(tiny) == slices.Max(tiny) {
		t.Errorf("a share of %.2f of the denormal values is above their mean", middle)
	}
	if zeros := shareOf(columnOf(t, got, "signed").Values, func(v float64) bool { return v == 0 }); math.Abs(zeros-1./3) > .08 {
		t.Errorf("a share of %.2f of zeros, in the data 0.33", zeros)
	}
	if text, err := os.ReadFile(r.Path("samples.csv")); err != nil || strings.Contains(string(text), "-0.00") {
		t.Errorf("a negative zero is written: %v", err)
	}
	checkDrawn(t, r, "denormals")
}

// Small whole numbers far from 0 stay whole, and keep their shares.
func TestWholeNumbersFarFromZero(t *testing.T) {
	rng := random.New(1, "whole", 0)
	path := csvFile(t, "id,x\n", 400, func(int) string {
		return fmt.Sprintf("%d,%g", 1_000_000_000_000_000+int64(rng.IntN(4)), rng.NormFloat64())
	})
	r := mustRun(t, Samples, "CMF_DATA_FILE="+path, "CMF_STEPS=20", "CMF_COUNT=1000", "CMF_MIXING=20", "CMF_PARTICLES=256", "CMF_HIDDEN=16")
	for k := range 4 {
		v := 1e15 + float64(k)
		a, b := shareOf(columnOf(t, readTable(t, path), "id").Values, func(x float64) bool { return x == v }), shareOf(columnOf(t, readTable(t, r.Path("samples.csv")), "id").Values, func(x float64) bool { return x == v })
		if math.Abs(a-b) > .05 {
			t.Errorf("a share of %.3f of %.0f, in the data %.3f", b, v, a)
		}
	}
	checkDrawn(t, r, "whole numbers")
}

// checkDrawn makes sure that all figures were drawn and show something.
func checkDrawn(t *testing.T, r *run.Run, name string) {
	t.Helper()
	for _, note := range r.Report.Notes {
		if strings.Contains(note, "could not be drawn") {
			t.Errorf("%s: %s", name, note)
		}
	}
	f, err := os.Open(r.Path("points.png"))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	coloured := 0
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			red, green, blue, _ := img.At(x, y).RGBA()
			if max(red, green, blue)-min(red, green, blue) > 0x2000 {
				coloured++
			}
		}
	}
	if coloured < 500 {
		t.Errorf("%s: points.png has %d coloured pixels", name, coloured)
	}
}

// Figures are drawn of any table.
func TestFiguresOfAnyTable(t *testing.T) {
	var rng *random.Stream // of each case
	for name, c := range map[string]struct {
		header    string
		line      func(i int) string
		variables []string
	}{
		"one to a thousand": {"a,b\n", func(int) string { return fmt.Sprintf("%g,%g", 1000*rng.NormFloat64(), rng.NormFloat64()) }, []string{"CMF_SCALE=common"}},
		"a label of one row": {"x,label\n", func(i int) string {
			return fmt.Sprintf("%g,%s", rng.NormFloat64(), map[bool]string{true: "rare", false: "usual"}[i == 5])
		}, nil},
		"one distinct value":      {"x,one,y\n", func(int) string { return fmt.Sprintf("%g,7,%g", rng.NormFloat64(), rng.NormFloat64()) }, nil},
		"a column of tails":       {"x,tail\n", func(int) string { return fmt.Sprintf("%g,%g", rng.NormFloat64(), math.Pow(rng.Float64(), -4)) }, nil},
		"1e300 and a few numbers": {"x,k\n", func(i int) string { return fmt.Sprintf("%ge300,%d", math.Exp(rng.NormFloat64()), i%3) }, nil},
		"a line of tails":         {"tail\n", func(int) string { return fmt.Sprint(math.Tan(math.Pi * (rng.Float64() - .5))) }, nil},
		"a line far away":         {"x\n", func(int) string { return fmt.Sprintf("%.4f", 1e9+rng.NormFloat64()) }, nil},
		"a line of 1e-300":        {"x\n", func(int) string { return fmt.Sprintf("%ge-300", rng.NormFloat64()) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			rng = random.New(1, name, 0)
			r := mustRun(t, Samples, append(c.variables, "CMF_DATA_FILE="+csvFile(t, c.header, 200, c.line), "CMF_STEPS=2", "CMF_COUNT=200", "CMF_MIXING=20", "CMF_PARTICLES=256", "CMF_HIDDEN=16")...)
			checkDrawn(t, r, name)
		})
	}
}

// Of a million rows a figure shows the first ones, in what float32 holds.
func TestShownOfManyRows(t *testing.T) {
	long := &tables.Table{Columns: []tables.Column{{Name: "far"}, {Name: "huge"}}}
	rng := random.New(1, "long", 0)
	for range 1_000_000 {
		long.Columns[0].Values = append(long.Columns[0].Values, 1e15+rng.NormFloat64())
		long.Columns[1].Values = append(long.Columns[1].Values, 1e300*rng.NormFloat64())
	}
	x := table.Shown(long, long, shownPoints)
	if x.Rows != shownPoints || !batch.AllFinite(batch.Column(x, 0)) || !batch.AllFinite(batch.Column(x, 1)) {
		t.Errorf("%d rows, beginning with %v", x.Rows, x.Data[:4])
	}
	names := table.ShownNames(long)
	if names[0] != "far − 1e+15" || names[1] != "huge, in 1e+300" {
		t.Errorf("columns %q", names)
	}
}
