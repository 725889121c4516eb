package solvers

import (
	"math"
	"slices"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// A return to the last good weights forgets everything that belongs to the others.
func TestRestoreForgets(t *testing.T) {
	y := exact.StandardGaussian(2).Sample(8, random.New(1, "test", 0))
	s, err := NewCMFGenState(y, y, 4, random.New(1, "test", 1))
	if err != nil {
		t.Fatal(err)
	}
	w := []optim.Weight{{Name: "w", Value: []float32{5, 6}, Grad: make([]float32, 2)}}
	s.Good = map[string][]float32{"w": {1, 2}}
	s.Adam = optim.AdamState{Steps: 3, M: map[string][]float32{"w": {1, 1}}, V: map[string][]float32{"w": {1, 1}}}
	s.Bank.Step, s.Bank.Curvature, s.preconditioner = 1, 1, new(potential.Preconditioner)
	s.restore(w)
	if !slices.Equal(w[0].Value, []float32{1, 2}) {
		t.Errorf("weights %v", w[0].Value)
	}
	zero := []float32{0, 0}
	if !slices.Equal(s.Adam.M["w"], zero) || !slices.Equal(s.Adam.V["w"], zero) {
		t.Errorf("moments %v and %v", s.Adam.M, s.Adam.V)
	}
	if s.Bank.Step != 0 || s.Bank.Curvature != 0 || s.preconditioner != nil {
		t.Error("the step or the preconditioner is that of the other weights")
	}
}

// A conjugate that did not converge serves a minibatch up to a residual of a tenth.
func TestUsableConjugates(t *testing.T) {
	for _, c := range []struct {
		status   potential.Status
		residual float32
		want     bool
	}{
		{potential.Converged, .5, true}, {potential.MaxIterations, .09, true}, {potential.MaxIterations, .11, false},
		{potential.Stalled, .5, false}, {potential.Stalled, 5, false},
	} {
		if got := usable(conjugate.Info{Status: []potential.Status{c.status}, Residual: []float32{c.residual}}, 0); got != c.want {
			t.Errorf("%v at %g: usable %v", c.status, c.residual, got)
		}
	}
}

// An option that is zero is the one that its comment names, and no other.
func TestZeroOptions(t *testing.T) {
	hessian := func(x blas32.General) (*mat.SymDense, error) {
		v := 1 + math.Abs(float64(x.Data[0])) // it differs at each renewal
		return mat.NewSymDense(2, []float64{v, 0, 0, v}), nil
	}
	gen := func(set func(*CMFGen)) []float32 {
		c, f := newLoop(t)
		c.MeanHessian = hessian
		set(c)
		for range 45 {
			if _, err := c.Step(); err != nil {
				t.Fatal(err)
			}
		}
		return slices.Concat(f.s, f.c, c.State.Bank.Y.Data)
	}
	ma := func(set func(*CMFMA)) []float32 {
		c, w := newCMFMA(t, 2, 32, Shares{Model: 1, Energy: 1}, normalEnergy{d: 2, v: .01})
		c.MeanHessian, c.State.Walkers.Step = hessian, 1e-3 // the walkers begin beyond Cut
		set(c)
		for range 45 {
			if _, err := c.Step(); err != nil {
				t.Fatal(err)
			}
		}
		return slices.Concat(w.a, c.State.Bank.Y.Data, c.State.Walkers.Y.Data)
	}
	for name, c := range map[string]struct{ zero, named, other []float32 }{
		"CMFGen.Langevin": {gen(func(*CMFGen) {}), gen(func(c *CMFGen) { c.Langevin = 5 }), gen(func(c *CMFGen) { c.Langevin = 6 })},
		"CMFGen.Renew":    {gen(func(*CMFGen) {}), gen(func(c *CMFGen) { c.Renew = 20 }), gen(func(c *CMFGen) { c.Renew = 21 })},
		"CMFMA.Langevin":  {ma(func(*CMFMA) {}), ma(func(c *CMFMA) { c.Langevin = 2 }), ma(func(c *CMFMA) { c.Langevin = 3 })},
		"CMFMA.Renew":     {ma(func(*CMFMA) {}), ma(func(c *CMFMA) { c.Renew = 20 }), ma(func(c *CMFMA) { c.Renew = 21 })},
		"CMFMA.Cut":       {ma(func(*CMFMA) {}), ma(func(c *CMFMA) { c.Cut = 20 * math.Sqrt2 }), ma(func(c *CMFMA) { c.Cut = 25 * math.Sqrt2 })},
	} {
		if !slices.Equal(c.zero, c.named) {
			t.Errorf("%s: zero is not what its comment names", name)
		}
		if slices.Equal(c.zero, c.other) {
			t.Errorf("%s: another value changes nothing", name)
		}
	}
}

// The preconditioner is the inverse of the mean Hessian over a minibatch of the data and the
// last conjugates of the particles that move next.
func TestPreconditionerAtDataAndConjugates(t *testing.T) {
	const n, d = 4, 3
	rng := random.New(1, "test", 0)
	y, partners := exact.StandardGaussian(d).Sample(3*n, rng), exact.StandardGaussian(d).Sample(3*n, rng)
	s, err := NewCMFGenState(y, partners, n, rng)
	if err != nil {
		t.Fatal(err)
	}
	s.Next = n
	g, b := exact.StandardGaussian(d), newBowl(d)
	var at blas32.General
	c := &CMFGen{
		Potential: b, Objective: b, Data: law{g, random.New(7, "data", 0)}, Sampler: sampling.Langevin{Adjusted: true, Step: .5},
		Conjugate: &conjugate.BarzilaiBorwein{}, State: s,
		MeanHessian: func(x blas32.General) (*mat.SymDense, error) {
			at = batch.Stacked(x, batch.New(0, d))
			return mat.NewSymDense(d, []float64{1, 0, 0, 0, 1, 0, 0, 0, 1}), nil
		},
	}
	if _, err := c.Step(); err != nil {
		t.Fatal(err)
	}
	rows := g.Sample(n, random.New(7, "data", 0))
	if want := batch.Stacked(rows, batch.Rows(partners, n, 2*n)); !slices.Equal(at.Data, want.Data) {
		t.Errorf("the Hessian is taken at %v, want %v", at.Data, want.Data)
	}
}

// The level of energies is the median over the walkers of each group, and over all rows only where
// no walker is usable.
func TestLevelIsThatOfWalkers(t *testing.T) {
	s := &CMFMAState{points: batch.New(8, 1), groups: 2, own: 1, walk: 2, energy: blas32.General{Rows: 8, Cols: 1, Stride: 1, Data: []float32{90, 1, 2, 80, 70, 3, 4, 60}}}
	for _, c := range []struct {
		usable []int
		want   float64
	}{
		{[]int{0, 1, 2, 3, 4, 5, 6, 7}, 3}, {[]int{0, 1, 3, 7}, 1}, {[]int{0, 3, 4}, 80},
	} {
		if got := s.level(c.usable); got != c.want {
			t.Errorf("the level of rows %d is %g; want %g", c.usable, got, c.want)
		}
	}
}
