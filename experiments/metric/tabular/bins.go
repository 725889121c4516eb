package tabular

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"cmf/data/table"
)

// bins are ranges of the values of a column. Bin 0 holds missing values. Numbers follow in
// bins of about equally many training rows; labels have bins of their own, the commonest
// first, and share the last one where they are rare or unknown.
type bins struct {
	count   int
	ordered bool      // numbers
	edges   []float64 // bin 1+k holds the numbers from edges[k−1] up to below edges[k]
	of      []uint8   // of each label
}

// newBins makes at most the given number of bins, below 250, for the values of a column of
// the training rows; there are up to two more for missing and unknown values.
func newBins(c table.Column, most int) bins {
	if labelled(c.Kind) {
		return labelBins(c, most)
	}
	values := slices.DeleteFunc(slices.Clone(c.Values), math.IsNaN)
	slices.Sort(values)
	b := bins{ordered: true}
	for k := 1; k < most && len(values) > 0; k++ {
		// Between a value and the next lower one.
		v := values[k*len(values)/most]
		if first := sort.SearchFloat64s(values, v); first > 0 {
			b.edges = append(b.edges, values[first-1]+(v-values[first-1])/2)
		}
	}
	b.edges = slices.Compact(b.edges)
	b.count = len(b.edges) + 2
	return b
}

func labelBins(c table.Column, most int) bins {
	rows := make([]int, labels(c))
	for _, v := range c.Values {
		if known(c, v) {
			rows[int(v)]++
		}
	}
	var order []int
	for k, n := range rows {
		if n > 0 {
			order = append(order, k)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rows[b], rows[a]) })
	if len(order) > most {
		order = order[:most-1]
	}
	b := bins{count: len(order) + 2, of: make([]uint8, len(rows))}
	for k := range b.of {
		b.of[k] = uint8(len(order) + 1)
	}
	for rank, k := range order {
		b.of[k] = uint8(rank + 1)
	}
	return b
}

// bin is the bin of a value.
func (b bins) bin(v float64) uint8 {
	switch {
	case math.IsNaN(v):
		return 0
	case b.ordered:
		return uint8(1 + sort.Search(len(b.edges), func(k int) bool { return b.edges[k] > v }))
	case v == math.Trunc(v) && v >= 0 && v < float64(len(b.of)):
		return b.of[int(v)]
	}
	return uint8(b.count - 1)
}

// all are the bins of all values.
func (b bins) all(values []float64) []uint8 {
	out := make([]uint8, len(values))
	for i, v := range values {
		out[i] = b.bin(v)
	}
	return out
}
