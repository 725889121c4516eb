package solvers

import (
	"errors"
	"math"
	"slices"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// untilError makes at most 1000 steps.
func untilError[T any](step func() (T, error)) (steps int, err error) {
	for err == nil && steps < 1000 {
		_, err = step()
		steps++
	}
	return steps, err
}

// spoilt is a bowl whose values and gradients are not finite in the calls and rows for
// which bad is true.
type spoilt struct {
	*bowl
	bad  func(call, row int) bool
	call int
}

func (s *spoilt) Eval(x blas32.General, value []float32, grad blas32.General) error {
	s.call++
	if err := s.bowl.Eval(x, value, grad); err != nil {
		return err
	}
	for i := range x.Rows {
		if !s.bad(s.call, i) {
			continue
		}
		if value != nil {
			value[i] = float32(math.NaN())
		}
		if grad.Data != nil {
			batch.Row(grad, i)[0] = float32(math.Inf(1))
		}
	}
	return nil
}

// A run survives a potential that is not finite for a while, or in some rows. One that
// stays so ends the run within some steps, with the last good weights.
func TestCMFGenPotentialNotFinite(t *testing.T) {
	for name, c := range map[string]struct {
		bad  func(call, row int) bool
		ends bool
	}{
		"in some rows": {bad: func(call, row int) bool { return row%5 == call%5 }},
		"for a while":  {bad: func(call, _ int) bool { return call > 200 && call < 260 }},
		"from then on": {bad: func(call, _ int) bool { return call > 200 }, ends: true},
		"always":       {bad: func(int, int) bool { return true }, ends: true},
	} {
		for _, adjusted := range []bool{true, false} {
			loop, f := newLoop(t)
			loop.Sampler.Adjusted = adjusted
			loop.Potential = &spoilt{bowl: f.bowl, bad: c.bad}
			steps, err := untilError(loop.Step)
			switch {
			case !c.ends && (err != nil || loop.State.Failures > 0):
				t.Errorf("not finite %s, adjusted %v: %d failures, error %v after %d steps", name, adjusted, loop.State.Failures, err, steps)
			case c.ends && (!errors.Is(err, ErrDiverged) || steps > 200):
				t.Errorf("not finite %s, adjusted %v: error %v after %d steps", name, adjusted, err, steps)
			}
			if !batch.AllFinite(loop.State.Bank.Y.Data) || !batch.AllFinite(f.s) || !batch.AllFinite(f.c) {
				t.Errorf("not finite %s, adjusted %v: the particles or the weights are left not finite", name, adjusted)
			}
		}
	}
}

// Failures in a row bring back the last good weights at a lower rate. If that helps, the
// run goes on; otherwise it ends with these weights, ready for other options.
func TestCMFGenRestores(t *testing.T) {
	for name, wrong := range map[string]struct {
		loss func(*faulty) float64
		kind error
	}{
		"loss not finite":     {func(*faulty) float64 { return math.NaN() }, potential.ErrLoss},
		"loss beyond bounds":  {func(f *faulty) float64 { f.huge = true; return 0 }, potential.ErrLoss},
		"gradient not finite": {func(f *faulty) float64 { f.gc[0] = float32(math.NaN()); return 0 }, optim.ErrNonFiniteGradient},
	} {
		c, f := newLoop(t)
		last := 1000
		f.fault = func(f *faulty, step int) (float64, error) {
			f.huge = false
			if step <= 120 || step > last {
				return 0, nil
			}
			return wrong.loss(f), nil
		}
		for range 100 {
			if _, err := c.Step(); err != nil {
				t.Fatal(err)
			}
		}
		good := slices.Concat(f.s, f.c) // those before step 101
		for k := range 25 {
			info, err := c.Step()
			if err != nil || info.Skipped != (k >= 20) || info.Restored != (k == 24) {
				t.Fatalf("%s: step %d: skipped %v, restored %v, error %v", name, k+101, info.Skipped, info.Restored, err)
			}
		}
		if !slices.Equal(good, slices.Concat(f.s, f.c)) {
			t.Errorf("%s: the weights are not the last good ones", name)
		}
		state := *c.State
		if steps, err := untilError(c.Step); steps != 15 || !errors.Is(err, ErrDiverged) || !errors.Is(err, wrong.kind) {
			t.Errorf("%s: error %v after %d steps, want ErrDiverged with %v after 15", name, err, steps, wrong.kind)
		}
		if !slices.Equal(good, slices.Concat(f.s, f.c)) || c.State.Halvings != 0 || c.State.Restores != 0 || state.Halvings != 5 {
			t.Errorf("%s: the state after the end is not ready to go on", name)
		}
		last = f.step
		for range 300 {
			if info, err := c.Step(); err != nil || info.Skipped {
				t.Fatalf("%s: going on: skipped %v, error %v", name, info.Skipped, err)
			}
		}
		if s := float64(f.s[0]); math.Abs(s-math.Pow(4, -1./3)) > .1 {
			t.Errorf("%s: after going on s = %g", name, s)
		}
	}
}

// ULA at a step that explodes loses every particle each time: the bank is put back, and
// the run ends if that goes on. MALA ends it too when it accepts no move.
func TestCMFGenParticlesStuck(t *testing.T) {
	for name, sampler := range map[string]sampling.Langevin{
		"ULA":  {MaxCurvature: 1e-20},
		"MALA": {Adjusted: true, Step: 1e6, Freeze: true},
	} {
		c, _ := newLoop(t)
		c.Sampler = sampler
		if sampler.Freeze {
			c.Noise = potential.Normal{D: 2}
			c.State.Bank.Step = 1e6
		}
		steps, err := untilError(func() (CMFGenInfo, error) {
			info, err := c.Step()
			if sampler.Freeze {
				c.State.Bank.Step = 1e6
			}
			return info, err
		})
		if !errors.Is(err, ErrDiverged) || !errors.Is(err, potential.ErrParticles) || steps > 5*c.State.maxStuck() {
			t.Errorf("%s: error %v after %d steps", name, err, steps)
		}
	}
}

// Particles may be stuck for 50 iterations and two rounds of the bank, each of which moves other
// particles; a single one that moves is enough to go on.
func TestCMFGenIsPatient(t *testing.T) {
	const particles, minibatch = 300, 10
	y := batch.New(particles, 1)
	s, err := NewCMFGenState(y, y, minibatch, random.New(1, "run", 0))
	if err != nil {
		t.Fatal(err)
	}
	stuck, moved := &CMFGenInfo{RanAway: true}, &CMFGenInfo{}
	for _, moves := range []*CMFGenInfo{moved, stuck} {
		for k := range 50 + 2*particles/minibatch - 1 {
			if err := s.checkParticles(true, stuck); err != nil && moves == moved {
				t.Fatalf("after %d iterations: %v", k+1, err)
			}
		}
		moves.Langevin.Acceptance = .5
		if err := s.checkParticles(true, moves); (err == nil) != (moves == moved) {
			t.Errorf("a last iteration with %+v: error %v", moves, err)
		}
	}
}

// A mean Hessian that has no inverse keeps the last preconditioner.
func TestCMFGenKeepsMetric(t *testing.T) {
	c, f := newLoop(t)
	h := mat.NewSymDense(2, []float64{1, 0, 0, 1})
	c.MeanHessian = func(blas32.General) (*mat.SymDense, error) { return h, nil }
	for range 20 {
		if _, err := c.Step(); err != nil {
			t.Fatal(err)
		}
	}
	preconditioner := c.State.Preconditioner()
	h.SetSym(0, 0, math.NaN())
	if info, err := c.Step(); err != nil || !info.Skipped || c.State.Preconditioner() != preconditioner {
		t.Errorf("skipped %v, error %v", info.Skipped, err)
	}
	if info, err := c.Step(); err != nil || info.Skipped || f.step != 21 {
		t.Errorf("afterwards: skipped %v, error %v", info.Skipped, err)
	}
}
