package ranks

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Spread hands do the rows from..to of a work of n that are for this rank, with a stream of its
// own: all rows, and the given stream, if there are too few to share. See Together.
func (g *Group) Spread(n int, rng *random.Stream, do func(from, to int, rng *random.Stream) error) (err error) {
	from, to := g.Span(n)
	own := g.Stream(n, rng)
	return g.Together(n, func() error { return do(from, to, own) })
}

// Together does what this rank has to do of a work of n rows. do may use whatever would share
// work itself: within it this rank is alone. An error of one rank is one of all, so that none
// waits for another, whatever becomes of the error.
func (g *Group) Together(n int, do func() error) (err error) {
	if !g.shares(n) {
		return do()
	}
	g.world.Apart(func() { err = do() })
	return g.agree(err)
}

// Dealt are the results of n works that do not depend on each other, on every rank. Each is
// done by one rank, as by one that is alone, so that they are the same on any number of ranks.
// An error of one rank is one of all.
func Dealt[T any](g *Group, n int, do func(k int) (T, error)) (results []T, err error) {
	size, first := g.size(), 0
	if size > 1 {
		first = g.world.Rank()
	}
	own := make([]T, 0, n/size+1)
	work := func() {
		for k := first; k < n && err == nil; k += size {
			var result T
			result, err = do(k)
			own = append(own, result)
		}
	}
	if size == 1 {
		work()
		return own, err
	}
	g.world.Apart(work)
	if err := g.agree(err); err != nil {
		return nil, err
	}
	parts, err := exchanged(g, own)
	for k := 0; k < n && err == nil; k++ {
		results = append(results, parts[k%size][k/size])
	}
	return results, err
}

// JoinedOf is Joined for rows of any kind.
func JoinedOf[T any](g *Group, n int, own []T) ([]T, error) {
	if !g.shares(n) {
		return own, nil
	}
	parts, err := exchanged(g, own)
	if err != nil {
		return nil, err
	}
	var all []T
	for _, part := range parts {
		all = append(all, part...)
	}
	return all, nil
}

// exchanged are the parts of all ranks, on each of them.
func exchanged[T any](g *Group, own []T) (parts [][]T, err error) {
	var text bytes.Buffer
	if err := gob.NewEncoder(&text).Encode(own); err != nil {
		return nil, err // of the type, on every rank
	}
	for _, part := range g.everyPart(text.Bytes()) {
		var v []T
		if err := gob.NewDecoder(bytes.NewReader(part)).Decode(&v); err != nil {
			return nil, err
		}
		parts = append(parts, v)
	}
	return parts, nil
}

// everyPart are the parts of all ranks, on each of them.
func (g *Group) everyPart(own []byte) (parts [][]byte) {
	var all []byte
	for _, part := range g.world.Gather(own) {
		all = append(all, part...)
	}
	sizes, sum := g.world.Each(float64(len(own))), 0
	for _, n := range sizes {
		sum += int(n)
	}
	if g.world.Rank() > 0 {
		all = make([]byte, sum)
	}
	g.world.Broadcast(all)
	for _, n := range sizes {
		parts, all = append(parts, all[:int(n):int(n)]), all[int(n):]
	}
	return parts
}

// agree makes an error of one rank one of all.
func (g *Group) agree(err error) error {
	failed := 0.
	if err != nil {
		failed = 1
	}
	sum := []float64{failed}
	if g.world.Sum64(sum); sum[0] == 0 {
		return nil
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	for rank, of := range g.everyPart([]byte(text)) {
		if err == nil && len(of) > 0 {
			err = fmt.Errorf("%w, %d: %s", ErrElsewhere, rank, of)
		}
	}
	return err
}

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

func (g *Group) shares(n int) bool { return g.size() > 1 && n >= leastSpan*g.size() }

// Stream is the stream of this rank for its span of n rows: that of the caller, which is the
// same on all ranks, if they do not share the rows.
func (g *Group) Stream(n int, rng *random.Stream) *random.Stream {
	if rng == nil || !g.shares(n) {
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

// Joined64 is Joined for as many numbers of each row.
func (g *Group) Joined64(n int, own []float64) []float64 {
	if !g.shares(n) {
		return own
	}
	sizes := g.world.Each(float64(len(own)))
	at, all := 0, 0
	for rank, size := range sizes {
		if rank < g.world.Rank() {
			at += int(size)
		}
		all += int(size)
	}
	joined := make([]float64, all)
	copy(joined[at:], own)
	g.world.Sum64(joined)
	return joined
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

// Most is the largest over n rows of a number that each rank has as the largest over its span.
func (g *Group) Most(n int, v float64) float64 {
	if !g.shares(n) {
		return v
	}
	return slices.Max(g.world.Each(v))
}

// Everywhere stacks the rows of all ranks, in their order, on each of them.
func (g *Group) Everywhere(x blas32.General) blas32.General {
	if g.size() == 1 {
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
