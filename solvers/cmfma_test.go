package solvers

import (
	"errors"
	"fmt"
	"math"
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

// dish is w(x) = ½a|x|² with one weight a.
type dish struct {
	d    int
	a, g []float32
}

func (b *dish) Dim() int { return b.d }

func (b *dish) Inputs() []*Kind { return []*Kind{BatchPoints, BatchEnergy, BatchMask} }

func (b *dish) Weights() []optim.Weight { return []optim.Weight{{Name: "a", Value: b.a, Grad: b.g}} }

func (b *dish) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		var s float32
		for k, v := range batch.Row(x, i) {
			s += v * v
			if grad.Data != nil {
				batch.Row(grad, i)[k] = b.a[0] * v
			}
		}
		if value != nil {
			value[i] = b.a[0] * s / 2
		}
	}
	return nil
}

// Gradient is the gradient of the variance of r(x) = E(x) − ½a³|x|² + d·log a.
func (b *dish) Gradient(in map[*Kind]blas32.General) (float64, map[string]float64, error) {
	x, e, m := in[BatchPoints], in[BatchEnergy], in[BatchMask]
	a := float64(b.a[0])
	r, dr := make([]float64, x.Rows), make([]float64, x.Rows)
	var mean, slope float64
	for i := range x.Rows {
		var s float64
		for _, v := range batch.Row(x, i) {
			s += float64(v) * float64(v)
		}
		r[i] = float64(e.Data[i]) - a*a*a*s/2
		dr[i] = -1.5 * a * a * s
		mean += float64(m.Data[i]) * r[i]
		slope += float64(m.Data[i]) * dr[i]
	}
	var loss, g float64
	for i := range r {
		loss += float64(m.Data[i]) * (r[i] - mean) * (r[i] - mean)
		g += 2 * float64(m.Data[i]) * (r[i] - mean) * (dr[i] - slope)
	}
	b.g[0] = float32(g)
	return loss, map[string]float64{"variance": loss}, nil
}

// normalEnergy is the energy of N(0, v·I), spoilt wherever spoil says so.
type normalEnergy struct {
	d     int
	v     float64
	spoil func(x []float32) (float32, bool)
}

func (n normalEnergy) Dim() int { return n.d }

func (n normalEnergy) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		var s float64
		for k, v := range batch.Row(x, i) {
			s += float64(v) * float64(v)
			if grad.Data != nil {
				batch.Row(grad, i)[k] = v / float32(n.v)
			}
		}
		if value != nil {
			value[i] = float32(s / 2 / n.v)
			if n.spoil != nil {
				if v, ok := n.spoil(batch.Row(x, i)); ok {
					value[i] = v
				}
			}
		}
	}
	return nil
}

func newCMFMA(t *testing.T, d, n int, shares Shares, e Energy) (*CMFMA, *dish) {
	t.Helper()
	b := &dish{d: d, a: []float32{1}, g: []float32{0}}
	y := batch.New(n, d)
	random.New(1, "particles", 0).Normals(y.Data)
	model, err := NewCMFGenState(y, y, n, random.New(1, "run", 0))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewCMFMAState(n, shares, model, y)
	if err != nil {
		t.Fatal(err)
	}
	if s.Walkers != nil {
		s.Walkers.Step = .1
	}
	box := Box{make([]float64, d), make([]float64, d)}
	for k := range d {
		box.Lower[k], box.Upper[k] = -4, 4
	}
	return &CMFMA{
		Potential: b, Objective: b, Energy: e, Box: box, State: s,
		Sampler: sampling.Langevin{Adjusted: true, Step: .5}, Conjugate: &conjugate.BarzilaiBorwein{}, Adam: optim.Adam{LR: .02},
	}, b
}

// For N(0, v·I) the potential is ½v^{-1/3}|x|², wherever the points come from. It does
// no harm if the energy has no value on a part of the plane.
func TestCMFMAFindsTheClosedForm(t *testing.T) {
	nan := func(x []float32) (float32, bool) { return float32(math.NaN()), x[0] > 1 }
	inf := func(x []float32) (float32, bool) { return float32(math.Inf(1)), x[0] > 1 }
	for name, c := range map[string]struct {
		shares Shares
		spoil  func(x []float32) (float32, bool)
	}{
		"half and half":     {},
		"the model":         {shares: Shares{Model: 1}},
		"the energy":        {shares: Shares{Energy: 1}},
		"a box":             {shares: Shares{Box: 1}},
		"all":               {shares: Shares{1, 1, 1}},
		"not a number":      {shares: Shares{1, 1, 1}, spoil: nan},
		"vanishing density": {shares: Shares{1, 1, 1}, spoil: inf},
	} {
		t.Run(name, func(t *testing.T) {
			e := normalEnergy{d: 2, v: 3, spoil: c.spoil}
			m, b := newCMFMA(t, 2, 96, c.shares, e)
			masked := 0
			for range 400 {
				info, err := m.Step()
				if err != nil {
					t.Fatal(err)
				}
				masked += info.Masked
			}
			want := math.Pow(3, -1./3)
			if got := float64(b.a[0]); !(math.Abs(got-want) <= 1e-3*want) {
				t.Errorf("a = %g, want %g", got, want)
			}
			if spoilt := c.spoil != nil; spoilt != (masked > 0) {
				t.Errorf("%d rows masked", masked)
			}
			if m.State.Evaluations < 400*96 {
				t.Errorf("%d evaluations of the energy in 400 batches of 96", m.State.Evaluations)
			}
		})
	}
}

