package tabular

import (
	"context"
	"fmt"
	"math"

	"cmf/data/table"
	"cmf/solvers/random"
)

// Limits that keep the work to seconds for tables of any size: larger ones are thinned at
// random.
const (
	mostRows   = 20000 // where the work is n log n
	mostSquare = 2048  // where it is n²
	mostPairs  = 500   // of columns
)

// Data is what generated rows are compared with. The tables have the same columns: names,
// kinds and labels in the same order. Missing values are NaN; others are finite.
type Data struct {
	Train, Held *table.Table

	// TrainWeights and Weights are the weights of the rows of Train and Held, not negative;
	// nil where all weigh the same.
	TrainWeights, Weights []float64

	// Target names the column that a model predicts from the others; see Utility. Where it is
	// empty, it is the last category or boolean of at most 20 labels, else the last number.
	Target string

	// Bounds of the columns, by which Scores.Outside counts; nil for none.
	Bounds []Bounds
}

// Bounds are the least and the greatest value allowed in a column; they may be ±Inf.
type Bounds struct{ Low, High float64 }

// Scores say how far generated rows are from the law of the held-out rows. All are 0 for
// equal laws but for the noise of samples, unless said otherwise: compare them with the
// scores of rows of the data themselves. Numbers that cannot be measured are NaN.
type Scores struct {
	Rows int // generated

	Columns  []ColumnScore // in the order of the table
	Distance Spread        // of Columns' Distance
	Missing  Spread        // of Columns' Missing

	Pairs       []PairScore // all, or 500 drawn at random
	Correlation Spread      // of Pairs' Correlation
	Information Spread      // of Pairs' Information

	Atoms []Atom // the worst first

	Utility Utility
	Nearest Nearest

	// Of rows embedded by Robust, at most 2048 of each: see metric.EnergyDistance,
	// metric.SlicedW2 and metric.NearestNeighbourAccuracy, which is near .5 for equal laws. The
	// last two are of as many generated as held-out rows.
	EnergyDistance, SlicedW2, NNAccuracy float64

	// Outside is the number of generated rows with a value beyond the bounds of its column or
	// an index that is none of its labels.
	Outside int
}

// Spread is the mean and the largest of some numbers, and where that is. Both are NaN where
// there are none.
type Spread struct {
	Mean, Worst float64
	Where       string // a column, or two with × between
}

// spreadOf leaves out NaN.
func spreadOf(n int, of func(k int) (v float64, where string)) Spread {
	s, count := Spread{Worst: math.NaN()}, 0
	for k := range n {
		v, where := of(k)
		if math.IsNaN(v) {
			continue
		}
		if count == 0 || v > s.Worst {
			s.Worst, s.Where = v, where
		}
		s.Mean += v
		count++
	}
	s.Mean /= float64(count)
	return s
}

// judged is what the parts of Judge share.
type judged struct {
	train, held, generated rows
}

// Judge compares generated rows with those of data. Equal streams give equal numbers; so
// tables are best compared with the same stream. Each table needs two rows. Columns that do
// not match, and the end of ctx, are errors.
func Judge(ctx context.Context, data Data, generated *table.Table, rng *random.Stream) (Scores, error) {
	all, err := gathered(data, generated)
	if err != nil {
		return Scores{}, err
	}
	target, err := targetOf(all.train, data.Target)
	if err != nil {
		return Scores{}, err
	}
	s := Scores{Rows: generated.Rows(), Outside: outside(generated, data.Bounds), Atoms: atoms(ctx, all.train, all.generated)}
	few := judged{
		train:     all.train.thinned(mostRows, part(rng)),
		held:      all.held.thinned(mostRows, part(rng)),
		generated: all.generated.thinned(mostRows, part(rng)),
	}
	for _, part := range []func() error{
		func() error { return s.judgeColumns(ctx, few) },
		func() error { return s.judgePairs(ctx, few, part(rng)) },
		func() error { return s.judgeUtility(ctx, few, target, part(rng)) },
		func() error { return s.judgeCopies(ctx, all) },
		func() error { return s.judgeRobust(ctx, all, part(rng)) },
	} {
		if err := part(); err != nil {
			return Scores{}, fmt.Errorf("judging generated rows: %w", err)
		}
	}
	return s, nil
}

// part is a stream of its own for one part, whatever the others draw.
func part(rng *random.Stream) *random.Stream { return random.Seeded(rng.Uint64(), rng.Uint64()) }

// gathered checks the tables and joins them with their weights.
func gathered(data Data, generated *table.Table) (judged, error) {
	var all judged
	for _, of := range []struct {
		name    string
		table   *table.Table
		weights []float64
		into    *rows
	}{
		{"the training rows", data.Train, data.TrainWeights, &all.train},
		{"the held-out rows", data.Held, data.Weights, &all.held},
		{"the generated rows", generated, nil, &all.generated},
	} {
		if err := checkTable(of.name, of.table, of.into == &all.generated); err != nil {
			return all, err
		}
		if err := checkLike(of.name, of.table, data.Train); err != nil {
			return all, err
		}
		r, err := weighted(of.name, of.table, of.weights)
		if err != nil {
			return all, err
		}
		if err := checkRows(of.name, r); err != nil {
			return all, err
		}
		*of.into = r
	}
	if data.Bounds != nil && len(data.Bounds) != len(data.Train.Columns) {
		return all, fmt.Errorf("%d bounds for %d columns; there must be one for each column", len(data.Bounds), len(data.Train.Columns))
	}
	return all, nil
}

// outside counts the rows with a value out of bounds or an unknown label.
func outside(t *table.Table, bounds []Bounds) (count int) {
	for i := range t.Rows() {
		for j, c := range t.Columns {
			v := c.Values[i]
			if labelled(c.Kind) && !math.IsNaN(v) && !known(c, v) || bounds != nil && (v < bounds[j].Low || v > bounds[j].High) {
				count++
				break
			}
		}
	}
	return count
}
