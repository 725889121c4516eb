package tabular

import (
	"math"
	"sort"

	"cmf/data/table"

	"gonum.org/v1/gonum/floats"
)

// margin is the empirical law of a column. Each distinct value v_k, missing values first,
// has an interval of (0, 1) of the length of its share.
type margin struct {
	values []float64 // distinct, NaN then ascending
	upto   []float64 // cumulative shares, the last 1
	alone  []bool    // a value of a real column that one row holds
}

func newMargin(r rows, j int) margin {
	values, weights, missing := r.present(j)
	var m margin
	if missing > 0 {
		m.values, m.upto, m.alone = append(m.values, math.NaN()), append(m.upto, missing), append(m.alone, false)
	}
	total, sum := floats.Sum(r.weights), missing
	for i := 0; i < len(values); {
		k := i
		for ; k < len(values) && values[k] == values[i]; k++ {
			sum += weights[k] / total
		}
		m.values, m.upto = append(m.values, values[i]), append(m.upto, sum)
		m.alone = append(m.alone, k == i+1 && r.Columns[j].Kind == table.Real)
		i = k
	}
	m.upto[len(m.upto)-1] = 1
	return m
}

// interval is the interval of a value of the column, NaN included.
func (m margin) interval(v float64) (low, high float64) {
	k := 0
	if !math.IsNaN(v) {
		k = sort.Search(len(m.values), func(k int) bool { return m.values[k] >= v })
	}
	return m.low(k), m.upto[k]
}

func (m margin) low(k int) float64 {
	if k == 0 {
		return 0
	}
	return m.upto[k-1]
}

// quantile is the value at u in (0, 1). In the interval of a value that stands alone it is
// linear from the middle between it and its lower neighbour, through it, to that between it
// and its upper neighbour; without a neighbour the half-interval begins or ends at the value.
func (m margin) quantile(u float64) float64 {
	k := min(sort.SearchFloat64s(m.upto, u), len(m.upto)-1)
	v := m.values[k]
	if !m.alone[k] {
		return v
	}
	at := (u-m.low(k))/(m.upto[k]-m.low(k)) - .5 // −½ to ½
	below, above := k > 0 && !math.IsNaN(m.values[k-1]), k < len(m.values)-1
	switch {
	case below && (at < 0 || !above):
		if !above {
			at = (at - .5) / 2 // the extreme is reached at the end
		}
		return v + at*(v-m.values[k-1])
	case above:
		if !below {
			at = (at + .5) / 2
		}
		return v + at*(m.values[k+1]-v)
	}
	return v
}
