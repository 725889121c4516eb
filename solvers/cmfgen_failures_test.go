package solvers

import (
	"errors"
	"math"
	"slices"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/optim"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// faulty is a bowl whose loss goes wrong at chosen steps.
type faulty struct {
	*bowl
	step   int
	huge   bool // makes the loss 1e12
	inputs []*Kind
	fault  func(f *faulty, step int) (loss float64, err error) // with a nil error and a finite loss, the bowl's loss is used
	seen   map[*Kind]blas32.General
}

func (f *faulty) Inputs() []*Kind { return slices.Concat(f.bowl.Inputs(), f.inputs) }

func (f *faulty) Gradient(in map[*Kind]blas32.General) (float64, map[string]float64, error) {
	f.seen = in
	loss, terms, err := f.bowl.Gradient(in)
	f.step++
	if f.fault == nil || err != nil {
		return loss, terms, err
	}
	wrong, err := f.fault(f, f.step)
	if f.huge {
		loss = 1e12
	}
	if !batch.Finite(wrong) {
		loss = wrong
	}
	return loss, terms, err
}

// newLoop is CMFGen on a Gaussian in two dimensions with a bank of four
// minibatches of 32.
func newLoop(t *testing.T) (*CMFGen, *faulty) {
	t.Helper()
	g, err := exact.NewGaussian([]float64{1, 0}, mat.NewSymDense(2, []float64{4, 0, 0, .5}))
	if err != nil {
		t.Fatal(err)
	}
	start := exact.StandardGaussian(2).Sample(128, random.New(1, "start", 0))
	state, err := NewCMFGenState(start, start, 32, random.New(1, "test", 0))
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{bowl: newBowl(2)}
	return &CMFGen{
		Potential: f.bowl, Objective: f, Data: law{g, random.New(1, "data", 0)}, State: state,
		Sampler: sampling.Langevin{Adjusted: true}, Conjugate: &conjugate.BarzilaiBorwein{}, Adam: optim.Adam{LR: .01},
	}, f
}

// A loss or a gradient that is not finite changes no weight, is reported, and halves
// the learning rate; the run goes on.
func TestCMFGenSkipsBadBatches(t *testing.T) {
	c, f := newLoop(t)
	f.fault = func(f *faulty, step int) (float64, error) {
		switch step {
		case 3:
			return math.NaN(), nil
		case 4:
			f.gs[1] = float32(math.Inf(1))
		case 7:
			return math.Inf(-1), nil
		}
		return 0, nil
	}
	want := []float64{.01, .01, 0, 0, .0025, .0025, 0, .00125} // the learning rate of each step; 0 if the batch is skipped
	for k, lr := range want {
		before := slices.Concat(f.s, f.c)
		info, err := c.Step()
		if err != nil {
			t.Fatal(err)
		}
		if info.Skipped != (lr == 0) || math.Abs(info.Adam.LR-lr) > 1e-12 {
			t.Errorf("step %d: skipped %v, learning rate %g; want %v and %g", k+1, info.Skipped, info.Adam.LR, lr == 0, lr)
		}
		if moved := !slices.Equal(before, slices.Concat(f.s, f.c)); moved == info.Skipped {
			t.Errorf("step %d: the weights moved: %v, the batch was skipped: %v", k+1, moved, info.Skipped)
		}
	}
	if s := c.State; s.Step != 8 || s.Adam.Steps != 5 || s.Halvings != 3 || s.Failures != 0 {
		t.Errorf("%d steps, %d of Adam, %d halvings, %d failures in a row; want 8, 5, 3, 0", s.Step, s.Adam.Steps, s.Halvings, s.Failures)
	}
}

// An error that does not come from a batch's numbers ends the run at once.
func TestCMFGenOtherErrors(t *testing.T) {
	c, f := newLoop(t)
	sorry := errors.New("sorry")
	f.fault = func(*faulty, int) (float64, error) { return 0, sorry }
	if _, err := c.Step(); !errors.Is(err, sorry) || errors.Is(err, ErrDiverged) {
		t.Errorf("an error of the objective: %v", err)
	}
	c, _ = newLoop(t)
	c.Adam.Beta1 = 2
	if _, err := c.Step(); err == nil || c.State.Halvings != 0 {
		t.Errorf("an option out of range: %v", err)
	}
}

// A minibatch of particles that ran away as a whole, or is no longer finite, is put on
// the image of the data with the right conjugates; the others stay.
func TestCMFGenRestartsRunaways(t *testing.T) {
	for name, spoil := range map[string]func(y float32) float32{
		"far":        func(y float32) float32 { return 1e4 * y },
		"not finite": func(float32) float32 { return float32(math.NaN()) },
	} {
		c, f := newLoop(t)
		s := c.State
		for range 4 {
			if info, err := c.Step(); err != nil || info.RanAway {
				t.Fatalf("%s: a healthy bank ran away: %v, error %v", name, info.RanAway, err)
			}
		}
		bank := batch.Rows(s.Bank.Y, 0, 32)
		others := slices.Clone(batch.Rows(s.Bank.Y, 32, 128).Data)
		for i, y := range bank.Data {
			bank.Data[i] = spoil(y)
		}
		before := slices.Concat(f.s, f.c)
		info, err := c.Step()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !info.RanAway || info.Langevin.Restarted != 32 || info.Skipped || info.Masked > 0 {
			t.Errorf("%s: ran away: %v, restarted %d, skipped %v, masked %d", name, info.RanAway, info.Langevin.Restarted, info.Skipped, info.Masked)
		}
		if s.Bank.Step != 0 {
			t.Errorf("%s: the step stays at %g", name, s.Bank.Step)
		}
		for i := range 32 {
			for k, y := range batch.Row(bank, i) {
				if x := batch.Row(s.Partners, i)[k]; !(math.Abs(float64(before[k]*(x-before[2+k])-y)) < 1e-3) {
					t.Fatalf("%s: particle %d is at %v along axis %d, ∇w of its partner %v", name, i, y, k, before[k]*(x-before[2+k]))
				}
			}
		}
		if !slices.Equal(others, batch.Rows(s.Bank.Y, 32, 128).Data) {
			t.Errorf("%s: other particles moved", name)
		}
		for range 8 {
			if info, err = c.Step(); err != nil || info.RanAway || info.Langevin.Acceptance < .1 {
				t.Errorf("%s: after it, ran away: %v, acceptance %g, error %v", name, info.RanAway, info.Langevin.Acceptance, err)
			}
		}
	}
}
