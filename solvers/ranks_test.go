package solvers

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"cmf/solvers/exact"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// crowd is a World whose ranks are goroutines of this process. Slices are summed in the
// order of ranks.
type crowd struct {
	n      int
	lock   sync.Mutex
	all    *sync.Cond
	come   int
	round  int
	parts  map[int][]float64
	summed []float64
}

// member is a rank of a crowd.
type member struct {
	*crowd
	rank int
}

func newCrowd(n int) *crowd {
	c := &crowd{n: n, parts: map[int][]float64{}}
	c.all = sync.NewCond(&c.lock)
	return c
}

func (m member) Rank() int { return m.rank }

func (m member) Size() int { return m.n }

func (m member) Sum64(x []float64) { copy(x, m.meet(x)) }

func (m member) Sum32(x []float32) {
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	for i, v := range m.meet(wide) {
		x[i] = float32(v)
	}
}

func (m member) meet(part []float64) []float64 {
	c := m.crowd
	c.lock.Lock()
	defer c.lock.Unlock()
	c.parts[m.rank] = slices.Clone(part)
	if c.come++; c.come == c.n {
		c.summed = make([]float64, len(part))
		for rank := range c.n {
			for i, v := range c.parts[rank] {
				c.summed[i] += v
			}
		}
		c.come, c.round = 0, c.round+1
		c.all.Broadcast()
		return c.summed
	}
	for round := c.round; c.round == round; {
		c.all.Wait()
	}
	return c.summed
}

// trained are the states of n ranks after steps of CMFGen on a Gaussian, each with
// minibatches of 32.
func trained(t *testing.T, n, steps int, spoil func(rank int, c *CMFGen, f *faulty), see func(rank int, c *CMFGen, info CMFGenInfo)) []*faulty {
	t.Helper()
	crowd, bowls := newCrowd(n), make([]*faulty, n)
	var all sync.WaitGroup
	for rank := range n {
		c, f := newLoop(t)
		c.Ranks = &Ranks{World: member{crowd, rank}}
		c.State.Stream = random.New(1, "test", uint64(rank))
		c.Data = law{c.Data.(law).g, random.New(1, "data", uint64(rank))}
		bowls[rank] = f
		if spoil != nil {
			spoil(rank, c, f)
		}
		all.Go(func() {
			for range steps {
				info, err := c.Step()
				if err != nil {
					t.Errorf("rank %d: %v", rank, err)
				}
				if see != nil {
					see(rank, c, info)
				}
			}
		})
	}
	all.Wait()
	return bowls
}

// Ranks descend along the mean of their gradients, so that their weights stay together.
func TestRanksDescendTogether(t *testing.T) {
	gradients := map[int][]float32{}
	var lock sync.Mutex
	var losses [3]float64
	bowls := trained(t, 3, 1, func(rank int, c *CMFGen, f *faulty) {
		f.fault = func(f *faulty, _ int) (float64, error) {
			lock.Lock()
			defer lock.Unlock()
			gradients[rank] = slices.Concat(f.gs, f.gc)
			return 0, nil
		}
	}, func(rank int, _ *CMFGen, info CMFGenInfo) { losses[rank] = info.Loss })
	for i, got := range slices.Concat(bowls[0].gs, bowls[0].gc) {
		want := (gradients[0][i] + gradients[1][i] + gradients[2][i]) / 3
		if math.Abs(float64(got-want)) > 1e-6 || gradients[0][i] == gradients[1][i] {
			t.Errorf("entry %d of the gradient is %g, want %g, the mean of %v", i, got, want, gradients)
		}
	}
	if losses[0] != losses[1] || losses[0] != losses[2] || losses[0] == 0 {
		t.Errorf("the losses are %g", losses)
	}
	trained(t, 3, 1, func(_ int, _ *CMFGen, f *faulty) {
		f.huge, f.fault = true, func(*faulty, int) (float64, error) { return 0, nil }
	}, func(rank int, _ *CMFGen, info CMFGenInfo) {
		if math.Abs(info.Loss-1e12) > 1e6 {
			t.Errorf("rank %d: the loss is %g, want 1e12, that of all ranks", rank, info.Loss)
		}
	})
	bowls = trained(t, 3, 200, nil, nil)
	for rank, b := range bowls {
		if diff := cmp.Diff([][]float32{bowls[0].s, bowls[0].c}, [][]float32{b.s, b.c}); diff != "" {
			t.Errorf("the weights of rank %d differ: %s", rank, diff)
		}
	}
	if again := trained(t, 3, 200, nil, nil); !slices.Equal(again[0].s, bowls[0].s) {
		t.Errorf("weights %v, then %v", bowls[0].s, again[0].s)
	}
}

