package layers

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/solvers/random"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// units are the kinds of hidden units, and a maximum rounded over another width.
var units = []Architecture{{}, {Unit: Maximum}, {Unit: Maximum, Tau: .3}}

// everything has every optional part.
func (a Architecture) everything(d int, hidden ...int) Architecture {
	a.Dim, a.Hidden = d, hidden
	a.DiagonalSkips, a.Rank, a.Knots, a.Rotated, a.Full = true, 2, 2, true, true
	return a
}

// full is a small float64 network with every optional part, weights in general
// position.
func full(t testing.TB, unit Architecture, d int, hidden ...int) *ICNN {
	t.Helper()
	unit.Float64 = true
	return single(t, unit.everything(d, hidden...))
}

func randomise(m *ICNN, seed uint64) {
	r := random.Seeded(seed, 7)
	for _, p := range m.Params().All() {
		p.Fill(func(int) float64 {
			v := .4 * r.NormFloat64()
			if p.NonNegative || p == m.Floor {
				return math.Abs(v) + .05
			}
			return v
		})
	}
}

func points(s *graph.Scope, n, d int) *gorgonia.Node { return s.Input("x", n, d) }

func fillNormal(m graph.Matrix, seed uint64) {
	r := random.Seeded(seed, 3)
	for i := range m.Rows * m.Cols {
		v := r.NormFloat64()
		if m.F32 != nil {
			m.F32[i] = float32(v)
		} else {
			m.F64[i] = v
		}
	}
}

func run(t testing.TB, p *graph.Program) {
	t.Helper()
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
}

