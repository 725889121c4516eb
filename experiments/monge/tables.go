package monge

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"cmf/data/units"
	"cmf/experiments/run"
	"cmf/experiments/table"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// tables are the source and the target, with their columns in the order of the source's.
type tables struct {
	source, target side
	points         Further
}

// side is one of the two tables.
type side struct {
	variable, path string
	x              blas32.General // all rows, in the units and order of the file
	form           units.Form
	notes          []string // what was inferred about the file
	order          []int    // rows of x, the held-out ones first
	units          units.Affine

	// In units of learning.
	train, validation, held blas32.General
	law, shrunk             *exact.Gaussian // fitted to train; see exact.FitShrunk
}

var errPictures = errors.New("it is a folder of pictures, but pictures are not mapped; give a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather)")

// load reads, matches, splits and scales the tables.
func (c *Config) load(r *run.Run) (*tables, error) {
	t := &tables{source: side{variable: "CMF_SOURCE_FILE", path: c.SourceFile}, target: side{variable: "CMF_TARGET_FILE", path: c.TargetFile}}
	for _, s := range t.sides() {
		if err := s.named(s.read()); err != nil {
			return nil, err
		}
		r.Inferred(s.path, s.notes)
	}
	d := t.source.x.Cols
	x, moved, err := table.Match(t.source.form, d, t.target.x, t.target.form)
	if err != nil {
		return nil, t.target.named(fmt.Errorf("against CMF_SOURCE_FILE=%s: %w", c.SourceFile, err))
	}
	t.target.x = x
	if moved {
		t.target.form.Columns = t.source.form.Columns
		r.Note("The columns of %s are in another order than those of %s: they are matched by name, and results have the order of the source.", c.TargetFile, c.SourceFile)
	}
	if c.Points != "" {
		if t.points, moved, err = ReadFurther(c.Points, t.source.form, d); err != nil {
			return nil, fmt.Errorf("CMF_POINTS=%s: %w", c.Points, err)
		}
		r.Inferred(c.Points, t.points.Notes)
		if moved {
			r.Note("The columns of %s are in another order than those of the source: they are matched by name.", c.Points)
		}
	}
	for _, s := range t.sides() {
		s.split(c.Holdout, c.Seed)
	}
	if err := t.scale(c.Scale); err != nil {
		return nil, err
	}
	for _, s := range t.sides() {
		if err := s.learned(); err != nil {
			return nil, s.named(err)
		}
	}
	return t, nil
}

func (t *tables) sides() []*side { return []*side{&t.source, &t.target} }

// named is an error of the side's file.
func (s *side) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s=%s: %w", s.variable, s.path, err)
}

func (s *side) read() (err error) {
	if s.x, s.form, s.notes, err = table.Read(s.path); err != nil {
		return err
	}
	n, d := s.x.Rows, s.x.Cols
	switch least := max(200, 2*d); {
	case s.form.Picture():
		return errPictures
	case n < least || d < 1 || d > table.MaxDim:
		return fmt.Errorf("it has %d rows of %d coordinates; needed are at least max(200, 2·coordinates) = %d rows, and 1 to %d coordinates", n, d, least, table.MaxDim)
	}
	return nil
}

// split holds rows out; they are in random order.
func (s *side) split(share float64, seed uint64) {
	n := s.x.Rows
	s.order = random.New(seed, "held out of "+s.variable, 0).Perm(n)
	held := max(32, int(math.Round(share*float64(n))))
	chosen := held + min((n-held)/10, mostValidation)
	s.held, s.validation, s.train = batch.Gathered(s.x, s.order[:held]), batch.Gathered(s.x, s.order[held:chosen]), batch.Gathered(s.x, s.order[chosen:])
}

// mostValidation limits the rows by which the best state of training is chosen.
const mostValidation = 1024

// scale chooses the units of learning: each table less its own mean, which translates the
// map, and both divided by the same number or the same numbers, the root mean squares of
// the deviations.
func (t *tables) scale(scale string) error {
	d := t.source.x.Cols
	pooled := make([]float64, d)
	for _, s := range t.sides() {
		mean, sd, err := table.Deviations(s.train, s.form)
		if err != nil {
			return s.named(err)
		}
		s.units.Center = mean
		for j, v := range sd {
			pooled[j] = math.Sqrt(pooled[j]*pooled[j] + v*v/2)
		}
	}
	if scale == "common" {
		table.Equalise(pooled)
	}
	t.source.units.Scale, t.target.units.Scale = pooled, pooled
	return nil
}

// learned converts the rows to units of learning.
func (s *side) learned() (err error) {
	if s.train, err = s.units.Learning(s.train); err != nil {
		return err
	}
	for _, x := range []*blas32.General{&s.validation, &s.held} {
		if *x, err = s.units.Learning(*x); err != nil {
			return err
		}
	}
	if err := table.CheckRank(s.train, s.form); err != nil {
		return err
	}
	if s.law, err = exact.FitGaussian(s.train, 0); err != nil {
		return err
	}
	s.shrunk, _, err = exact.FitShrunk(s.train)
	return err
}

// describe says what was read and for which cost the map is optimal.
func (t *tables) describe(r *run.Run, c *Config) {
	s, g := &t.source, &t.target
	r.Report.Data = fmt.Sprintf("%s → %s, %d and %d rows to learn from, %d and %d to choose by, %d and %d held out, d = %d",
		filepath.Base(s.path), filepath.Base(g.path), s.train.Rows, g.train.Rows, s.validation.Rows, g.validation.Rows, s.held.Rows, g.held.Rows, s.x.Cols)
	r.Progress.Log.Info("data", "tables", r.Report.Data)
	r.Page.Summary = fmt.Sprintf("The Monge map from %s to %s, the gradient of a convex function.", filepath.Base(s.path), filepath.Base(g.path))
	if c.Scale == "each" {
		r.Note("The map is optimal for squared distances in standard deviations: every column is divided by its own, the root mean square of both tables' (CMF_SCALE=common keeps the distances of the files). Distances whose names end in _standard are in these units, all others in those of the files.")
	} else {
		r.Note("The map is optimal for the squared Euclidean distance in the units of the files, in which columns of large numbers count most (CMF_SCALE=each divides every column by its own deviation).")
	}
}
