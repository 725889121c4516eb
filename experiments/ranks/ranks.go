// Package ranks is what a training by several processes has besides that of one: shares of
// the data, decisions that all take after the same step, and a checkpoint of all.
package ranks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"unsafe"

	"cmf/experiments/config"
	"cmf/experiments/run"
	"cmf/experiments/train"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/mpi"
	"cmf/solvers/optim"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// Group is the ranks of a training, as one of them sees it. nil is one process: its methods
// then change nothing.
type Group struct {
	world  *mpi.World
	shared *solvers.Ranks
	ask    [wishes]func() bool
}

// Wish is what ranks ask each other for in every step. If one does, all do it after that step.
type Wish int

const (
	ToEnd  Wish = iota // the time is over
	ToSave             // a checkpoint is due
	toStop             // a signal came
	wishes
)

// weightsEvery is the number of steps after which ranks compare their weights.
const weightsEvery = 100

// New is the group of a world, nil for one process.
func New(world *mpi.World) *Group {
	if world.Size() == 1 {
		return nil
	}
	return &Group{world: world, shared: &solvers.Ranks{World: world}}
}

// Solvers are the ranks as solvers know them, nil for one process.
func (g *Group) Solvers() *solvers.Ranks {
	if g == nil {
		return nil
	}
	return g.shared
}

// Rank is the number of this process, by which its random streams differ from those of others.
func (g *Group) Rank() uint64 {
	if g == nil {
		return 0
	}
	return uint64(g.world.Rank())
}

func (g *Group) size() int {
	if g == nil {
		return 1
	}
	return g.world.Size() // 1 also within mpi.World.Apart
}

// Share gives this rank its part of a batch, of the particles, and of the rows of data:
// every n-th. core is not changed.
func (g *Group) Share(core *config.Core, particles *int, rows ...*blas32.General) (_ *config.Core, err error) {
	if g == nil {
		return core, nil
	}
	n := g.world.Size()
	own := *core
	if own.Batch = core.Batch / n; own.Batch*n != core.Batch || own.Batch < 2 {
		return nil, fmt.Errorf("CMF_BATCH=%d on %d ranks: each takes the same share of a batch; allowed are multiples of %d from %d, such as %d", core.Batch, n, n, 2*n, n*max(2, own.Batch))
	}
	*particles = (*particles + n - 1) / n
	for _, x := range rows {
		if *x, err = g.Own(*x); err != nil {
			return nil, err
		}
	}
	return &own, nil
}

// Own are the rows of data for this rank: every n-th.
func (g *Group) Own(x blas32.General) (blas32.General, error) {
	n := g.size()
	switch {
	case n == 1 || x.Rows == 0:
		return x, nil
	case x.Rows < n:
		return x, fmt.Errorf("%d rows of data for %d ranks; each needs one", x.Rows, n)
	}
	return everyNth(x, g.world.Rank(), n), nil
}

// OfBatch is how many of n rows of a minibatch each rank takes, at least two.
func (g *Group) OfBatch(n int) int { return max(2, (n+g.size()-1)/g.size()) }

// everyNth copies the rows rank, rank + n, … of x.
func everyNth(x blas32.General, rank, n int) blas32.General {
	rows := make([]int, ofShare(x.Rows, rank, n))
	for i := range rows {
		rows[i] = rank + i*n
	}
	return batch.Gathered(x, rows)
}

// ofShare is how many of all things one of n ranks has.
func ofShare(all, rank, n int) int { return (all - rank + n - 1) / n }

// Begin gives all ranks the weights of the first, and makes sure that they learn from the same;
// sums is of what that is.
func (g *Group) Begin(r *run.Run, weights []optim.Weight, sums string) error {
	if g == nil {
		return nil
	}
	for _, w := range weights {
		g.world.Broadcast32(w.Value)
	}
	if m := r.Report.Machine; g.world.Differing([]byte(m.BLAS+m.Kernels)) != nil {
		r.Note("Not all computers of the ranks have the products, %s, and the kernels, %s, of the first: numbers may differ in their last digits.", m.BLAS, m.Kernels)
	}
	if differing := g.world.Differing([]byte(sums)); differing != nil {
		return fmt.Errorf("ranks %v have other rows to learn from, or other units, than rank 0: files must be the same on all computers, and all that is computed from them too", differing)
	}
	return nil
}

// Agreeing is a hook that calls stop on all ranks once one of them asks for it. It compares
// their weights from time to time, and returns an error if they are no longer the same.
func Agreeing[M train.Trainee](g *Group, weights []optim.Weight, stop func()) train.Hook[M] {
	if g == nil {
		return train.Hook[M]{}
	}
	return train.Hook[M]{
		Step: func(l *train.Loop[M]) error {
			if g.told(toStop) {
				stop()
			}
			if l.Step()%weightsEvery == 0 {
				return g.compare(weights, l.Step())
			}
			return nil
		},
		End: func(l *train.Loop[M]) error { return g.compare(weights, l.Step()) },
	}
}