func compile(t testing.TB, s *graph.Scope, out map[string]*gorgonia.Node) *graph.Program {
	t.Helper()
	p, err := s.Compile(out)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The explicit gradient and Hessian–vector network must be what reverse mode
// makes of the value.
func TestExplicitDerivatives(t *testing.T) {
	for _, unit := range units {
		testExplicitDerivatives(t, full(t, unit, 3, 5, 4, 3))
		for _, a := range convolved() {
			a.Unit, a.Tau, a.Float64 = unit.Unit, unit.Tau, true
			testExplicitDerivatives(t, single(t, a))
		}
	}
}

func testExplicitDerivatives(t *testing.T, m *ICNN) {
	const n = 4
	d := m.Dim()
	s := graph.NewScope(tensor.Float64)
	x, v := points(s, n, d), s.Input("v", 2*n, d)
	g := m.Gradient(s, x)
	gradW := s.Grad(m.Value(s, x), x)[0]
	hv := m.HessVec(s, x, v, 2)
	// H·v by differentiating ⟨∇w, v⟩ for both directions.
	gv := s.Grad(s.Mul(s.Tile(2, s.Grad(m.Value(s, x), x)[0]), v), x)[0] // sum over directions
	p := compile(t, s, map[string]*gorgonia.Node{"g": g, "grad": gradW, "hv": hv, "sum": gv, "hess": Hessian(s, m, x)})
	fillNormal(p.In("x"), 1)
	fillNormal(p.In("v"), 2)
	run(t, p)
	for i := range n {
		for j := range d {
			if a, b := p.Out("g").At(i, j), p.Out("grad").At(i, j); math.Abs(a-b) > 1e-12*(1+math.Abs(a)) {
				t.Errorf("∇w[%d,%d]: explicit %v, reverse mode %v", i, j, a, b)
			}
			if a, b := p.Out("hv").At(i, j)+p.Out("hv").At(n+i, j), p.Out("sum").At(i, j); math.Abs(a-b) > 1e-11*(1+math.Abs(a)) {
				t.Errorf("Hv[%d,%d]: explicit %v, reverse mode %v", i, j, a, b)
			}
			var want float64
			for k := range d {
				want += p.Out("hess").At(i, j*d+k) * p.In("v").At(i, k)
			}
			if a := p.Out("hv").At(i, j); math.Abs(a-want) > 1e-11*(1+math.Abs(a)) {
				t.Errorf("Hv[%d,%d] %v, from the Hessian %v", i, j, a, want)
			}
		}
	}
}

// A softplus is the maximum of a piece and 0.
func TestSoftplusIsAMaximum(t *testing.T) {
	const n, d = 5, 3
	one, two := full(t, Architecture{}, d, 5, 4, 3), full(t, Architecture{Unit: Maximum}, d, 5, 4, 3)
	for _, p := range two.Params().All() {
		p.Fill(func(int) float64 { return 0 })
		if q := one.Params().ByName(p.Name); q != nil {
			p.Fill(q.At)
		} else if !strings.Contains(p.Name, ".second.") {
			t.Errorf("%s has no counterpart in a network of softplus", p.Name)
		}
	}
	out := make([]*graph.Program, 2)
	for i, m := range []*ICNN{one, two} {
		s := graph.NewScope(tensor.Float64)
		x, v := points(s, n, d), s.Input("v", 2*n, d)
		out[i] = compile(t, s, map[string]*gorgonia.Node{"w": m.Value(s, x), "g": m.Gradient(s, x), "hv": m.HessVec(s, x, v, 2)})
		fillNormal(out[i].In("x"), 1)
		fillNormal(out[i].In("v"), 2)
		run(t, out[i])
	}
	for _, name := range []string{"w", "g", "hv"} {
		want := out[0].Out(name).F64
		for i, v := range out[1].Out(name).F64 {
			if math.Abs(v-want[i]) > 1e-13*(1+math.Abs(v)) {
				t.Errorf("%s[%d] is %v, want %v", name, i, v, want[i])
			}
		}
	}
}

// A loss with log det ∇²w: its gradient in every weight against central
// differences.
func TestLogDetLossFiniteDifferences(t *testing.T) {
	if testing.Short() {
		t.Skip("slow under the race detector, and of one thread")
	}
	for _, c := range []struct {
		unit Architecture
		d    int
	}{{units[0], 2}, {units[0], 5}, {units[1], 2}, {units[2], 5}} {
		d := c.d
		m := full(t, c.unit, d, 6, 5)
		loss := func(s *graph.Scope) *gorgonia.Node {
			x := points(s, 7, d)
			r := s.Sub(s.LogDet(d, Hessian(s, m, x)), m.Value(s, m.Gradient(s, x)))
			r = s.Sub(r, s.Mean(r))
			return s.Mean(s.Square(r))
		}
		if worst, name := worstGradient(t, m, loss); worst > 1e-6 {
			t.Errorf("%+v, d=%d: relative error %.2g in %s; want ≤ 1e-6", c.unit, d, worst, name)
		} else {
			t.Logf("%+v, d=%d: largest relative error %.2g", c.unit, d, worst)
		}
	}
}

// worstGradient compares the gradient of a loss in all weights with central
// differences; the error is relative to the largest gradient entry of the
// weight.
func worstGradient(t testing.TB, m Potential, loss func(*graph.Scope) *gorgonia.Node) (worst float64, name string) {
	t.Helper()
	s := graph.NewScope(tensor.Float64)
	l := loss(s)
	ps := m.Params().Trained()
	out := map[string]*gorgonia.Node{"loss": l}
	nodes := make([]*gorgonia.Node, len(ps))
	for i, p := range ps {
		nodes[i] = s.Param(p)
	}
	for i, g := range s.Grad(l, nodes...) {
		if g != nil {
			out[ps[i].Name] = g
		}
	}
	p := compile(t, s, out)
	fillNormal(p.In("x"), 5)
	value := func() float64 { run(t, p); return p.Out("loss").At(0, 0) }
	for _, w := range ps {
		value()
		var got []float64
		if out[w.Name] == nil {
			got = make([]float64, w.Len())
		} else {
			got = append(got, p.Out(w.Name).F64...)
		}
		var scale float64
		for _, g := range got {
			scale = max(scale, math.Abs(g))
		}
		for i := range w.Len() {
			const h = 1e-4
			at := w.At(i)
			diff := func(h float64) float64 {
				w.Set(i, at+h)
				up := value()
				w.Set(i, at-h)
				return (up - value()) / (2 * h)
			}
			// Richardson extrapolation: error O(h⁴).
			want := (4*diff(h/2) - diff(h)) / 3
			w.Set(i, at)
			if e := math.Abs(got[i]-want) / max(scale, 1e-3); e > worst {
				worst, name = e, fmt.Sprintf("%s[%d]", w.Name, i)
			}
		}
	}
	return worst, name
}

// TapeMachine is the cross-check of our own machine.
func TestTapeMachineAgrees(t *testing.T) {
	for _, unit := range units {
		testTapeMachineAgrees(t, unit.everything(3, 5, 4))
		filtered := convolved()[0]
		filtered.Unit, filtered.Tau = unit.Unit, unit.Tau
		testTapeMachineAgrees(t, filtered)
	}
}

func testTapeMachineAgrees(t *testing.T, a Architecture) {
	a.Float64 = true
	results := make(map[string]graph.Matrix)
	for _, machine := range graph.Machines {
		if err := graph.UseMachine(machine); err != nil {
			t.Fatal(err)
		}
		defer graph.UseMachine("plan")
		m := single(t, a)
		s := graph.NewScope(tensor.Float64)
		x := points(s, 4, a.Dim)
		h := Hessian(s, m, x)
		l := s.Mean(s.Mul(s.LogDet(a.Dim, h), m.Value(s, x)))
		out := map[string]*gorgonia.Node{"loss": l, "g": m.Gradient(s, x), "h": h}
		for _, w := range m.Params().Trained() {
			out["∂"+w.Name] = s.Grad(l, s.Param(w))[0]
		}
		p := compile(t, s, out)
		for range 2 { // the second run must not see what the first left
			fillNormal(p.In("x"), 1)
			run(t, p)
		}
		for name := range out {
			got := p.Out(name)
			if machine == "plan" {
				got.F64 = append([]float64(nil), got.F64...)
				results[name] = got
				continue
			}
			for i, v := range got.F64 {
				if want := results[name].F64[i]; math.Abs(v-want) > 1e-12*(1+math.Abs(want)) {
					t.Fatalf("%s[%d]: tape %v, plan %v", name, i, v, want)
				}
			}
		}
	}
}
