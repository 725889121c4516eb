package table

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/data/margins"
	"cmf/data/table"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// Set is a table, split at random, with the units in which it is learned. Rows
// with weights are drawn in proportion to them, so that all that follows sees
// equal weights.
type Set struct {
	Train, Validation, Held *table.Table
	Target                  int // column that the judgement predicts
	Margins                 *margins.Margins
	Notes, Warnings         []string

	Earlier bool // learned as before there were Margins: no rows to choose by, columns centred and scaled

	Points       blas32.General // of Train, in units of learning; several for a row whose value leaves something open
	Choice, Test blas32.General // of Validation and Held, one for a row
	Law          *exact.Gaussian

	Given *Given // nil where no column is given; all tables above are of the other columns
}

// leastRows is the least number of rows that can be split.
const leastRows = 100

// mostValidation limits the rows by which the best state of training is chosen.
const mostValidation = 1024

// Split says how rows are split and scaled.
type Split struct {
	Held    float64 // share of the rows that is held out for judging
	Common  bool    // one scale for all columns that are centred and scaled
	Seed    uint64
	Earlier bool // see Set
}

// NewSet splits t, whose rows it reorders, and finds its units. A tenth of the rows that are not held out
// are those by which training chooses.
func (c *Config) NewSet(t *table.Table, split Split) (*Set, error) {
	s := &Set{Earlier: split.Earlier}
	seed := split.Seed
	weights, t, err := c.weights(t)
	if err != nil {
		return nil, err
	}
	places, err := c.places(t)
	if err != nil {
		return nil, err
	}
	n, d := t.Rows(), len(t.Columns)
	if least := max(leastRows, 2*d); n < least || d < 1 || d > MaxDim {
		return nil, fmt.Errorf("it has %d rows of %d columns; needed are at least max(%d, 2·columns) = %d rows, and 1 to %d columns", n, d, leastRows, least, MaxDim)
	}
	order := random.New(seed, "held out", 0).Perm(n)
	t.Permute(order)
	weights.Permute(order)
	held := max(32, int(math.Round(split.Held*float64(n))))
	chosen := held
	if !split.Earlier {
		chosen += min(max((n-held)/10, 16), mostValidation)
	}
	o, err := c.options(weights.of(chosen, n))
	if err != nil {
		return nil, err
	}
	o.Plain = o.Plain || split.Earlier
	s.Train = t.Slice(chosen, n)
	if places != nil {
		_, s.Train = margins.SplitAt(places, s.Train)
	}
	var notes margins.Notes
	if s.Margins, notes, err = margins.Fit(s.Train, o, random.New(seed, "margins", 0)); err != nil {
		return nil, err
	}
	s.Notes, s.Warnings = notes.Found, notes.Warnings
	if s.Margins.Learned() == 0 {
		return nil, errors.New("none of its columns varies; at least one must")
	}
	if split.Common && !s.Margins.Normal() {
		s.Margins.CommonScale()
	}
	rng := random.New(seed, "weights", 0)
	s.Train = weights.drawn(t, chosen, n, rng)
	s.Validation, s.Held = weights.drawn(t, held, chosen, rng), weights.drawn(t, 0, held, rng)
	if places != nil {
		if err := s.give(places, o.Hints); err != nil {
			return nil, fmt.Errorf("CMF_GIVEN=%s: %w", c.Given, err)
		}
	}
	if s.Target, err = c.target(s.Train, s.Margins); err != nil {
		return nil, err
	}
	return s, s.encode(seed)
}

// rowWeights are a column of the weights of rows; without one all rows weigh the same.
type rowWeights struct{ table.Table }

// of are the weights of rows low to high, nil if all weigh the same.
func (w *rowWeights) of(low, high int) []float64 {
	if len(w.Columns) == 0 {
		return nil
	}
	return w.Columns[0].Values[low:high]
}

// drawn are the rows of t from low to high, or as many of them drawn in proportion to their
// weights.
func (w *rowWeights) drawn(t *table.Table, low, high int, rng *random.Stream) *table.Table {
	part := t.Slice(low, high)
	if len(w.Columns) == 0 {
		return part
	}
	shares := slices.Clone(w.of(low, high))
	floats.Scale(1/floats.Sum(shares), shares)
	rows := (&density.Importance{Weights: shares}).Resample(len(shares), rng)
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return part.Rowed(rows)
}

