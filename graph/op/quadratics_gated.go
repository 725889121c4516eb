package op

import "cmf/graph/kernel"

// gated is an argmax for rows with offsets of their own, of which some may be so low that their
// pieces are off. Rows whose pieces that are on lie in the same range are solved together,
// among the pieces of that range alone. What is left out weighs exactly 0.
type gated[T kernel.Float] struct {
	whole   *argmax[T]
	weights []Matrix[T]
	rows    int
	ranges  []*pieceRange[T]
	last    int // the range of the row before
}

// pieceRange is a range of pieces with the rows that it has.
type pieceRange[T kernel.Float] struct {
	lo, hi               int
	rows                 []int
	argmax               *argmax[T]
	x, y, guess, offsets []T
}

// mostApart is how far an offset may lie below the highest of its row for its piece to be on. No
// difference of values at points that float32 resolves comes near it.
const mostApart = 5e5

func newGated[T kernel.Float](q Quadratics, weights []Matrix[T], rows int) *gated[T] {
	return &gated[T]{whole: newArgmax(newSoftMaximum(q, weights), rows), weights: weights, rows: rows}
}

// run solves for the rows of x.
func (g *gated[T]) run(y, x, guess Matrix[T]) {
	if !g.whole.ownOffsets || g.whole.ownCenters || !g.divide(x.Rows) {
		g.whole.run(y, x, guess)
		return
	}
	d := x.Cols
	for _, r := range g.ranges {
		n, k := len(r.rows), r.hi-r.lo
		if n == 0 {
			continue
		}
		some := Matrix[T]{}
		if guess.Data != nil {
			some = Matrix[T]{n, d, r.guess[:n*d]}
		}
		for to, i := range r.rows {
			copy(r.x[to*d:(to+1)*d], x.row(i))
			copy(r.offsets[to*k:(to+1)*k], g.weights[3].row(i)[r.lo:r.hi])
			if guess.Data != nil {
				copy(some.row(to), guess.row(i))
			}
		}
		r.argmax.run(Matrix[T]{n, d, r.y[:n*d]}, Matrix[T]{n, d, r.x[:n*d]}, some)
		for from, i := range r.rows {
			copy(y.row(i), r.y[from*d:(from+1)*d])
		}
	}
}

// divide deals the rows to ranges, and says whether a piece is off in any.
func (g *gated[T]) divide(n int) bool {
	for _, r := range g.ranges {
		r.rows = r.rows[:0]
	}
	off := false
	for i := range n {
		lo, hi := on(g.weights[3].row(i))
		off = off || lo > 0 || hi < g.whole.Pieces
		r := g.rangeOf(lo, hi)
		r.rows = append(r.rows, i)
	}
	return off
}

// on is the least range that has all pieces that are on.
func on[T kernel.Float](offsets []T) (lo, hi int) {
	highest := offsets[0]
	for _, b := range offsets {
		highest = max(highest, b)
	}
	hi = len(offsets)
	for lo < hi-1 && offsets[lo] < highest-mostApart {
		lo++
	}
	for hi > lo+1 && offsets[hi-1] < highest-mostApart {
		hi--
	}
	return lo, hi
}

// rangeOf finds or makes a range.
func (g *gated[T]) rangeOf(lo, hi int) *pieceRange[T] {
	for k := range g.ranges {
		if r := g.ranges[(g.last+k)%len(g.ranges)]; r.lo == lo && r.hi == hi {
			g.last = (g.last + k) % len(g.ranges)
			return r
		}
	}
	d, q := g.whole.d, g.whole.Quadratics
	r := &pieceRange[T]{lo: lo, hi: hi, x: make([]T, g.rows*d), y: make([]T, g.rows*d), guess: make([]T, g.rows*d), offsets: make([]T, g.rows*(hi-lo))}
	some := func(w Matrix[T], rows int) Matrix[T] {
		return Matrix[T]{(hi - lo) * rows, w.Cols, w.Data[lo*rows*w.Cols : hi*rows*w.Cols]}
	}
	q.Pieces = hi - lo
	r.argmax = newArgmax(newSoftMaximum(q, []Matrix[T]{
		some(g.weights[0], q.Rank), some(g.weights[1], 1), some(g.weights[2], 1), {g.rows, hi - lo, r.offsets},
	}), g.rows)
	g.ranges, g.last = append(g.ranges, r), len(g.ranges)
	return r
}