// Energies far above the others grow as a logarithm and keep their order. A batch that
// is far off as a whole is judged by its own median.
func TestCMFMAClips(t *testing.T) {
	m, _ := newCMFMA(t, 1, 64, Shares{Box: 1}, normalEnergy{d: 1, v: 1e-3})
	m.Cut = 10
	info, err := m.Step()
	if err != nil {
		t.Fatal(err)
	}
	if info.Clipped == 0 || info.Clipped > 32 {
		t.Errorf("%d of 64 points clipped, want some, and at most half", info.Clipped)
	}
	s := m.State
	for i := range 64 {
		for j := range 64 {
			x, y := math.Abs(float64(s.points.Data[i])), math.Abs(float64(s.points.Data[j]))
			if x < y && !(s.energy.Data[i] < s.energy.Data[j]) {
				t.Fatalf("E(%g) = %g, E(%g) = %g after clipping", x, s.energy.Data[i], y, s.energy.Data[j])
			}
		}
	}
}

func TestCMFMAErrors(t *testing.T) {
	m, _ := newCMFMA(t, 1, 8, Shares{Box: 1}, normalEnergy{d: 1, v: 1, spoil: func([]float32) (float32, bool) { return float32(math.NaN()), true }})
	if steps, err := untilError(m.Step); !errors.Is(err, ErrDiverged) || !errors.Is(err, potential.ErrEnergy) || steps > 30 {
		t.Errorf("an energy that is nowhere finite: error %v after %d steps", err, steps)
	}
	m, _ = newCMFMA(t, 2, 8, Shares{Box: 1}, normalEnergy{d: 2, v: 1})
	m.Box = Box{}
	if _, err := m.Step(); err == nil || !strings.Contains(err.Error(), "box") {
		t.Errorf("no box: error %v", err)
	}
	for _, s := range []Shares{{Model: -1, Energy: 2}, {Model: math.NaN()}, {Box: math.Inf(1)}} {
		if _, _, _, err := s.Split(10); err == nil || !strings.Contains(err.Error(), "shares") {
			t.Errorf("%v: error %v", s, err)
		}
	}
	for _, b := range []Box{{Lower: []float64{-1}, Upper: []float64{1, 1}}, {Lower: []float64{-1, -1}, Upper: []float64{1}}, {Lower: make([]float64, 3), Upper: make([]float64, 3)}} {
		m.Box = b
		if _, err := m.Step(); err == nil || !strings.Contains(err.Error(), "for points of 2 coordinates") {
			t.Errorf("%v: error %v", b, err)
		}
	}
	m, _ = newCMFMA(t, 2, 8, Shares{Energy: 1}, normalEnergy{d: 2, v: 1})
	m.Box = Box{}
	if _, err := m.Step(); err != nil {
		t.Errorf("no box for no points of it: error %v", err)
	}
	y := batch.New(4, 2)
	model, err := NewCMFGenState(y, y, 4, random.New(1, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		n       int
		walkers blas32.General
	}{
		"8 points from 4 particles": {16, batch.New(8, 2)},
		"2 or more":                 {1, batch.New(8, 2)},
		"from 3 walkers":            {8, batch.New(3, 2)},
		"3 coordinates":             {8, batch.New(8, 3)},
	} {
		if _, err := NewCMFMAState(c.n, Shares{}, model, c.walkers); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

// Particles that have run away begin again where the walkers are, or the images of the bank where
// there are no walkers, and training goes on to the closed form. Where there are walkers, what the
// images of the bank were does not matter.
func TestCMFMAParticlesComeBack(t *testing.T) {
	for name, shares := range map[string]Shares{"with walkers": {}, "without": {Model: 1}} {
		m, w := newCMFMA(t, 2, 64, shares, normalEnergy{d: 2, v: 2})
		for i := range m.State.Bank.Y.Data {
			m.State.Bank.Y.Data[i] *= 1e5
			if m.State.Walkers != nil {
				m.State.Partners.Data[i] = float32(math.NaN())
			}
		}
		m.State.Bank.Fresh = false
		info, err := m.Step()
		if err != nil || !info.RanAway {
			t.Fatalf("%s: ran away %v, error %v", name, info.RanAway, err)
		}
		for _, v := range m.State.Bank.Y.Data {
			if math.Abs(float64(v)) > 20 {
				t.Fatalf("%s: a particle stayed at %g", name, v)
			}
		}
		for range 400 {
			if info, err := m.Step(); err != nil || info.RanAway {
				t.Fatalf("%s: going on: ran away %v, error %v", name, info.RanAway, err)
			}
		}
		if want := math.Pow(2, -1./3); math.Abs(float64(w.a[0])-want) > .03 {
			t.Errorf("%s: a = %g, want %g", name, w.a[0], want)
		}
	}
}

// Walkers find the law of the energy from where it has hardly any mass.
func TestCMFMAWalkersMove(t *testing.T) {
	m, _ := newCMFMA(t, 2, 64, Shares{Energy: 1}, normalEnergy{d: 2, v: 2})
	walkers := m.State.Walkers.Y
	for i := range walkers.Data {
		walkers.Data[i] += 12
	}
	sum, squares, n := 0.0, 0.0, 0.0
	for step := range 300 {
		if _, err := m.Step(); err != nil {
			t.Fatal(err)
		}
		if step < 200 {
			continue
		}
		for _, v := range walkers.Data {
			sum, squares, n = sum+float64(v), squares+float64(v)*float64(v), n+1
		}
	}
	mean := sum / n
	if variance := squares/n - mean*mean; math.Abs(mean) > .2 || math.Abs(variance-2) > .3 {
		t.Errorf("walkers have mean %.3f and variance %.3f, want 0 and 2", mean, variance)
	}
}

// However shares are rounded, the parts are counts that add to n, each within a point of its
// share, and what has no share gets nothing.
func TestSplitAddsUp(t *testing.T) {
	shares := []float64{0, 1e-9, .5, 1, 1.5, 3}
	for n := range 40 {
		for _, s := range []Shares{{}, {Box: 1e-18}, {Box: 1}} {
			for _, s.Model = range shares {
				for _, s.Energy = range shares {
					total := s.Model + s.Energy + s.Box
					if total == 0 {
						continue
					}
					model, energy, box, err := s.Split(n)
					if err != nil || model+energy+box != n || min(model, energy, box) < 0 {
						t.Fatalf("%d points by %+v: %d, %d and %d, %v", n, s, model, energy, box, err)
					}
					for _, part := range []struct {
						got   int
						share float64
					}{{model, s.Model}, {energy, s.Energy}, {box, s.Box}} {
						if want := float64(n) * part.share / total; math.Abs(float64(part.got)-want) > 1 || part.share == 0 && part.got != 0 {
							t.Errorf("%d points by %+v: %d, %d and %d", n, s, model, energy, box)
						}
					}
				}
			}
		}
	}
}

// Points of a box count less the higher their energy lies above the level: by a factor e for each
// quarter of the cut. Those of the model count alike, and what is not usable counts nothing.
func TestPointsOfABoxAreWeighed(t *testing.T) {
	energy := normalEnergy{d: 1, v: 1, spoil: func(x []float32) (float32, bool) { return float32(math.Inf(1)), x[0] > 3 }}
	m, _ := newCMFMA(t, 1, 64, Shares{Model: 1, Box: 3}, energy)
	m.Cut = 8
	if _, err := m.Step(); err != nil {
		t.Fatal(err)
	}
	s := m.State
	sum, most, inBox := 0.0, 0.0, 0
	for i := range s.points.Rows {
		sum += float64(s.mask.Data[i])
		most = max(most, float64(s.mask.Data[i]))
	}
	if math.Abs(sum-1) > 1e-5 {
		t.Errorf("the weights add to %g", sum)
	}
	for i := range s.own {
		if w := float64(s.mask.Data[i]); math.Abs(w-most) > 1e-6*most {
			t.Errorf("point %d of the model has weight %g, others %g", i, w, most)
		}
	}
	// Two points of the box above the level differ by their energies alone.
	for i := s.own; i < s.points.Rows; i++ {
		for j := s.own; j < i; j++ {
			v, w := float64(s.mask.Data[i]), float64(s.mask.Data[j])
			if v == 0 || w == 0 || v > .999*most || w > .999*most {
				continue
			}
			inBox++
			if got, want := math.Log(w/v), float64(s.energy.Data[i]-s.energy.Data[j])/2; math.Abs(got-want) > 1e-3 {
				t.Fatalf("energies %g and %g: log weights differ by %g, want %g", s.energy.Data[i], s.energy.Data[j], got, want)
			}
		}
	}
	if inBox < 10 {
		t.Errorf("only %d pairs were compared", inBox)
	}
}

func ExampleShares_Split() {
	fmt.Println(Shares{Model: 2, Energy: 1, Box: 1}.Split(100))
	fmt.Println(Shares{}.Split(7))
	// Output:
	// 50 25 25 <nil>
	// 4 3 0 <nil>
}