// weights takes the column of weights out of a table.
func (c *Config) weights(t *table.Table) (*rowWeights, *table.Table, error) {
	if c.Weight == "" {
		return new(rowWeights), t, nil
	}
	j, err := column(t, "CMF_WEIGHT", c.Weight)
	if err != nil {
		return nil, nil, err
	}
	w := t.Columns[j]
	if w.Kind != table.Real && w.Kind != table.Integer {
		return nil, nil, fmt.Errorf("CMF_WEIGHT=%s: the column holds values of the kind %s; weights are numbers", c.Weight, w.Kind)
	}
	var sum float64
	for i, v := range w.Values {
		if !(v >= 0) || math.IsInf(v, 0) {
			return nil, nil, fmt.Errorf("CMF_WEIGHT=%s: row %d has the weight %g; weights are finite and not negative", c.Weight, i+1, v)
		}
		sum += v
	}
	if sum == 0 {
		return nil, nil, fmt.Errorf("CMF_WEIGHT=%s: all weights are 0", c.Weight)
	}
	rest := &table.Table{Columns: slices.Delete(slices.Clone(t.Columns), j, j+1), Format: t.Format}
	return &rowWeights{table.Table{Columns: []table.Column{w}}}, rest, nil
}

// target is the column that the judgement predicts.
func (c *Config) target(t *table.Table, m *margins.Margins) (int, error) {
	if c.Target != "" {
		return column(t, "CMF_TARGET", c.Target)
	}
	for j := len(t.Columns) - 1; j >= 0; j-- {
		if l := len(t.Columns[j].Labels); l > 1 && l <= 20 && m.Columns[j].Constant == nil {
			return j, nil
		}
	}
	for j := len(t.Columns) - 1; j > 0; j-- {
		if m.Columns[j].Constant == nil {
			return j, nil
		}
	}
	return 0, nil
}

// encode converts the rows to units of learning. A row whose values leave
// something open gives several points, so that training does not learn the draws.
func (s *Set) encode(seed uint64) (err error) {
	const enough, most = 20_000, 10
	copies := 1
	if s.Margins.Draws() {
		copies = min(max(enough/s.Train.Rows(), 1), most)
	}
	rng := random.New(seed, "encoding", 0)
	n := s.Train.Rows()
	s.Points = batch.New(copies*n, s.Margins.Learned())
	for k := range copies {
		z, err := s.Margins.Encode(s.Train, rng)
		if err != nil {
			return err
		}
		batch.Copy(batch.Rows(s.Points, k*n, (k+1)*n), z)
	}
	held := s.Held.Rows()
	if s.Given != nil {
		if err := s.Given.encode(s); err != nil {
			return err
		}
	}
	if s.Validation, s.Choice, err = s.seen(s.Validation, rng); err != nil {
		return err
	}
	if s.Held, s.Test, err = s.seen(s.Held, rng); err != nil {
		return err
	}
	if lost := held - s.Held.Rows(); lost > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("%d of %d held-out rows have a label or a missing value that no row to learn from has: the model gives them no probability, and they are not judged.", lost, held))
	}
	if s.Held.Rows() < 16 || !s.Earlier && s.Validation.Rows() < 8 {
		return fmt.Errorf("of its held-out rows only %d and %d have values that rows to learn from have; columns with so many labels cannot be learned (CMF_COLUMNS=name:skip leaves one out)", s.Held.Rows(), s.Validation.Rows())
	}
	if s.Given != nil {
		return s.Given.regress(s)
	}
	if s.few() && !s.Earlier { // a sample covariance of few rows is far too narrow in some directions
		s.Law, _, err = exact.FitShrunk(batch.Rows(s.Points, 0, s.Train.Rows()))
	} else {
		s.Law, err = exact.FitGaussian(s.Points, 0)
	}
	return err
}

// few says whether there are few rows for their dimension.
func (s *Set) few() bool { return s.Train.Rows() < 2*s.Points.Cols*s.Points.Cols }

// seen are the rows that have points, with these.
func (s *Set) seen(t *table.Table, rng *random.Stream) (*table.Table, blas32.General, error) {
	rows := s.Margins.Known(t)
	if len(rows) < t.Rows() {
		t = t.Rowed(rows)
	}
	z, err := s.Margins.Encode(t, rng)
	return t, z, err
}
