package losses

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/random"

	"gorgonia.org/gorgonia"
)

// potential is the network in three dimensions.
func potential(t testing.TB, float64s bool) *layers.ICNN { return network(t, 3, float64s) }

// network is a small network on ℝᵈ with every optional part, weights in general
// position.
func network(t testing.TB, d int, float64s bool) *layers.ICNN {
	t.Helper()
	return networkOf(t, layers.Softplus, d, float64s)
}

func networkOf(t testing.TB, unit layers.Unit, d int, float64s bool) *layers.ICNN {
	t.Helper()
	m, err := layers.NewICNN(layers.Architecture{Dim: d, Hidden: []int{5, 4}, Unit: unit, DiagonalSkips: true, Rank: 2, Knots: 2, Rotated: true, Full: true, Float64: float64s})
	if err != nil {
		t.Fatal(err)
	}
	randomise(m)
	return m
}

// randomise puts the weights of m in general position.
func randomise(m *layers.ICNN) {
	r := random.Seeded(1, 2)
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

// sum parses a specification that must be right.
func sum(t testing.TB, spec string, extra ...Term) Sum {
	t.Helper()
	s, err := Parse(spec, extra...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fill draws the inputs of a loss; a mask has equal weights.
func fill(p *graph.Program, sum Sum) {
	for k, kind := range sum.Inputs() {
		r := random.Seeded(uint64(k), 9)
		in := p.In(kind.Name)
		for i := range in.Rows * in.Cols {
			v := r.NormFloat64()
			if kind == solvers.BatchMask {
				v = 1 / float64(in.Rows)
			}
			if in.F32 != nil {
				in.F32[i] = float32(v)
			} else {
				in.F64[i] = v
			}
		}
	}
}

// The gradients of every term, and of sums, in every weight are compared with central
// differences.
func TestGradients(t *testing.T) {
	for _, spec := range []string{"dual+0.1*pairs", "curl", "3*curl+dual"} {
		checkGradient(t, potential(t, true), sum(t, spec, curl{}))
	}
	for _, c := range []struct {
		unit layers.Unit
		d    int
	}{{layers.Softplus, 2}, {layers.Softplus, 5}, {layers.Maximum, 2}, {layers.Maximum, 5}} {
		for _, term := range Known() {
			m := networkOf(t, c.unit, c.d, true)
			// If a relu is 0 for all rows, its gradient is 0.
			switch term := term.(type) {
			case Penalty:
				for _, p := range term.relaxes(m) {
					p.Fill(func(i int) float64 { return p.At(i) - .3 })
				}
			case Growth:
				straighten(m)
			}
			checkGradient(t, m, Sum{{1, term}})
		}
	}
}

// straighten weakens everything in m that grows faster than its hinges.
func straighten(m *layers.ICNN) {
	for _, layer := range m.Layers {
		for _, piece := range layer {
			for _, p := range append(piece.Ranks, piece.Diag, m.Root, m.Share, m.Floor) {
				p.Fill(func(i int) float64 { return .01 * p.At(i) })
			}
		}
	}
}

// checkGradient compares the gradient of a loss in every weight with central
// differences: to 1e-6 of the largest entry of the weight's gradient.
func checkGradient(t *testing.T, m *layers.ICNN, sum Sum) {
	t.Helper()
	p, trained, err := Compile(m, sum, 6)
	if err != nil {
		t.Fatal(err)
	}
	fill(p, sum)
	loss := func() float64 {
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		return p.Out("loss").At(0, 0)
	}
	var worst, largest float64
	var where string
	var checked int
	gradients := make(map[*graph.Param][]float64)
	loss()
	for _, w := range trained {
		gradients[w] = append([]float64(nil), p.Out(gradient(w)).F64...)
	}
	weights := m.Params().Trained()
	for _, w := range trained {
		if !slices.Contains(weights, w) {
			weights = append(weights, w) // a weight of a term
		}
	}
	for _, w := range weights {
		got := gradients[w]
		if got == nil {
			got = make([]float64, w.Len())
		}
		scale := 1e-2
		for _, g := range got {
			scale = max(scale, math.Abs(g))
			largest = max(largest, math.Abs(g))
		}
		// About every seventh entry of a long weight is checked.
		for i := 0; i < w.Len(); i += 1 + w.Len()/512*7 {
			v := w.At(i)
			at := func(v float64) float64 { w.Set(i, v); return loss() }
			diff := func(h float64) float64 { return (at(v+h) - at(v-h)) / (2 * h) }
			const h = 1e-3
			want := (4*diff(h/2) - diff(h)) / 3 // Richardson: error O(h⁴)
			w.Set(i, v)
			checked++
			if e := math.Abs(got[i]-want) / scale; !(e <= worst) {
				worst, where = e, fmt.Sprintf("%s[%d]", w.Name, i)
			}
		}
	}
	if !(worst <= 1e-6) {
		t.Errorf("%s on ℝ^%d: relative error %.2g in %s; want ≤ 1e-6", sum, m.Dim(), worst, where)
	}
	if checked < m.Params().Count() || largest == 0 {
		t.Errorf("%s on ℝ^%d: %d weights checked, largest gradient %g", sum, m.Dim(), checked, largest)
	}
	t.Logf("%s on ℝ^%d: largest relative error of the gradient %.2g, over %d weights", sum, m.Dim(), worst, checked)
}

// The gradient of dual is E_data[∂w] − E_generated[∂w], and its value is that of its
// formula.
func TestDual(t *testing.T) {
	const n = 5
	m := potential(t, true)
	sum := sum(t, "dual")
	p, trained, err := Compile(m, sum, n)
	if err != nil {
		t.Fatal(err)
	}
	fill(p, sum)
	p.In(solvers.BatchMask.Name).F64[2] = 0
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	s := graph.NewScope(m.Params().Dtype())
	x, xhat, mask := s.Input("x", n, 3), s.Input("xhat", n, 3), s.Input("mask", n, 1)
	value, conjugate := m.Value(s, x), m.Value(s, xhat)
	out := map[string]*gorgonia.Node{"data": value, "generated": conjugate}
	for _, w := range trained {
		out["data "+w.Name] = s.Grad(s.Mean(value), s.Param(w))[0]
		out["generated "+w.Name] = s.Grad(s.Mul(mask, conjugate), s.Param(w))[0]
	}
	q, err := s.Compile(out)
	if err != nil {
		t.Fatal(err)
	}
	copy(q.In("x").F64, p.In(solvers.BatchData.Name).F64)
	copy(q.In("xhat").F64, p.In(solvers.BatchConjugate.Name).F64)
	copy(q.In("mask").F64, p.In(solvers.BatchMask.Name).F64)
	if err := q.Run(); err != nil {
		t.Fatal(err)
	}
	for _, w := range trained {
		a, b := q.Out("data "+w.Name).F64, q.Out("generated "+w.Name).F64
		for i, g := range p.Out(gradient(w)).F64 {
			if want := a[i] - b[i]; math.Abs(g-want) > 1e-13*(1+math.Abs(a[i])) {
				t.Errorf("%s[%d]: %v, E_data − E_generated is %v", w.Name, i, g, want)
			}
		}
	}
	var want float64
	for i := range n {
		want += q.Out("data").At(i, 0) / n
		inner := -q.Out("generated").At(i, 0)
		for j := range 3 {
			inner += p.In(solvers.BatchConjugate.Name).At(i, j) * p.In(solvers.BatchGibbs.Name).At(i, j)
		}
		want += p.In(solvers.BatchMask.Name).At(i, 0) * inner
	}
	if got := p.Out("loss").At(0, 0); math.Abs(got-want) > 1e-13 {
		t.Errorf("loss %v, want %v", got, want)
	}
}

// The value of pairs is the mean squared distance of ∇w(x_i) from y_σ(i), by a
// separate evaluation of the gradient.
func TestPairs(t *testing.T) {
	const n = 4
	m := potential(t, true)
	sum := sum(t, "pairs")
	p, _, err := Compile(m, sum, n)
	if err != nil {
		t.Fatal(err)
	}
	fill(p, sum)
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	s := graph.NewScope(m.Params().Dtype())
	x := s.Input("x", n, 3)
	q, err := s.Compile(map[string]*gorgonia.Node{"g": s.Grad(m.Value(s, x), x)[0]})
	if err != nil {
		t.Fatal(err)
	}
	copy(q.In("x").F64, p.In(solvers.BatchData.Name).F64)
	if err := q.Run(); err != nil {
		t.Fatal(err)
	}
	var want float64
	for i := range n {
		for j := range 3 {
			r := q.Out("g").At(i, j) - p.In(solvers.BatchPaired.Name).At(i, j)
			want += r * r / n
		}
	}
	if got := p.Out("loss").At(0, 0); math.Abs(got-want) > 1e-12*want {
		t.Errorf("loss %v, want %v", got, want)
	}
}

// A row of weight 0 has no effect.
func TestMask(t *testing.T) {
	const n = 6
	m := potential(t, true)
	sum := sum(t, "dual")
	p, trained, err := Compile(m, sum, n)
	if err != nil {
		t.Fatal(err)
	}
	fill(p, sum)
	mask := p.In(solvers.BatchMask.Name).F64
	for i := range mask {
		mask[i] = 1. / (n - 1)
	}
	mask[3] = 0
	results := func() (r [][]float64) {
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		r = append(r, append([]float64(nil), p.Out("loss").F64...))
		for _, w := range trained {
			r = append(r, append([]float64(nil), p.Out(gradient(w)).F64...))
		}
		return r
	}
	before := results()
	for j := range 3 {
		p.In(solvers.BatchConjugate.Name).F64[3*3+j] = 50
		p.In(solvers.BatchGibbs.Name).F64[3*3+j] = -70
	}
	after := results()
	for k := range before {
		for i, v := range before[k] {
			if math.Abs(after[k][i]-v) > 1e-13*(1+math.Abs(v)) {
				t.Fatalf("result %d[%d] goes from %v to %v with a masked row", k, i, v, after[k][i])
			}
		}
	}
	mask[3] = .1
	if moved := results(); moved[0][0] == before[0][0] {
		t.Error("a row that counts changes nothing")
	}
}