// What goes wrong on one rank changes the weights of none, and halves the learning rate of
// all. Five failures in a row restore the weights.
func TestRanksDecideTogether(t *testing.T) {
	var lock sync.Mutex
	seen := map[int][]CMFGenInfo{}
	states := map[int]*CMFGenState{}
	bowls := trained(t, 2, 20, func(rank int, c *CMFGen, f *faulty) {
		states[rank] = c.State
		f.fault = func(f *faulty, step int) (float64, error) {
			switch {
			case rank == 1 && step == 3:
				return math.NaN(), nil
			case rank == 1 && step == 5:
				f.gs[0] = float32(math.Inf(1))
			case rank == 0 && step >= 8 && step < 13:
				return 0, potential.ErrConjugates
			}
			return 0, nil
		}
	}, func(rank int, _ *CMFGen, info CMFGenInfo) {
		lock.Lock()
		defer lock.Unlock()
		seen[rank] = append(seen[rank], info)
	})
	for step := range 20 {
		skipped := step == 2 || step == 4 || step >= 7 && step < 12
		for rank := range 2 {
			if got := seen[rank][step]; got.Skipped != skipped || got.Restored != (step == 11) {
				t.Errorf("step %d of rank %d: skipped %t, restored %t", step+1, rank, got.Skipped, got.Restored)
			}
		}
	}
	if !slices.Equal(bowls[0].s, bowls[1].s) || !slices.Equal(bowls[0].c, bowls[1].c) {
		t.Errorf("weights %v and %v", bowls[0].s, bowls[1].s)
	}
	for rank, s := range states {
		if s.Halvings != 7 || s.Restores != 1 || s.Step != 20 {
			t.Errorf("rank %d: %d halvings and %d restores after %d steps", rank, s.Halvings, s.Restores, s.Step)
		}
	}
}

// One rank's particles that run away are put back there, and do not count as stuck as long as
// those of most others move.
func TestRanksCountStuckTogether(t *testing.T) {
	for n, want := range map[int]bool{2: true, 3: false} {
		trained(t, n, 3, func(rank int, c *CMFGen, _ *faulty) {
			if rank == 0 {
				c.MaxVirial = 1e-9
			}
		}, func(rank int, c *CMFGen, info CMFGenInfo) {
			if info.RanAway != want || (c.State.Stuck > 0) != want || info.Langevin.Restarted != 32 {
				t.Errorf("rank %d of %d: ran away %t, stuck in %d steps, %d particles put back", rank, n, info.RanAway, c.State.Stuck, info.Langevin.Restarted)
			}
		})
	}
}

func TestRanksHearEachOther(t *testing.T) {
	trained(t, 2, 2, func(rank int, c *CMFGen, f *faulty) {
		c.Ranks.Ask = []float32{float32(rank), 1}
		f.fault = func(_ *faulty, step int) (float64, error) {
			if step == 2 && rank == 1 {
				return 0, potential.ErrLoss // they hear each other in steps that fail too
			}
			return 0, nil
		}
	}, func(rank int, c *CMFGen, _ CMFGenInfo) {
		if !slices.Equal(c.Ranks.Told, []float32{1, 2}) {
			t.Errorf("rank %d heard %v", rank, c.Ranks.Told)
		}
		c.Ranks.Told = nil
	})
}

