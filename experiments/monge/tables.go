package monge

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cmf/data/margins"
	tables "cmf/data/table"
	"cmf/data/units"
	"cmf/experiments/run"
	"cmf/experiments/table"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// pair is the source and the target, with their columns in the order of the source's.
type pair struct {
	source, target side
	points         Further

	// Of the columns that are learned: those of one value in both tables are not.
	learned []int
	scale   []float64 // units of the files per unit of learning
	shift   []float64 // mean of the source less that of the target, in the units of the files
}

// side is one of the two tables.
type side struct {
	variable, path string
	rows           *tables.Table  // all rows, in the order of the file
	x              blas32.General // all rows in units of learning, in the order of the file
	units          *margins.Margins

	train, validation, held part
	law, shrunk             *exact.Gaussian // fitted to train; see exact.FitShrunk
}

// part is some of the rows of a table, in random order.
type part struct {
	rows []int          // their numbers
	x    blas32.General // in units of learning
}

var errPictures = errors.New("it is a folder of pictures, but pictures are not mapped; give a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather)")

// load reads, matches, splits and scales the tables.
func (c *Config) load(r *run.Run) (*pair, error) {
	t := &pair{source: side{variable: "CMF_SOURCE_FILE", path: c.SourceFile}, target: side{variable: "CMF_TARGET_FILE", path: c.TargetFile}}
	used := map[string]bool{}
	for _, s := range t.sides() {
		notes, err := s.read(c, used)
		if err != nil {
			return nil, s.named(err)
		}
		r.Inferred(s.path, notes)
	}
	if err := c.CheckUsed(used); err != nil {
		return nil, err
	}
	matched, moved, err := table.Match(t.source.rows, t.target.rows)
	if err != nil {
		return nil, t.target.named(fmt.Errorf("against CMF_SOURCE_FILE=%s: %w", c.SourceFile, err))
	}
	t.target.rows = matched
	if moved {
		r.Note("The columns of %s are in another order than those of %s: they are matched by name, and results have the order of the source.", c.TargetFile, c.SourceFile)
	}
	for _, s := range t.sides() {
		if err := s.check(c); err != nil {
			return nil, s.named(err)
		}
		s.split(c.Holdout, c.Seed)
	}
	t.choose(r)
	if err := t.units(c.Scale); err != nil {
		return nil, err
	}
	for _, s := range t.sides() {
		if err := s.learn(t.learned); err != nil {
			return nil, s.named(err)
		}
	}
	if c.Points != "" {
		if t.points, err = ReadFurther(r, c.Points, &c.Reading, t.source.units); err != nil {
			return nil, fmt.Errorf("CMF_POINTS=%s: %w", c.Points, err)
		}
	}
	return t, nil
}

func (t *pair) sides() []*side { return []*side{&t.source, &t.target} }

// named is an error of the side's file.
func (s *side) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s=%s: %w", s.variable, s.path, err)
}

func (s *side) read(c *Config, used map[string]bool) (notes []string, err error) {
	if err := checkFile(s.path); err != nil {
		return nil, err
	}
	s.rows, notes, err = c.ReadOneOf(s.path, used)
	return notes, err
}

// checkFile refuses folders.
func checkFile(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = errPictures
	}
	return err
}

// check refuses columns between whose values there is no distance.
func (s *side) check(c *Config) error {
	n, d := s.rows.Rows(), len(s.rows.Columns)
	if least := max(200, 2*d); n < least || d < 1 || d > table.MaxDim {
		return fmt.Errorf("it has %d rows of %d columns; needed are at least max(200, 2·columns) = %d rows, and 1 to %d columns", n, d, least, table.MaxDim)
	}
	hints, err := tables.ParseHints(c.Columns)
	if err != nil {
		return err
	}
	for j, col := range s.rows.Columns {
		name := s.rows.Name(j)
		leaveOut := "leave the column out by CMF_COLUMNS=" + tables.HintText(name, "skip")
		missing := slices.IndexFunc(col.Values, math.IsNaN)
		switch {
		case col.Kind == tables.Category || col.Kind == tables.Boolean:
			return fmt.Errorf("column %q holds %s: the cost of the map is a squared distance, and labels have none; %s", name, some(col.Labels), leaveOut)
		case hints[name].Circular:
			return fmt.Errorf("column %q is circular by CMF_COLUMNS: the cost of the map is the squared distance on the line, not on a circle; %s", name, leaveOut)
		case col.Kind == tables.Time && c.Scale == "common" && d > 1:
			return fmt.Errorf("column %q holds times, whose unit, %s, would decide what they count beside other columns; measure each column in deviations of its own by CMF_SCALE=each, or %s", name, col.Clock.Unit, leaveOut)
		case missing >= 0:
			return fmt.Errorf("column %q has no value in row %d (counted from 1): a row without it lies nowhere from where it could be mapped; fill it in, leave such rows out, or %s", name, missing+1, leaveOut)
		}
	}
	return nil
}

// some are the first labels.
func some(labels []string) string {
	const most = 3
	var text []string
	for _, l := range labels[:min(len(labels), most)] {
		text = append(text, fmt.Sprintf("%q", l))
	}
	if len(labels) > most {
		text = append(text, "…")
	}
	return strings.Join(text, ", ")
}

// split holds rows out; they are in random order.
func (s *side) split(share float64, seed uint64) {
	n := s.rows.Rows()
	order := random.New(seed, "held out of "+s.variable, 0).Perm(n)
	held := max(32, int(math.Round(share*float64(n))))
	chosen := held + min((n-held)/10, mostValidation)
	s.held, s.validation, s.train = part{rows: order[:held]}, part{rows: order[held:chosen]}, part{rows: order[chosen:]}
}

