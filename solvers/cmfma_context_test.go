package solvers

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// movedNormal is E(x; c) = ½(x − 2 − 3c)²/8 + 50c on the line; it is spoilt where x is above spoilt.
type movedNormal struct {
	given  blas32.General
	spoilt float32
}

func (movedNormal) Dim() int      { return 1 }
func (movedNormal) Contexts() int { return 1 }
func (e movedNormal) Given(c blas32.General) (Energy, error) {
	return movedNormal{batch.Gathered(c, rowsTo(c.Rows)), e.spoilt}, nil
}

func rowsTo(n int) (rows []int) {
	for i := range n {
		rows = append(rows, i)
	}
	return rows
}

func (e movedNormal) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if x.Rows != e.given.Rows {
		return fmt.Errorf("%d points with %d contexts", x.Rows, e.given.Rows)
	}
	for i := range x.Rows {
		c := batch.Row(e.given, i)[0]
		delta := batch.Row(x, i)[0] - 2 - 3*c
		if value != nil {
			value[i] = delta*delta/16 + 50*c
			if e.spoilt != 0 && batch.Row(x, i)[0] > e.spoilt {
				value[i] = float32(math.NaN())
			}
		}
		if grad.Data != nil {
			batch.Row(grad, i)[0] = delta / 8
		}
	}
	return nil
}

// maBowl is slopedBowl with the loss of CMFMA: the variance of the residual for each context.
type maBowl struct {
	*slopedBowl
	t *testing.T
}

func (b maBowl) Inputs() []*Kind { return []*Kind{BatchPoints, BatchEnergy, BatchMask, b.context} }

func (b maBowl) Gradient(in map[*Kind]blas32.General) (float64, map[string]float64, error) {
	x, e, m, c := in[BatchPoints], in[BatchEnergy], in[BatchMask], in[b.context]
	loss := func() (sum float64) {
		for lo := 0; lo < x.Rows; lo += ContextRows {
			var mass, mean float64
			r := make([]float64, ContextRows)
			for k := range r {
				i := lo + k
				if c.Data[i] != c.Data[lo] {
					b.t.Fatalf("rows %d and %d of a batch have contexts %g and %g", lo, i, c.Data[lo], c.Data[i])
				}
				s := float64(b.theta[0])
				delta := float64(x.Data[i] - b.theta[1] - b.theta[2]*c.Data[i])
				y := s*delta - float64(b.theta[1]) - float64(b.theta[2])*float64(c.Data[i]) // ∇w − center
				r[k] = float64(e.Data[i]) - s*y*y/2 - float64(b.theta[3]*c.Data[i]) + math.Log(s)
				mass += float64(m.Data[i])
				mean += float64(m.Data[i]) * r[k]
			}
			for k := range r {
				sum += float64(m.Data[lo+k]) * math.Pow(r[k]-mean/mass, 2)
			}
			if want := float64(ContextRows) / float64(x.Rows); math.Abs(mass-want) > 1e-6 {
				b.t.Errorf("the weights of a context sum to %g, want %g", mass, want)
			}
		}
		return sum
	}
	for i, v := range b.theta {
		const h = 1e-3
		b.theta[i] = v + h
		above := loss()
		b.theta[i] = v - h
		b.grad[i] = float32((above - loss()) / (2 * h))
		b.theta[i] = v
	}
	return loss(), nil, nil
}

// groupsOf is a state for a batch of 4 contexts at a time, out of 8.
func groupsOf(t *testing.T, shares Shares) (*CMFMAState, error) {
	t.Helper()
	own, walk, _, err := shares.Split(ContextRows)
	if err != nil {
		t.Fatal(err)
	}
	const contexts = 8
	y, c, walkers := batch.New(contexts*own, 1), batch.New(contexts*own, 1), batch.New(contexts*walk, 1)
	for i := range c.Rows {
		c.Data[i] = float32(i/own)/4 - 1
	}
	random.New(1, "particles", 0).Normals(y.Data)
	model, err := NewConditionalState(y, c, y, y, 4*own, random.New(1, "run", 0))
	if err != nil {
		t.Fatal(err)
	}
	return NewCMFMAState(4*ContextRows, shares, model, walkers)
}

