package tabular

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sort"

	"cmf/solvers/random"

	"gonum.org/v1/gonum/floats"
)

const (
	trees       = 64
	deepest     = 24
	fewestClass = 1 // rows in a leaf, of classes
	fewestValue = 5 // and of numbers
)

// examples are rows of binned features with a target: a class, or a number where there are
// no classes.
type examples struct {
	features [][]uint8 // by feature, then row
	bins     []bins
	classes  int       // 0 for numbers
	target   []float64 // class or number
	weights  []float64 // by which rows are drawn
}

// forest is a random forest: trees of bootstrap samples, each of whose splits is the best of
// √d features drawn at random by the sum of squares of the target, which for classes is
// Gini's impurity. A split sends each bin to one side. Bins of numbers keep their order,
// with missing values below, so that one split can tell them from numbers. Bins of labels are
// ordered by the mean of the target in the node, or the share of the class of a row drawn at
// random.
//
// L. Breiman, "Random forests", Machine Learning 45 (2001), 5–32.
type forest struct {
	trees   [][]node
	classes int
}

// node is a leaf where it has values, else a split.
type node struct {
	feature int
	left    [4]uint64 // the bins that go left
	kids    [2]int
	values  []float64 // shares of the classes, or the mean
}

func (n *node) goesLeft(bin uint8) bool { return n.left[bin>>6]>>(bin&63)&1 == 1 }

// newForest fits a forest; the end of ctx is an error.
func newForest(ctx context.Context, e examples, rng *random.Stream) (*forest, error) {
	f := &forest{classes: e.classes}
	upto := floats.CumSum(make([]float64, len(e.weights)), e.weights)
	g := newGrower(e, rng)
	for range trees {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		drawn := make([]int, len(upto))
		for i := range drawn {
			drawn[i] = min(sort.SearchFloat64s(upto, rng.Float64()*upto[len(upto)-1]), len(upto)-1)
		}
		g.nodes = nil
		g.grow(drawn, 0)
		f.trees = append(f.trees, g.nodes)
	}
	return f, nil
}

// predict is the class with the largest mean share over the trees, or the mean of their
// means, for each row of the features.
func (f *forest) predict(features [][]uint8, rows int) []float64 {
	out := make([]float64, rows)
	mean := make([]float64, max(1, f.classes))
	for i := range out {
		clear(mean)
		for _, t := range f.trees {
			n := &t[0]
			for n.values == nil {
				if n.goesLeft(features[n.feature][i]) {
					n = &t[n.kids[0]]
				} else {
					n = &t[n.kids[1]]
				}
			}
			floats.AddScaled(mean, 1/float64(len(f.trees)), n.values)
		}
		out[i] = mean[0]
		if f.classes > 0 {
			out[i] = float64(floats.MaxIdx(mean))
		}
	}
	return out
}

// grower grows one tree after the other.
type grower struct {
	examples
	rng           *random.Stream
	nodes         []node
	slots, fewest int
	sums          [][]float64 // of the target in each bin, by class
	counts        []float64
	left, right   []float64
}

func newGrower(e examples, rng *random.Stream) *grower {
	g := &grower{examples: e, rng: rng, slots: max(1, e.classes), fewest: fewestValue, counts: make([]float64, 256)}
	if e.classes > 0 {
		g.fewest = fewestClass
	}
	for range g.counts {
		g.sums = append(g.sums, make([]float64, g.slots))
	}
	g.left, g.right = make([]float64, g.slots), make([]float64, g.slots)
	return g
}

// add adds the target of row i to sums by class.
func (g *grower) add(sums []float64, i int) {
	if g.classes > 0 {
		sums[int(g.target[i])]++
	} else {
		sums[0] += g.target[i]
	}
}