// The preconditioner is the mean Hessian of all ranks, in CMFGen and in CMFMA; where it fails on
// one it fails on all.
func TestRanksShareThePreconditioner(t *testing.T) {
	diagonal := func(v float64) *mat.SymDense { return mat.NewSymDense(2, []float64{v, 0, 0, v}) }
	check := func(rank int, s *CMFGenState, info CMFGenInfo) {
		if s.Step == 1 {
			if p, _ := s.Preconditioner().Factors(); math.Abs(float64(p.Data[0])-1./4) > 1e-6 {
				t.Errorf("rank %d: P has the entry %g, want 1/4", rank, p.Data[0])
			}
		}
		if info.Skipped != (s.Step == 2) {
			t.Errorf("rank %d: skipped step %d: %t", rank, s.Step, info.Skipped)
		}
	}
	hessian := func(rank int) func(blas32.General) (*mat.SymDense, error) {
		calls := 0
		return func(blas32.General) (*mat.SymDense, error) {
			if calls++; calls == 2 && rank == 1 {
				return nil, potential.ErrCurvature
			}
			return diagonal(float64(2 + 4*rank)), nil // the mean is 4
		}
	}
	trained(t, 2, 3, func(rank int, c *CMFGen, _ *faulty) {
		c.Renew, c.MeanHessian = 1, hessian(rank)
	}, func(rank int, c *CMFGen, info CMFGenInfo) { check(rank, c.State, info) })

	crowd := newCrowd(2)
	var all sync.WaitGroup
	var dishes [2]*dish
	for rank := range 2 {
		e := normalEnergy{d: 2, v: 3}
		c, d := newCMFMA(t, 2, 32, Shares{}, e)
		dishes[rank] = d
		c.Ranks = &Ranks{World: member{crowd, rank}}
		c.State.Stream = random.New(2, "test", uint64(rank))
		c.Renew, c.MeanHessian = 1, hessian(rank)
		all.Go(func() {
			for range 3 {
				info, err := c.Step()
				if err != nil {
					t.Errorf("rank %d: %v", rank, err)
				}
				check(rank, c.State.CMFGenState, info.CMFGenInfo)
			}
		})
	}
	all.Wait()
	if !slices.Equal(dishes[0].a, dishes[1].a) {
		t.Errorf("weights %v and %v", dishes[0].a, dishes[1].a)
	}
}

// An error that ends the program is not shared: nobody waits for it.
func TestRanksReturnOtherErrors(t *testing.T) {
	c, f := newLoop(t)
	c.Ranks = &Ranks{World: member{newCrowd(2), 0}} // the other rank never comes
	broken := errors.New("the disk is full")
	f.fault = func(*faulty, int) (float64, error) { return 0, broken }
	if _, err := c.Step(); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	c.MeanHessian = func(blas32.General) (*mat.SymDense, error) { return nil, broken }
	if _, err := c.Step(); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	for _, alone := range []*Ranks{nil, {}, {World: member{newCrowd(1), 0}}} {
		if err := alone.meet(broken, nil, nil); err != broken {
			t.Errorf("one process: %v", err)
		}
	}
	if err := together(nil, flags(optim.ErrNonFiniteGradient), 3); !errors.Is(err, optim.ErrNonFiniteGradient) || !strings.Contains(err.Error(), "on 1 of 3 ranks") {
		t.Errorf("the error is %v", err)
	}
}

// Two ranks with minibatches of 64 learn what one learns with 128.
func TestRanksLearnTheClosedForm(t *testing.T) {
	g, err := exact.NewGaussian([]float64{1, 0}, mat.NewSymDense(2, []float64{4, 0, 0, .5}))
	if err != nil {
		t.Fatal(err)
	}
	bowls := trained(t, 2, 1500, func(rank int, c *CMFGen, _ *faulty) {
		start := exact.StandardGaussian(2).Sample(256, random.New(1, "start", uint64(rank)))
		if c.State, err = NewCMFGenState(start, start, 64, random.New(1, "test", uint64(rank))); err != nil {
			t.Fatal(err)
		}
		c.Adam.Schedule, err = optim.NewSchedule("cosine", .01, 1500, 0)
		if err != nil {
			t.Fatal(err)
		}
	}, nil)
	center := g.Center()
	for k, variance := range []float64{4, .5} {
		s, c := float64(bowls[1].s[k]), float64(bowls[1].c[k])
		if truth := math.Pow(variance, -1./3); math.Abs(s-truth) > .05*truth || math.Abs(c-center[k]) > .1 {
			t.Errorf("axis %d: s = %.4f and c = %.3f, want %.4f and %.3f", k, s, c, truth, center[k])
		}
	}
}
