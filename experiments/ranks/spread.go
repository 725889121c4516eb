package ranks

import (
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// leastSpan is how many rows a rank must have for shares to pay.
const leastSpan = 16

// Span are the rows from..to of n that are for this rank, next to those of its neighbours: all
// if there are too few to share.
func (g *Group) Span(n int) (from, to int) {
	if !g.shares(n) {
		return 0, n
	}
	rank, size := g.world.Rank(), g.world.Size()
	return rank * n / size, (rank + 1) * n / size
}

func (g *Group) shares(n int) bool { return g != nil && n >= leastSpan*g.world.Size() }

// Stream is the stream of this rank for its span of n rows: that of the caller, which is the
// same on all ranks, if they do not share the rows.
func (g *Group) Stream(n int, rng *random.Stream) *random.Stream {
	if !g.shares(n) {
		return rng
	}
	return random.New(rng.Uint64(), "span", g.Rank())
}

// Joined are all n rows, on every rank, of which x are those of its span.
func (g *Group) Joined(n int, x blas32.General) blas32.General {
	if !g.shares(n) {
		return x
	}
	return g.Everywhere(x)
}

// JoinedOnRoot is Joined on rank 0; the others keep their own rows.
func (g *Group) JoinedOnRoot(n int, x blas32.General) blas32.General {
	if !g.shares(n) {
		return x
	}
	return g.stacked(x)
}

// Mean is the mean over n rows of a number that each rank has as the mean over its span.
func (g *Group) Mean(n int, v float64) float64 {
	if !g.shares(n) {
		return v
	}
	from, to := g.Span(n)
	sum := []float64{v * float64(to-from)}
	g.world.Sum64(sum)
	return sum[0] / float64(n)
}

// Everywhere stacks the rows of all ranks, in their order, on each of them.
func (g *Group) Everywhere(x blas32.General) blas32.General {
	if g == nil {
		return x
	}
	all := g.stacked(x)
	rows := 0.
	for _, n := range g.world.Each(float64(x.Rows)) {
		rows += n
	}
	if g.world.Rank() > 0 {
		all = batch.New(int(rows), x.Cols)
	}
	g.world.Broadcast32(all.Data)
	return all
}
