package tabular

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"cmf/data/table"
	"cmf/experiments/metric"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/stat"
)

const (
	soft       = 10   // robust units up to which numbers keep their distances
	mostHot    = 32   // labels of a column with a coordinate of their own
	mostAllHot = 1024 // of all columns
)

// Embedding takes rows of a table to points in robust units, so that no column and no
// outlier rules a distance.
//
// A number or time v has the coordinate s((v − m)/q), with the median m of the training rows
// and q their inter-quartile range over 1.349, the standard deviation of a normal law; where
// that is 0, √(π/2) times the mean of |v − m|; where that is 0, 1. s(z) is z up to |z| = 10
// and approaches ±20 beyond: s(z) = ±(20 − 10·e^{1−|z|/10}). A missing number has the median's
// coordinate 0, and 1 in a coordinate of its own. Columns of which training rows lack no
// number share one such coordinate, the last: the root of the number of values missing. Labels have one coordinate each, 1/√2 for the row's label, so that two labels are at
// distance 1; missing values count as a label, and labels beyond the 31 commonest of a column
// (fewer where there are more than 32 columns of labels), or unknown, share one.
type Embedding struct {
	columns []embedded
	width   int
}

type embedded struct {
	name          string
	kind          table.Kind
	at            int // its first coordinate
	median, scale float64
	missing       bool // numbers have a coordinate for missing values
	labels        bins
}

// Robust is the embedding in the robust units of training rows.
func Robust(train *table.Table) Embedding {
	var hot int
	for _, c := range train.Columns {
		if labelled(c.Kind) {
			hot++
		}
	}
	var e Embedding
	for j, c := range train.Columns {
		column := embedded{name: train.Name(j), kind: c.Kind, at: e.width}
		if labelled(c.Kind) {
			column.labels = newBins(c, min(mostHot, max(2, mostAllHot/hot)))
			e.width += column.labels.count
		} else {
			column.median, column.scale = centre(c.Values)
			column.missing = slices.ContainsFunc(c.Values, math.IsNaN)
			e.width++
			if column.missing {
				e.width++
			}
		}
		e.columns = append(e.columns, column)
	}
	e.width++
	return e
}

// centre are the median and the robust scale of values, NaN left out.
func centre(values []float64) (median, scale float64) {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(values) == 0 {
		return 0, 1
	}
	slices.Sort(values)
	at := func(p float64) float64 { return stat.Quantile(p, stat.LinInterp, values, nil) }
	median = at(.5)
	// Quartiles may differ by more than a float64 holds.
	scale = at(.75)/1.349 - at(.25)/1.349
	if scale == 0 {
		for _, v := range values {
			scale += math.Abs(v-median) / float64(len(values))
		}
		scale *= math.Sqrt(math.Pi / 2)
	}
	if scale == 0 || math.IsInf(scale, 0) {
		scale = 1
	}
	return median, scale
}

// Of embeds rows as (n, width). Columns other than those of the training rows are an error.
func (e Embedding) Of(t *table.Table) (blas32.General, error) {
	if len(t.Columns) != len(e.columns) {
		return blas32.General{}, fmt.Errorf("robust units of %d columns for a table of %d; they must agree", len(e.columns), len(t.Columns))
	}
	if t.Rows() == 0 {
		return blas32.General{}, errors.New("robust units: a table without rows")
	}
	out := batch.New(t.Rows(), e.width)
	for j, c := range e.columns {
		of := t.Columns[j]
		if t.Name(j) != c.name || of.Kind != c.kind {
			return blas32.General{}, fmt.Errorf("robust units of column %q of kind %q for %q of kind %q; they must agree", c.name, c.kind, t.Name(j), of.Kind)
		}
		if len(of.Values) != out.Rows {
			return blas32.General{}, fmt.Errorf("robust units: column %q has %d values in a table of %d rows", c.name, len(of.Values), out.Rows)
		}
		for i, v := range of.Values {
			c.embed(batch.Row(out, i), v)
		}
	}
	for i := range out.Rows {
		row := batch.Row(out, i)
		row[e.width-1] = float32(math.Sqrt(float64(row[e.width-1])))
	}
	return out, nil
}

