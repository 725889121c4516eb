package fit

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unsafe"

	"cmf/experiments/config"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/mpi"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// ranks is what a fit by several processes has besides that of one. nil is one process.
type ranks struct {
	world  *mpi.World
	shared *solvers.Ranks
	ask    [wishes]func() bool
}

// What ranks ask each other for in every step. If one does, all do it after that step.
const (
	toStop = iota // a signal came
	toEnd         // the time is over
	toSave        // a checkpoint is due
	wishes
)

// weightsEvery is the number of steps after which ranks compare their weights.
const weightsEvery = 100

func newRanks(world *mpi.World) *ranks {
	if world.Size() == 1 {
		return nil
	}
	return &ranks{world: world, shared: &solvers.Ranks{World: world}}
}

// ofSolvers are the ranks as solvers know them, nil for one process.
func (g *ranks) ofSolvers() *solvers.Ranks {
	if g == nil {
		return nil
	}
	return g.shared
}

func (g *ranks) rank() uint64 {
	if g == nil {
		return 0
	}
	return uint64(g.world.Rank())
}

// share gives this rank its part of a batch, of the particles, and of the rows: each n-th.
func (g *ranks) share(core *config.Core, p *Problem) (*config.Core, error) {
	if g == nil {
		return core, nil
	}
	n, rank := g.world.Size(), g.world.Rank()
	own := *core
	if own.Batch = core.Batch / n; own.Batch*n != core.Batch || own.Batch < 2 {
		return nil, fmt.Errorf("CMF_BATCH=%d on %d ranks: each takes the same share of a batch; allowed are multiples of %d from %d, such as %d", core.Batch, n, n, 2*n, n*max(2, own.Batch))
	}
	p.Particles = (p.Particles + n - 1) / n
	for what, x := range map[string]*blas32.General{"points to learn from": &p.Train, "contexts": &p.Contexts, "points of the source": &p.From} {
		switch {
		case x.Rows == 0:
			continue
		case x.Rows < n:
			return nil, fmt.Errorf("%d %s for %d ranks; each needs one", x.Rows, what, n)
		}
		*x = everyNth(*x, rank, n)
	}
	return &own, nil
}

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

// begin gives all ranks the weights of the first, and makes sure that they learn from the same.
func (g *ranks) begin(r *run.Run, m *Model) error {
	if g == nil {
		return nil
	}
	for _, w := range m.objective.Weights() {
		g.world.Broadcast32(w.Value)
	}
	if differing := g.world.Differing([]byte(r.Report.Machine.BLAS + r.Report.Machine.Kernels)); differing != nil {
		r.Note("The computers of ranks %v are not like that of rank 0, with products by %s and kernels %s: numbers may differ in their last digits.", differing, r.Report.Machine.BLAS, r.Report.Machine.Kernels)
	}
	if differing := g.world.Differing([]byte(m.sums.data + m.sums.units)); differing != nil {
		return fmt.Errorf("ranks %v have other rows to learn from, or other units, than rank 0: files must be the same on all computers, and all that is computed from them too", differing)
	}
	return nil
}

// agreeing makes ranks act together: on what one of them asked for, and if their weights are no
// longer the same.
func (g *ranks) agreeing(stop func()) Hook {
	if g == nil {
		return Hook{}
	}
	return Hook{
		Step: func(l *Loop) error {
			if g.told(toStop) {
				stop()
			}
			if l.Step()%weightsEvery == 0 {
				return g.compare(l)
			}
			return nil
		},
		End: g.compare,
	}
}

func (g *ranks) compare(l *Loop) error {
	var all []byte
	for _, w := range l.Model.objective.Weights() {
		all = append(all, bytesOf(w.Value)...)
	}
	if differing := g.world.Differing(all); differing != nil {
		return fmt.Errorf("after step %d the weights of ranks %v are no longer those of rank 0: run all ranks on computers of one kind", l.Step(), differing)
	}
	return nil
}

