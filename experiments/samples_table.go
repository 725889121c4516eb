package experiments

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sort"
	"strings"

	tables "cmf/data/table"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/experiments/table"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// samplesOfTables are variables that do nothing for pictures.
var samplesOfTables = []string{"CMF_COLUMNS", "CMF_HEADER", "CMF_WEIGHT", "CMF_MARGINS", "CMF_TARGET", "CMF_SCALE", "CMF_ONNX", "CMF_GIVEN", "CMF_FEATURES"}

// Files of more bytes are read and learned with less memory to spare.
const (
	largeFile    = 64 << 20
	largePercent = 20
)

// doTable learns a table.
func doTable(ctx context.Context, r *run.Run, c *SamplesConfig) error {
	named := func(err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("CMF_DATA_FILE=%s: %w", c.DataFile, err)
	}
	if c.Given == "" {
		if err := r.Idle("CMF_FEATURES", "CMF_GIVEN, the columns on which the law of the others depends"); err != nil {
			return err
		}
	}
	if info, err := os.Stat(c.DataFile); err == nil && info.Size() > largeFile {
		// The collector lets memory grow to twice what is in use, which tables dominate.
		defer debug.SetGCPercent(debug.SetGCPercent(largePercent))
	}
	t, notes, err := c.Read(c.DataFile)
	if err != nil {
		return named(err)
	}
	r.Inferred(c.DataFile, notes)
	split := table.Split{Held: c.Holdout, Common: c.Scale == "common", Seed: c.Seed}
	if c.Resume != "" {
		if split.Earlier, err = fit.WithoutMargins(c.Resume); err != nil {
			return fmt.Errorf("CMF_RESUME=%s: %w", c.Resume, err)
		}
	}
	set, err := c.NewSet(t, split)
	if err != nil {
		return named(err)
	}
	s := &table.Study{
		Core: &c.Core, Bank: c.Bank, Mixing: c.Mixing, Count: c.Count, Spread: c.Spread, Export: c.ONNX, Features: c.Features,
		Name: filepath.Base(c.DataFile), Set: set,
	}
	finished, err := s.Learn(ctx, r)
	if err != nil || !finished {
		return err
	}
	for _, part := range []func(context.Context, *run.Run) error{s.Generate, s.Judge, s.Densities} {
		if err := part(ctx, r); err != nil {
			return err
		}
	}
	return drawTable(ctx, r, s)
}

// drawTable draws held-out rows beside generated ones: with the potential and the density
// where they are points of the plane, and columns by pairs otherwise.
func drawTable(ctx context.Context, r *run.Run, s *table.Study) error {
	if s.Set.Given != nil {
		return drawTableGiven(r, s)
	}
	m := s.Set.Margins
	if !m.Normal() && m.Learned() == 2 {
		gaussian := s.Set.Law.Sample(shownPoints, random.New(s.Core.Seed, "Gaussian fit", 0))
		return drawPlane(ctx, r, s.Model, s.Draw,
			figure.Cloud{Name: "held out", Points: s.Set.Test}, figure.Cloud{Name: "generated", Points: s.Draw.Points}, figure.Cloud{Name: "Gaussian fit", Points: gaussian})
	}
	if len(m.Columns) == 1 {
		return drawColumn(ctx, r, s)
	}
	var clouds []figure.Cloud
	for _, t := range []struct {
		name string
		rows *tables.Table
	}{{"held out", s.Set.Held}, {"generated", s.Generated}} {
		clouds = append(clouds, figure.Cloud{Name: t.name, Points: table.Shown(t.rows, s.Set.Train, shownPoints)})
	}
	return drawPairs(r, table.ShownNames(s.Set.Train), labelNumbers(s.Set.Train), clouds...)
}

