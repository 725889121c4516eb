package tabular

import (
	"context"
	"fmt"
	"math"

	"cmf/solvers/random"

	"gonum.org/v1/gonum/stat"
)

const (
	mostLearned  = 5000 // rows that a forest learns from, and is tested with
	mostLabels   = 20   // of a target that nobody named
	binsFeature  = 32   // of numbers, and most labels with a bin of their own
	mostClasses  = 64   // others are pooled
	targetAbsent = -1
)

// Utility is how well a random forest predicts one column of the held-out rows from the
// others, trained on generated rows and on as many training rows, with at most 5000 rows of
// each table. It is the balanced accuracy, the mean over classes of the share of their rows
// that are recognised, for categories and booleans; and R² = 1 − Σ(y − ŷ)²/Σ(y − ȳ)² for
// numbers and times. Rows without the target are left out; generated rows of which fewer than
// two have it score as chance, 1 over the number of classes or 0. Higher is better.
//
// C. Esteban, S. L. Hyland, G. Rätsch, "Real-valued (medical) time series generation with
// recurrent conditional GANs", 2017, §4.2: train on synthetic, test on real.
type Utility struct {
	Target          string // empty where there is no column to predict
	Classes         bool   // a category or boolean
	Generated, Real float64
}

// targetOf is the column that utility predicts, or targetAbsent.
func targetOf(train rows, name string) (int, error) {
	last, number := targetAbsent, targetAbsent
	for j, c := range train.Columns {
		if name != "" && train.Name(j) == name {
			return j, nil
		}
		switch {
		case !varies(c.Values):
		case !labelled(c.Kind):
			number = j
		case labels(c) <= mostLabels:
			last = j
		}
	}
	switch {
	case name != "":
		return 0, fmt.Errorf("the target %q is none of the columns %q", name, train.Names())
	case last != targetAbsent:
		return last, nil
	}
	return number, nil
}

// varies says whether some values differ, missing ones left out.
func varies(values []float64) bool {
	first := math.NaN()
	for _, v := range values {
		switch {
		case math.IsNaN(first):
			first = v
		case v != first && !math.IsNaN(v):
			return true
		}
	}
	return false
}

func (s *Scores) judgeUtility(ctx context.Context, d judged, target int, rng *random.Stream) error {
	s.Utility = Utility{Generated: math.NaN(), Real: math.NaN()}
	if target == targetAbsent {
		return nil
	}
	c := d.train.Columns[target]
	s.Utility.Target, s.Utility.Classes = d.train.Name(target), labelled(c.Kind)
	train, held, generated := d.train.with(target), d.held.with(target), d.generated.with(target)
	if len(d.train.Columns) < 2 || train.Rows() < 2 || held.Rows() < 2 {
		return nil
	}
	test := newTest(d.train, held.thinned(mostLearned, rng), target)
	n := min(generated.Rows(), train.Rows(), mostLearned)
	if n < 2 {
		n = min(train.Rows(), mostLearned)
	}
	seed := [2]uint64{rng.Uint64(), rng.Uint64()} // the same for both
	var err error
	if s.Utility.Real, err = test.score(ctx, train.thinned(n, rng), random.Seeded(seed[0], seed[1])); err != nil {
		return err
	}
	if generated.Rows() < 2 {
		s.Utility.Generated = test.chance()
		return nil
	}
	s.Utility.Generated, err = test.score(ctx, generated.thinned(n, rng), random.Seeded(seed[0], seed[1]))
	return err
}

// with are the rows that have a value in column j.
func (r rows) with(j int) rows {
	var index []int
	for i, v := range r.Columns[j].Values {
		if !math.IsNaN(v) {
			index = append(index, i)
		}
	}
	return r.rowed(index)
}

// test is a task: to predict a column of the held-out rows.
type test struct {
	target   int
	features []bins
	classes  bins // of the target where it has labels
	labelled bool
	centre   float64 // of a number, in units of which it is predicted
	scale    float64
	held     examples
}

func newTest(train, held rows, target int) *test {
	t := &test{target: target, labelled: labelled(train.Columns[target].Kind)}
	for j, c := range train.Columns {
		if j != target {
			t.features = append(t.features, newBins(c, binsFeature))
		}
	}
	if t.labelled {
		t.classes = newBins(train.Columns[target], mostClasses)
	} else {
		t.centre, t.scale = centre(train.Columns[target].Values)
	}
	t.held = t.examples(held)
	return t
}

func (t *test) examples(r rows) examples {
	e := examples{bins: t.features, weights: r.weights}
	for j, c := range r.Columns {
		if j != t.target {
			e.features = append(e.features, t.features[len(e.features)].all(c.Values))
		}
	}
	if t.labelled {
		e.classes = t.classes.count - 1 // without missing values
	}
	for _, v := range r.Columns[t.target].Values {
		if t.labelled {
			v = float64(t.classes.bin(v)) - 1
		} else {
			v = v/t.scale - t.centre/t.scale
		}
		e.target = append(e.target, v)
	}
	return e
}

// score is how well a forest of the rows predicts the held-out ones.
func (t *test) score(ctx context.Context, r rows, rng *random.Stream) (float64, error) {
	f, err := newForest(ctx, t.examples(r), rng)
	if err != nil {
		return 0, err
	}
	predicted := f.predict(t.held.features, len(t.held.target))
	if !t.labelled {
		if !varies(t.held.target) {
			return math.NaN(), nil
		}
		return stat.RSquaredFrom(predicted, t.held.target, t.held.weights), nil
	}
	right, all := make([]float64, t.held.classes), make([]float64, t.held.classes)
	for i, class := range t.held.target {
		all[int(class)] += t.held.weights[i]
		if predicted[i] == class {
			right[int(class)] += t.held.weights[i]
		}
	}
	var sum float64
	for k, w := range all {
		if w > 0 {
			sum += right[k] / w
		}
	}
	return sum / float64(occupied(all)), nil
}

// chance is the score of a forest that knows nothing.
func (t *test) chance() float64 {
	if !t.labelled {
		return 0
	}
	counts := make([]float64, t.held.classes)
	for _, class := range t.held.target {
		counts[int(class)]++
	}
	return 1 / float64(occupied(counts))
}