// context is the context of training: that of the run or, with several ranks, one that ends
// for all after the same step.
func (g *ranks) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if g == nil {
		return ctx, func() {}
	}
	g.ask[toStop] = func() bool { return ctx.Err() != nil }
	return context.WithCancel(context.WithoutCancel(ctx))
}

// askOthers tells the others, in the next step, what this rank wants.
func (g *ranks) askOthers() {
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
func (g *ranks) told(wish int) bool { return len(g.shared.Told) > wish && g.shared.Told[wish] > 0 }

// decide is for a judgement of rank 0 on which all are to act: it returns want for one
// process, and otherwise a function that says what rank 0 wanted in the last step.
func (g *ranks) decide(wish int, want func() bool) func() bool {
	if g == nil {
		return want
	}
	if g.world.Rank() == 0 {
		g.ask[wish] = want
	}
	return func() bool { return g.told(wish) }
}

// average takes the mean of numbers over ranks.
func (g *ranks) average(numbers map[string]float64) {
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

// errElsewhere says that rank 0 has an error.
var errElsewhere = errors.New("rank 0 has an error")

// ofRoot is a number that rank 0 computes for all.
func (g *ranks) ofRoot(compute func() (float64, error)) (v float64, err error) {
	if g == nil {
		return compute()
	}
	var told [2]float64
	if g.world.Rank() == 0 {
		if v, err = compute(); err == nil {
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
		return 0, errElsewhere
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(words)), nil
}

// stacked are the rows of all ranks, in their order, on rank 0, and the given ones on others.
func (g *ranks) stacked(x blas32.General) blas32.General {
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

// unite gives every rank the particles of all, so that what follows training is the same on each.
func (g *ranks) unite(s *solvers.CMFGenState) (err error) {
	if g == nil {
		return nil
	}
	everywhere := func(x blas32.General) blas32.General {
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
	bank, err := sampling.NewChains(everywhere(s.Bank.Y))
	if err != nil {
		return err
	}
	bank.Step, _ = g.ofRoot(func() (float64, error) { return s.Bank.Step, nil })
	bank.Curvature, _ = g.ofRoot(func() (float64, error) { return s.Bank.Curvature, nil })
	s.Bank, s.Partners = bank, everywhere(s.Partners)
	if c := s.Given; c != nil {
		c.Points, c.Contexts = everywhere(c.Points), everywhere(c.Contexts)
	}
	return nil
}

// Names of what each rank has of its own in a checkpoint. The arrays of all ranks are stacked;
// the texts of rank k > 0 are called rank.k.NAME.
var (
	arraysOfRank = []string{"bank.y", "bank.partners", "bank.gradients", "bank.points", "bank.contexts", "walkers.x"}
	textsOfRank  = []string{"stream", "epochs", "chains.gamma", "chains.bound", "chains.steps", "bank.next", "walkers.steps", "walkers.gamma", "energy.evaluations"}
)

func textOfRank(rank int, name string) string { return fmt.Sprintf("rank.%d.%s", rank, name) }

// collect adds to the checkpoint of rank 0 what the others have of their own.
func (g *ranks) collect(c *graph.Checkpoint) error {
	if g == nil {
		return nil
	}
	for _, name := range arraysOfRank {
		if t, ok := c.Tensors[name]; ok {
			all := g.stacked(t.General())
			c.Put(name, all.Data, all.Rows, all.Cols)
		}
	}
	own := map[string]string{}
	for _, name := range textsOfRank {
		if text, ok := c.Texts[name]; ok {
			own[name] = text
		}
	}
	text, err := json.Marshal(own)
	if err != nil {
		return err
	}
	for rank, part := range g.world.Gather(text) {
		if rank == 0 {
			continue
		}
		texts := map[string]string{}
		if err := json.Unmarshal(part, &texts); err != nil {
			return fmt.Errorf("what rank %d has of its own: %w", rank, err)
		}
		for name, text := range texts {
			c.Texts[textOfRank(rank, name)] = text
		}
	}
	c.Texts["ranks"] = strconv.Itoa(g.world.Size())
	return nil
}

// mostRanks is more than a checkpoint is of.
const mostRanks = 1 << 20

// deal leaves in a checkpoint what is for this rank. If it is of another number of ranks, it
// deals the particles of all anew, with new random numbers, and says so.
func (m *Model) deal(c *graph.Checkpoint, path string) (remark string, err error) {
	there, here, rank := 1, 1, int(m.ranks.rank())
	if m.ranks != nil {
		here = m.ranks.world.Size()
	}
	if _, ok := c.Texts["ranks"]; ok {
		if there, err = count(c, "ranks", mostRanks); err != nil {
			return "", err
		}
	}
	if there < 1 {
		return "", fmt.Errorf("its %q is %d; it must be at least 1", "ranks", there)
	}
	if there == here {
		return "", ownPart(c, rank, here)
	}
	m.dealAnew(c, rank)
	return fmt.Sprintf("%s was written by %d ranks and the run goes on with %d: its particles are dealt anew, with new random numbers. The run is then not to the same bits as one of either number.", path, there, here), nil
}

// ownPart leaves the part of a rank in a checkpoint of n.
func ownPart(c *graph.Checkpoint, rank, n int) error {
	if n == 1 {
		return nil
	}
	for _, name := range arraysOfRank {
		all := c.Tensors[name].General()
		if all.Rows == 0 {
			continue
		}
		from := 0
		for k := range rank {
			from += ofShare(all.Rows, k, n)
		}
		part := batch.Rows(all, from, from+ofShare(all.Rows, rank, n))
		c.Put(name, part.Data[:part.Rows*part.Cols], part.Rows, part.Cols)
	}
	if rank == 0 {
		return nil
	}
	for _, name := range textsOfRank {
		text, ok := c.Texts[textOfRank(rank, name)]
		if _, of0 := c.Texts[name]; of0 != ok {
			return fmt.Errorf("it has no %q", textOfRank(rank, name))
		}
		if ok {
			c.Texts[name] = text
		}
	}
	return nil
}

// dealAnew leaves a share of all particles in a checkpoint of another number of ranks, as many
// as this run has on a rank. Points of a given source stay with their rank.
func (m *Model) dealAnew(c *graph.Checkpoint, rank int) {
	s := m.State
	step := c.Texts["step"]
	for _, name := range arraysOfRank {
		all, rows := c.Tensors[name].General(), s.Bank.Y.Rows
		if name == "walkers.x" && m.Energy != nil && m.Energy.Walkers != nil {
			rows = m.Energy.Walkers.Y.Rows
		}
		if all.Rows == 0 {
			continue
		}
		index := make([]int, rows)
		for i := range index {
			index[i] = (rank*rows + i) % all.Rows
		}
		part := batch.Gathered(all, index)
		c.Put(name, part.Data, part.Rows, part.Cols)
	}
	if m.Noise == nil {
		c.Put("bank.y", s.Bank.Y.Data, s.Bank.Y.Rows, s.Bank.Y.Cols)
		c.Put("bank.partners", s.Partners.Data, s.Partners.Rows, s.Partners.Cols)
	}
	c.Texts["bank.next"] = "0"
	state := func(purpose string) []byte {
		stream, _ := random.New(m.seed, purpose+", dealt anew after step "+step, uint64(rank)).MarshalBinary() // only a zero Stream has an error
		return stream
	}
	c.Texts["stream"] = fmt.Sprintf("%x", state("Langevin"))
	if m.epochs != nil {
		c.Texts["epochs"] = fmt.Sprintf("%x", m.epochs.StateFrom(state("minibatches")))
	}
}

// bytesOf is the memory of x.
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}