// drawTableGiven draws held-out rows beside rows with the same given columns and the others
// drawn, by pairs: drawn columns first.
func drawTableGiven(r *run.Run, s *table.Study) error {
	g := s.Set.Given
	first := func(whole *tables.Table) *tables.Table {
		given, drawn := g.Units.Split(whole)
		return &tables.Table{Columns: append(drawn.Columns, given.Columns...), Format: whole.Format}
	}
	of := first(g.Units.Join(g.Train, s.Set.Train))
	held := first(g.Units.Join(g.Held, s.Set.Held))
	return drawPairs(r, table.ShownNames(of), labelNumbers(of),
		figure.Cloud{Name: "held out", Points: table.Shown(held, of, shownPoints)}, figure.Cloud{Name: "drawn given the other columns", Points: table.Shown(first(s.Generated), of, shownPoints)})
}

// labelNumbers says which number stands for which label in a figure of the first columns.
func labelNumbers(t *tables.Table) string {
	const most = 6 // labels of a column
	var columns []string
	for j, c := range t.Columns[:min(len(t.Columns), shownColumns)] {
		var labels []string
		for k, label := range c.Labels[:min(len(c.Labels), most)] {
			labels = append(labels, fmt.Sprintf("%d %q", k, label))
		}
		if len(c.Labels) > most {
			labels = append(labels, "…")
		}
		if labels != nil {
			columns = append(columns, fmt.Sprintf("of %q %s", t.Name(j), strings.Join(labels, ", ")))
		}
	}
	if columns == nil {
		return ""
	}
	return "Labels are numbers: " + strings.Join(columns, "; ") + "."
}

// drawColumn draws histograms of held-out and generated values under the learned density and
// the Gaussian's.
func drawColumn(ctx context.Context, r *run.Run, s *table.Study) error {
	grid, x := gridOf(s)
	learned, err := table.RowDensity(ctx, s.Model, grid, random.New(1, "figure", 0))
	if err != nil {
		return err
	}
	gaussian, err := table.RowDensityOf(s.Set.Margins, grid, random.New(1, "figure", 0), s.Set.Law.LogPDF)
	if err != nil {
		return err
	}
	_, unit := table.Frame(&s.Set.Train.Columns[0])
	for _, c := range []struct {
		name, file string
		rows       *tables.Table
	}{{"generated", "generated.png", s.Generated}, {"held out", "points.png", s.Set.Held}} {
		values := batch.Column(table.Shown(c.rows, s.Set.Train, shownPoints), 0)
		err = figure.DrawHistogram(r.Path(c.file), figure.Axes{Title: c.name, X: s.Set.Train.Name(0), Y: "density"}, values, 0,
			interpolated("learned", x, learned.LogPDF, unit), interpolated("Gaussian fit", x, gaussian, unit))
		if err != nil {
			return err
		}
		r.LeadFigure(c.file, "Histogram of the values "+c.name+", with the learned density by the Monge–Ampère equation and the density of the Gaussian fit.")
	}
	return nil
}

// interpolated is the density through given log densities at ascending x, which are in a unit,
// and 0 outside.
func interpolated(name string, x, logPDF []float64, unit float64) figure.Function {
	return figure.Function{Name: name, F: func(at float64) float64 {
		i := sort.SearchFloat64s(x, at)
		if i == 0 || i == len(x) {
			return 0
		}
		t := (at - x[i-1]) / (x[i] - x[i-1])
		return (1-t)*math.Exp(logPDF[i-1]+math.Log(unit)) + t*math.Exp(logPDF[i]+math.Log(unit))
	}}
}

// gridOf are values between the least and the largest held-out one, and these as the
// coordinates of a figure.
func gridOf(s *table.Study) (t *tables.Table, x []float64) {
	const n = 400
	values := slices.DeleteFunc(slices.Clone(s.Set.Held.Columns[0].Values), math.IsNaN)
	low, high := slices.Min(values), slices.Max(values)
	t, x = s.Set.Held.Like(n), make([]float64, n)
	origin, unit := table.Frame(&s.Set.Train.Columns[0])
	for i := range n {
		v := low + (high-low)*float64(i)/(n-1)
		t.Columns[0].Values[i], x[i] = v, (v-origin)/unit
	}
	rows := s.Set.Margins.Known(t)
	t = t.Rowed(rows)
	for k, i := range rows {
		x[k] = x[i]
	}
	return t, x[:len(rows)]
}