func (g *Group) compare(weights []optim.Weight, step int) error {
	var all []byte
	for _, w := range weights {
		all = append(all, bytesOf(w.Value)...)
	}
	if differing := g.world.Differing(all); differing != nil {
		return fmt.Errorf("after step %d the weights of ranks %v are no longer those of rank 0: run all ranks on computers of one kind", step, differing)
	}
	return nil
}

// Context is the context of training: that of the run or, with several ranks, one that ends
// for all after the same step.
func (g *Group) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	if g == nil {
		return ctx, func() {}
	}
	g.ask[toStop] = func() bool { return ctx.Err() != nil }
	return context.WithCancel(context.WithoutCancel(ctx))
}

// AskOthers tells the others, in the next step, what this rank wants.
func (g *Group) AskOthers() {
	if g == nil {
		return
	}
	g.shared.Ask = g.shared.Ask[:0]
	for _, wants := range g.ask {
		v := float32(0)
		if wants != nil && wants() {
			v = 1
		}
		g.shared.Ask = append(g.shared.Ask, v)
	}
}

// told says whether a rank asked for something in the last step.
func (g *Group) told(wish Wish) bool {
	return len(g.shared.Told) > int(wish) && g.shared.Told[wish] > 0
}

// Decide is for a judgement of rank 0 on which all are to act: it returns want for one
// process, and otherwise a function that says what rank 0 wanted in the last step.
func (g *Group) Decide(wish Wish, want func() bool) func() bool {
	if g == nil {
		return want
	}
	if g.world.Rank() == 0 {
		g.ask[wish] = want
	}
	return func() bool { return g.told(wish) }
}

// Average takes the mean of numbers over ranks.
func (g *Group) Average(numbers map[string]float64) {
	if g == nil || len(numbers) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(numbers))
	v := make([]float64, len(names))
	for k, name := range names {
		v[k] = numbers[name] / float64(g.world.Size())
	}
	g.world.Sum64(v)
	for k, name := range names {
		numbers[name] = v[k]
	}
}

// ErrElsewhere says that another rank has an error.
var ErrElsewhere = errors.New("an error on another rank")

// OfRoot is a number that rank 0 computes for all, alone. Others have the error ErrElsewhere if
// it fails.
func (g *Group) OfRoot(compute func() (float64, error)) (v float64, err error) {
	if g.size() == 1 {
		return compute()
	}
	var told [2]float64
	if g.world.Rank() == 0 {
		if g.world.Apart(func() { v, err = compute() }); err == nil {
			told = [2]float64{v, 1}
		}
	}
	words := make([]byte, 16)
	for k, v := range told {
		binary.LittleEndian.PutUint64(words[8*k:], math.Float64bits(v)) // not a sum: v may be infinite
	}
	g.world.Broadcast(words)
	if err != nil {
		return 0, err
	}
	if math.Float64frombits(binary.LittleEndian.Uint64(words[8:])) == 0 {
		return 0, ErrElsewhere
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(words)), nil
}

// stacked are the rows of all ranks, in their order, on rank 0, and the given ones on others.
func (g *Group) stacked(x blas32.General) blas32.General {
	parts := g.world.Gather(bytesOf(x.Data[:x.Rows*x.Cols]))
	if parts == nil {
		return x
	}
	var all []float32
	for _, part := range parts {
		all = append(all, unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(part))), len(part)/4)...)
	}
	return blas32.General{Rows: len(all) / max(1, x.Cols), Cols: x.Cols, Stride: max(1, x.Cols), Data: all}
}

// Unite gives every rank the particles of all, so that what follows training is the same on each.
func (g *Group) Unite(s *solvers.CMFGenState) (err error) {
	if g == nil {
		return nil
	}
	bank, err := sampling.NewChains(g.Everywhere(s.Bank.Y))
	if err != nil {
		return err
	}
	bank.Step, _ = g.OfRoot(func() (float64, error) { return s.Bank.Step, nil })
	bank.Curvature, _ = g.OfRoot(func() (float64, error) { return s.Bank.Curvature, nil })
	s.Bank, s.Partners = bank, g.Everywhere(s.Partners)
	if c := s.Given; c != nil {
		c.Points, c.Contexts = g.Everywhere(c.Points), g.Everywhere(c.Contexts)
	}
	return nil
}

// bytesOf is the memory of x.
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}