// mostValidation limits the rows by which the best state of training is chosen.
const mostValidation = 1024

// choose leaves out the columns that have one value in each table: the map takes the one to
// the other, whatever it does with the rest.
func (t *pair) choose(r *run.Run) {
	value := func(c *tables.Column) (v float64, one bool) {
		low, high := slices.Min(c.Values), slices.Max(c.Values)
		return low, low == high
	}
	for j := range t.source.rows.Columns {
		from, one := value(&t.source.rows.Columns[j])
		to, other := value(&t.target.rows.Columns[j])
		if one && other {
			r.Note("Column %q is %g in all rows of the source and %g in all rows of the target: it is left out, and written as %[3]g.", t.source.rows.Name(j), from, to)
			continue
		}
		t.learned = append(t.learned, j)
	}
}

// units chooses the units of learning: each table less its own mean, which translates the
// map, and both divided by the same number or the same numbers, the root mean squares of
// the deviations.
func (t *pair) units(scale string) error {
	if len(t.learned) == 0 {
		return t.source.named(errors.New("none of its columns varies; at least one must"))
	}
	means := map[*side][]float64{}
	t.scale, t.shift = make([]float64, len(t.learned)), make([]float64, len(t.learned))
	for _, s := range t.sides() {
		mean, sd, err := table.Deviations(s.varying(t.learned).Rowed(s.train.rows))
		if err != nil {
			return s.named(err)
		}
		means[s] = mean
		for j, v := range sd {
			t.scale[j] = math.Sqrt(t.scale[j]*t.scale[j] + v*v/2)
		}
	}
	if scale == "common" {
		table.Equalise(t.scale)
	}
	for j := range t.shift {
		t.shift[j] = means[&t.source][j] - means[&t.target][j]
	}
	for _, s := range t.sides() {
		s.units = t.marginsOf(s, means[s])
	}
	return nil
}

// marginsOf are the units of a side. Both have the columns of the source, which results are
// written as. The images of whole numbers are none.
func (t *pair) marginsOf(s *side, mean []float64) *margins.Margins {
	m := &margins.Margins{Format: t.source.rows.Format}
	for j, like := range t.source.rows.Columns {
		c := margins.Column{Column: like}
		c.Values = nil
		if k := slices.Index(t.learned, j); k >= 0 {
			c.Affine = &margins.Affine{Center: mean[k], Scale: t.scale[k]}
			if c.Kind == tables.Integer {
				c.Kind, c.Stored = tables.Real, ""
			}
			if c.Kind == tables.Real {
				c.Decimals = -1
			}
		} else {
			c.Constant = &margins.Constant{Value: s.rows.Columns[j].Values[0]}
		}
		m.Columns = append(m.Columns, c)
	}
	return m
}

// varying are the rows without the columns that are left out.
func (s *side) varying(learned []int) *tables.Table {
	out := &tables.Table{Format: s.rows.Format}
	for _, j := range learned {
		out.Columns = append(out.Columns, s.rows.Columns[j])
	}
	return out
}

// learn converts the rows to units of learning.
func (s *side) learn(learned []int) (err error) {
	if s.x, err = s.units.Encode(s.rows, nil); err != nil {
		return err
	}
	for _, p := range []*part{&s.train, &s.validation, &s.held} {
		p.x = batch.Gathered(s.x, p.rows)
	}
	if err := table.CheckRank(s.train.x, units.Form{Columns: s.varying(learned).Names()}); err != nil {
		return err
	}
	if s.law, err = exact.FitGaussian(s.train.x, 0); err != nil {
		return err
	}
	s.shrunk, _, err = exact.FitShrunk(s.train.x)
	return err
}

// form says what the points of a side are.
func (s *side) form() units.Form { return units.Form{Table: true, Columns: s.units.Names()} }

// describe says what was read and for which cost the map is optimal.
func (t *pair) describe(r *run.Run, c *Config) {
	s, g := &t.source, &t.target
	r.Report.Data = fmt.Sprintf("%s → %s, %d and %d rows to learn from, %d and %d to choose by, %d and %d held out, d = %d",
		filepath.Base(s.path), filepath.Base(g.path), len(s.train.rows), len(g.train.rows), len(s.validation.rows), len(g.validation.rows), len(s.held.rows), len(g.held.rows), len(t.learned))
	r.Progress.Log.Info("data", "tables", r.Report.Data)
	r.Page.Summary = fmt.Sprintf("The Monge map from %s to %s, the gradient of a convex function.", filepath.Base(s.path), filepath.Base(g.path))
	const centred = "Each table is learned less its own means, which changes neither the map nor what is optimal; images have the target's means again, in float64."
	if c.Scale == "each" {
		r.Note("The map is optimal for squared distances in standard deviations: every column is divided by its own, the root mean square of both tables' (CMF_SCALE=common keeps the distances of the files). Distances whose names end in _standard are in these units, all others in those of the files. %s", centred)
	} else {
		r.Note("The map is optimal for the squared Euclidean distance in the units of the files, in which columns of large numbers count most (CMF_SCALE=each divides every column by its own deviation). %s", centred)
	}
	if slices.ContainsFunc(s.rows.Columns, func(c tables.Column) bool { return c.Kind == tables.Integer }) {
		r.Note("Whole numbers are mapped as real ones: images are not rounded.")
	}
}