func (c embedded) embed(row []float32, v float64) {
	switch {
	case labelled(c.kind):
		row[c.at+int(c.labels.bin(v))] = math.Sqrt2 / 2
	case !math.IsNaN(v):
		row[c.at] = float32(clipped(v/c.scale - c.median/c.scale))
	case c.missing:
		row[c.at+1] = 1
	default:
		row[len(row)-1]++
	}
}

// clipped is z up to soft and approaches 2·soft beyond, with a continuous derivative.
func clipped(z float64) float64 {
	if math.Abs(z) <= soft {
		return z
	}
	return math.Copysign(soft*(2-math.Exp(1-math.Abs(z)/soft)), z)
}

// Nearest is about memorised rows.
type Nearest struct {
	// Median and 5 % quantile of the distances of at most 2048 generated, and held-out, rows
	// to the nearest of at most 20000 training rows, fewer for wide tables, in robust units.
	// Generated rows well nearer than held-out ones are memorised.
	Row, Row5, Held, Held5 float64

	// Shares of generated, and held-out, rows that equal a training row in all columns. They
	// mean something only where held-out rows have few, as with continuous columns.
	Copies, CopiesHeld float64
}

func (s *Scores) judgeRobust(ctx context.Context, d judged, rng *random.Stream) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := Robust(d.train.thinned(mostRows, rng).Table)
	train, err := e.Of(d.train.thinned(min(mostRows, max(mostSquare, 1<<22/e.width)), rng).Table)
	if err != nil {
		return err
	}
	held, err := e.Of(d.held.drawn(mostSquare, rng).Table)
	if err != nil {
		return err
	}
	generated, err := e.Of(d.generated.thinned(mostSquare, rng).Table)
	if err != nil {
		return err
	}
	if s.Nearest.Row, s.Nearest.Row5, err = nearest(ctx, generated, train); err != nil {
		return err
	}
	if s.Nearest.Held, s.Nearest.Held5, err = nearest(ctx, held, train); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.EnergyDistance, err = metric.EnergyDistance(generated, held); err != nil {
		return err
	}
	n := min(generated.Rows, held.Rows)
	x, y := batch.Gathered(generated, rng.Perm(generated.Rows)[:n]), batch.Gathered(held, rng.Perm(held.Rows)[:n])
	if s.SlicedW2, err = metric.SlicedW2(x, y, 128, part(rng)); err != nil {
		return err
	}
	s.NNAccuracy, err = metric.NearestNeighbourAccuracy(x, y)
	return err
}

// nearest are the median and the 5 % quantile of the distances of rows to the training rows.
func nearest(ctx context.Context, x, train blas32.General) (median, low float64, err error) {
	distances, _, err := metric.NearestDistance(ctx, x, train)
	if err != nil {
		return 0, 0, err
	}
	slices.Sort(distances)
	return stat.Quantile(.5, stat.LinInterp, distances, nil), stat.Quantile(.05, stat.LinInterp, distances, nil), nil
}

func (s *Scores) judgeCopies(ctx context.Context, d judged) error {
	seed := maphash.MakeSeed()
	known := make(map[uint64]bool, d.train.Rows())
	for i := range d.train.Rows() {
		known[rowSum(seed, d.train, i)] = true
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	share := func(r rows) (copies float64) {
		var total float64
		for i, w := range r.weights {
			if known[rowSum(seed, r, i)] {
				copies += w
			}
			total += w
		}
		return copies / total
	}
	s.Nearest.Copies, s.Nearest.CopiesHeld = share(d.generated), share(d.held)
	return nil
}

// rowSum is a hash of the values of a row; all missing values are alike.
func rowSum(seed maphash.Seed, r rows, i int) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	var word [8]byte
	for _, c := range r.Columns {
		v := c.Values[i]
		switch {
		case math.IsNaN(v):
			v = math.NaN()
		case v == 0:
			v = 0 // −0 is alike
		}
		binary.LittleEndian.PutUint64(word[:], math.Float64bits(v))
		h.Write(word[:])
	}
	return h.Sum64()
}