// grow appends the tree of the rows and returns the place of its root.
func (g *grower) grow(rows []int, depth int) int {
	place := len(g.nodes)
	g.nodes = append(g.nodes, node{})
	total := make([]float64, g.slots)
	for _, i := range rows {
		g.add(total, i)
	}
	if split, ok := g.split(rows, total, depth); ok {
		k := 0
		for at, i := range rows {
			if split.goesLeft(g.features[split.feature][i]) {
				rows[k], rows[at] = rows[at], rows[k]
				k++
			}
		}
		split.kids[0] = g.grow(rows[:k], depth+1)
		split.kids[1] = g.grow(rows[k:], depth+1)
		g.nodes[place] = split
		return place
	}
	floats.Scale(1/float64(len(rows)), total)
	g.nodes[place].values = total
	return place
}

// split is the best split of √d features; further ones are tried while none can be split.
func (g *grower) split(rows []int, total []float64, depth int) (best node, ok bool) {
	n := float64(len(rows))
	if len(rows) < 2*g.fewest || depth >= deepest || g.classes > 0 && floats.Max(total) == n {
		return best, false
	}
	least := floats.Dot(total, total) / n
	gain := least + 1e-9*(1+math.Abs(least))
	tries := int(math.Ceil(math.Sqrt(float64(len(g.features)))))
	for k, feature := range g.rng.Perm(len(g.features)) {
		if k >= tries && ok {
			break
		}
		order := g.order(rows, feature)
		if v, end := g.scan(order, total, n); v > gain {
			gain, ok = v, true
			best = node{feature: feature, left: g.leftOf(feature, order, end)}
		}
	}
	return best, ok
}

// order sums the rows by the bins of a feature, and returns the occupied bins in the order in
// which they may be split.
func (g *grower) order(rows []int, feature int) []uint8 {
	b := g.bins[feature]
	clear(g.counts[:b.count])
	for k := range b.count {
		clear(g.sums[k])
	}
	codes := g.features[feature]
	for _, i := range rows {
		g.counts[codes[i]]++
		g.add(g.sums[codes[i]], i)
	}
	var order []uint8
	for k := range b.count {
		if g.counts[k] > 0 {
			order = append(order, uint8(k))
		}
	}
	if !b.ordered {
		slot := 0
		if g.classes > 0 {
			slot = int(g.target[rows[g.rng.IntN(len(rows))]])
		}
		mean := func(k uint8) float64 { return g.sums[k][slot] / g.counts[k] }
		slices.SortStableFunc(order, func(a, b uint8) int { return cmp.Compare(mean(a), mean(b)) })
	}
	return order
}

// leftOf are the bins that go left where the first bins of an order do. Bins that the node
// has no rows of go with the nearer of their neighbours, if they are of numbers, else with
// the side of more rows.
func (g *grower) leftOf(feature int, order []uint8, end int) (left [4]uint64) {
	b := g.bins[feature]
	side := make([]int, b.count) // −1 is left, 1 right, 0 without rows
	last, first := -1000, 1000   // bins of numbers: the highest on the left, the lowest on the right
	var balance float64
	for k, bin := range order {
		switch {
		case k < end:
			side[bin] = -1
			if bin > 0 {
				last = max(last, int(bin))
			}
		default:
			side[bin] = 1
			if bin > 0 {
				first = min(first, int(bin))
			}
		}
		balance += float64(side[bin]) * g.counts[bin]
	}
	for bin, s := range side {
		if s == 0 && bin > 0 && b.ordered {
			s = 2*bin - last - first
		} else if s == 0 {
			s = int(balance)
		}
		if s < 0 {
			left[bin>>6] |= 1 << (bin & 63)
		}
	}
	return left
}

// scan is the largest |S|²/n of the left bins plus that of the right ones, and the number of
// bins on the left, for S the sum of the target by class.
func (g *grower) scan(order []uint8, total []float64, n float64) (best float64, end int) {
	clear(g.left)
	best = math.Inf(-1)
	var count float64
	for k, bin := range order[:len(order)-1] {
		count += g.counts[bin]
		floats.Add(g.left, g.sums[bin])
		if count < float64(g.fewest) || n-count < float64(g.fewest) {
			continue
		}
		floats.SubTo(g.right, total, g.left)
		if v := floats.Dot(g.left, g.left)/count + floats.Dot(g.right, g.right)/(n-count); v > best {
			best, end = v, k+1
		}
	}
	return best, end
}
