package tabular

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"cmf/data/table"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/floats"
)

// rows is a table whose rows have positive weights.
type rows struct {
	*table.Table
	weights []float64
}

// weighted checks the weights, all 1 where nil, and leaves out rows of weight 0.
func weighted(name string, t *table.Table, weights []float64) (rows, error) {
	n := t.Rows()
	if weights == nil {
		weights = make([]float64, n)
		for i := range weights {
			weights[i] = 1
		}
		return rows{t, weights}, nil
	}
	if len(weights) != n {
		return rows{}, fmt.Errorf("%s: %d weights for %d rows; there must be one for each row", name, len(weights), n)
	}
	kept := make([]int, 0, n)
	for i, w := range weights {
		if !(w >= 0) || math.IsInf(w, 1) {
			return rows{}, fmt.Errorf("%s: the weight of row %d is %g; weights must be finite and not negative", name, i+1, w)
		}
		if w > 0 {
			kept = append(kept, i)
		}
	}
	if len(kept) == n {
		return rows{t, weights}, nil
	}
	return rows{t, weights}.rowed(kept), nil
}

func (r rows) rowed(index []int) rows {
	out := rows{r.Rowed(index), make([]float64, len(index))}
	for i, row := range index {
		out.weights[i] = r.weights[row]
	}
	return out
}

// thinned are at most n rows, drawn at random without replacement, with their weights.
func (r rows) thinned(n int, rng *random.Stream) rows {
	if r.Rows() <= n {
		return r
	}
	index := rng.Perm(r.Rows())[:n]
	slices.Sort(index)
	return r.rowed(index)
}

// drawn are at most n rows of equal weight: row i is among them with a probability in
// proportion to its weight, and none occurs twice. So there are at most Σw/max w of them, or
// half the effective number (Σw)²/Σw² if that is more; then the heaviest rows are certain.
//
// The draw is systematic: W. G. Madow, "On the theory of systematic sampling, II", Ann. Math.
// Stat. 20 (1949), 333–354.
func (r rows) drawn(n int, rng *random.Stream) rows {
	total, heaviest := floats.Sum(r.weights), floats.Max(r.weights)
	if heaviest == floats.Min(r.weights) {
		return r.thinned(n, rng)
	}
	n = max(2, min(n, max(int(total/heaviest), int(total*total/floats.Dot(r.weights, r.weights)/2))))
	var index []int
	next, sum := rng.Float64(), 0.
	for _, i := range rng.Perm(r.Rows()) {
		sum += min(1, float64(n)*r.weights[i]/total)
		if sum > next {
			index = append(index, i)
			next++
		}
	}
	if len(index) < 2 {
		index = rng.Perm(r.Rows())[:2]
	}
	out := r.rowed(index)
	for i := range out.weights {
		out.weights[i] = 1
	}
	return out
}

// present are the values of column j that are not missing, in ascending order with their
// weights, and the share of missing values.
func (r rows) present(j int) (values, weights []float64, missing float64) {
	column := r.Columns[j].Values
	order := make([]int, 0, len(column))
	var of float64
	for i, v := range column {
		if math.IsNaN(v) {
			missing += r.weights[i]
		} else {
			order = append(order, i)
		}
		of += r.weights[i]
	}
	sort.Slice(order, func(a, b int) bool { return column[order[a]] < column[order[b]] })
	values, weights = make([]float64, len(order)), make([]float64, len(order))
	for k, i := range order {
		values[k], weights[k] = column[i], r.weights[i]
	}
	return values, weights, missing / of
}

// labelled says whether the values of a column of kind k are indices in its labels.
func labelled(k table.Kind) bool { return k == table.Category || k == table.Boolean }

// labels is the number of labels; booleans may have none written down.
func labels(c table.Column) int {
	if c.Kind == table.Boolean {
		return max(2, len(c.Labels))
	}
	return len(c.Labels)
}

// known says whether v is an index in the labels of c.
func known(c table.Column, v float64) bool {
	return v == math.Trunc(v) && v >= 0 && v < float64(labels(c))
}

// label is the text of a value of a column of labels.
func label(c table.Column, v float64) string {
	if known(c, v) && int(v) < len(c.Labels) {
		return c.Labels[int(v)]
	}
	return fmt.Sprintf("%g", v)
}

// checkTable says what is wrong with the columns of t. Labels need not be known where
// strangers are allowed.
func checkTable(name string, t *table.Table, strangers bool) error {
	if t == nil || len(t.Columns) == 0 {
		return fmt.Errorf("%s: a table without columns", name)
	}
	for j, c := range t.Columns {
		if !slices.Contains(table.Kinds, c.Kind) {
			return fmt.Errorf("%s: column %q is of kind %q; known are %q", name, t.Name(j), c.Kind, table.Kinds)
		}
		if len(c.Values) != t.Rows() {
			return fmt.Errorf("%s: column %q has %d values, the first column %d; they must agree", name, t.Name(j), len(c.Values), t.Rows())
		}
		for i, v := range c.Values {
			if math.IsInf(v, 0) {
				return fmt.Errorf("%s: column %q, row %d: %g; values must be finite, or NaN where missing", name, t.Name(j), i+1, v)
			}
			if labelled(c.Kind) && !strangers && !math.IsNaN(v) && !known(c, v) {
				return fmt.Errorf("%s: column %q, row %d: %g is not the number of one of its %d labels", name, t.Name(j), i+1, v, labels(c))
			}
		}
	}
	return nil
}

// checkLike says where the columns of t differ from those of train.
func checkLike(name string, t, train *table.Table) error {
	if len(t.Columns) != len(train.Columns) {
		return fmt.Errorf("%s have %d columns, the training rows %d; they must agree", name, len(t.Columns), len(train.Columns))
	}
	for j, c := range t.Columns {
		like := train.Columns[j]
		switch {
		case t.Name(j) != train.Name(j):
			return fmt.Errorf("%s: column %d is %q, that of the training rows %q; they must agree", name, j+1, t.Name(j), train.Name(j))
		case c.Kind != like.Kind:
			return fmt.Errorf("%s: column %q is of kind %q, that of the training rows of kind %q; they must agree", name, t.Name(j), c.Kind, like.Kind)
		case labelled(c.Kind) && !slices.Equal(c.Labels, like.Labels):
			return fmt.Errorf("%s: column %q has other labels than the training rows, or in another order", name, t.Name(j))
		}
	}
	return nil
}

// checkRows says whether there are enough rows.
func checkRows(name string, r rows) error {
	if r.Rows() < 2 {
		return fmt.Errorf("%s: %d row(s) of positive weight; at least 2 are needed", name, r.Rows())
	}
	return nil
}

// training checks the rows that a generator learns from, and the number n that it is to draw.
func training(t *table.Table, weights []float64, n int) (rows, error) {
	if n < 0 {
		return rows{}, fmt.Errorf("%d rows to draw; there must be 0 or more", n)
	}
	if err := checkTable("training rows", t, false); err != nil {
		return rows{}, err
	}
	r, err := weighted("training rows", t, weights)
	if err == nil && r.Rows() == 0 {
		err = errors.New("training rows: none has a positive weight; at least 1 is needed")
	}
	return r, err
}