// CMFMA finds the potential of every context, although its energies differ by constants.
func TestCMFMAWithContexts(t *testing.T) {
	for _, shares := range []Shares{{Model: 1, Energy: 1}, {Model: 1, Energy: 1, Box: 2}} {
		state, err := groupsOf(t, shares)
		if err != nil {
			t.Fatal(err)
		}
		state.Walkers.Step = .5
		schedule, err := optim.NewSchedule("cosine", .01, 1500, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := maBowl{newSlopedBowl(), t}
		c := &CMFMA{
			Conditional: b, EnergyGiven: movedNormal{}, Objective: b, Box: Box{Lower: []float64{-9}, Upper: []float64{9}},
			Sampler: sampling.Langevin{Adjusted: true, Step: .5}, Conjugate: &conjugate.NewtonCG{},
			Adam: optim.Adam{LR: .04, Schedule: schedule}, State: state,
		}
		for range 1500 {
			if _, err := c.Step(); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range []float64{.5, 2. / 3, 1, 0} {
			if got := float64(b.theta[i]); math.Abs(got-want) > .01 {
				t.Errorf("%+v: weight %d is %.4f; want %.4f", shares, i, got, want)
			}
		}
		for g := range 4 { // the walkers among the points of a group are those of its context
			at, own := g*ContextRows+state.own, g*state.walk
			got, want := batch.Rows(state.points, at, at+state.walk), batch.Rows(state.moving.Y, own, own+state.walk)
			if !slices.Equal(got.Data[:state.walk], want.Data[:state.walk]) {
				t.Errorf("%+v: group %d has the points %g of walkers at %g", shares, g, got.Data, want.Data)
			}
		}
		// Walkers have the law of their context: N(2 + 3c, 8).
		walk := state.Walkers.Y.Rows / 8
		var off float64
		for g := range 8 {
			mean := batch.Means(batch.Rows(state.Walkers.Y, g*walk, (g+1)*walk))[0]
			off += math.Pow(mean-2-3*(float64(g)/4-1), 2) / (8 / float64(walk))
		}
		if off > 26 { // of χ² with 8 degrees of freedom
			t.Errorf("%+v: the means of the walkers of 8 contexts are off by %.1f standard errors squared in all", shares, off)
		}
	}
}

// Points at which an energy is not a number are replaced by others of their context, and have
// no weight; so has a context without any other.
func TestCMFMAWithContextsMasks(t *testing.T) {
	state, err := groupsOf(t, Shares{Model: 1, Energy: 1})
	if err != nil {
		t.Fatal(err)
	}
	state.Walkers.Step = .5
	b := newSlopedBowl()
	c := &CMFMA{Conditional: b, EnergyGiven: movedNormal{}, Objective: maBowl{b, t}, Sampler: sampling.Langevin{Adjusted: true, Step: .5}, Conjugate: &conjugate.NewtonCG{}, State: state}
	if _, err := c.Step(); err != nil {
		t.Fatal(err)
	}
	nowhere := float32(math.NaN())
	for i := range ContextRows + 1 { // the first context, and a row of the second
		state.points.Data[i] = nowhere
	}
	var info CMFMAInfo
	if err := c.evaluate(&info); err != nil {
		t.Fatal(err)
	}
	if info.Masked != ContextRows+1 {
		t.Errorf("%d rows are masked, want %d", info.Masked, ContextRows+1)
	}
	for i := range state.points.Rows {
		if !batch.AllFinite(batch.Row(state.points, i)) || !batch.AllFinite(batch.Row(state.energy, i)) {
			t.Fatalf("row %d is not finite", i)
		}
		if masked := i <= ContextRows; masked != (state.mask.Data[i] == 0) {
			t.Errorf("row %d has the weight %g", i, state.mask.Data[i])
		}
	}
	if from := ContextRows + 1; state.points.Data[ContextRows] != state.points.Data[from] || state.contexts.Data[0] != state.contexts.Data[from] {
		t.Error("a masked row is not filled from a usable one with its context")
	}
}

func TestCMFMAWithContextsRefuses(t *testing.T) {
	shares := Shares{Model: 1, Energy: 1}
	y, c := batch.New(64, 1), batch.New(64, 1)
	model, err := NewConditionalState(y, c, y, y, 32, random.New(1, "run", 0))
	if err != nil {
		t.Fatal(err)
	}
	uneven, err := NewConditionalState(y, batch.New(64, 1), y, y, 32, random.New(1, "run", 0))
	if err != nil {
		t.Fatal(err)
	}
	uneven.Given.Contexts.Data[3] = 1
	for _, v := range []struct {
		n, walkers int
		model      *CMFGenState
		want       string
	}{
		{60, 64, model, "a multiple of 16"},
		{48, 64, model, "minibatches of 32 particles for 3 contexts"},
		{128, 64, model, "minibatches of 32 particles for 8 contexts with 8 points"},
		{64, 32, model, "there must be 8 for each group of 8 particles, 64 in all"},
		{64, 64, uneven, "particle 4 has another context than particle 1"},
	} {
		if _, err := NewCMFMAState(v.n, shares, v.model, batch.New(v.walkers, 1)); err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("batches of %d with %d walkers: %v; want %q", v.n, v.walkers, err, v.want)
		}
	}
	if _, err := NewCMFMAState(ContextRows, shares, model, batch.New(16, 1)); err != nil {
		t.Errorf("a batch of one context: %v", err)
	}
	state, err := NewCMFMAState(64, shares, model, y)
	if err != nil {
		t.Fatal(err)
	}
	b := newSlopedBowl()
	for _, made := range []*CMFMA{
		{Conditional: b, Objective: maBowl{b, t}, State: state},
		{EnergyGiven: movedNormal{}, Objective: maBowl{b, t}, State: state},
	} {
		if _, err := made.Step(); err == nil || !strings.Contains(err.Error(), "needs a Conditional, an EnergyGiven") {
			t.Errorf("a part without the other: %v", err)
		}
	}
}

var _ potential.Conditional = maBowl{}
