package layers

import (
	"math"
	"testing"

	"cmf/graph"
	"cmf/solvers/random"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"
)

// Whatever the weights before projection, w is convex along every segment,
//
//	w(tx + (1−t)y) ≤ t·w(x) + (1−t)·w(y) − ½·μ·t(1−t)·‖x − y‖²
//
// and ∇w is monotone, ⟨∇w(x) − ∇w(y), x − y⟩ ≥ μ‖x − y‖², with μ = min s where the
// quadratic is along the axes, and 0 elsewhere.
func TestConvexity(t *testing.T) {
	const n = 8 // segments per network
	rapid.Check(t, func(rt *rapid.T) {
		d := rapid.IntRange(1, 4).Draw(rt, "d")
		var filters []Convolution
		if d == 4 && rapid.Bool().Draw(rt, "convolutions") {
			filters = [][]Convolution{
				{{3, 1, 1, 0}, {2, 2, 1, 0}}, {{2, 2, 1, 1}, {3, 2, 2, 1}, {2, 2, 1, 0}},
			}[rapid.IntRange(0, 1).Draw(rt, "filters")]
		}
		m := single(t, Architecture{
			Dim:           d,
			Hidden:        rapid.SliceOfN(rapid.IntRange(1, 6), 1, 3).Draw(rt, "hidden"),
			Picture:       [3]int{2, 2, 1},
			Convolutions:  filters,
			DiagonalSkips: rapid.Bool().Draw(rt, "diagonal skips"),
			Rank:          rapid.IntRange(0, 2).Draw(rt, "rank"),
			Rotated:       rapid.Bool().Draw(rt, "rotated"),
			Full:          rapid.Bool().Draw(rt, "full"),
			Unit:          rapid.SampledFrom([]Unit{Softplus, Maximum}).Draw(rt, "unit"),
			Float64:       true,
		})
		r := random.Seeded(rapid.Uint64().Draw(rt, "seed"), 1)
		scale := rapid.Float64Range(.1, 2).Draw(rt, "scale")
		for _, p := range m.Params().All() {
			p.Fill(func(int) float64 { return scale * r.NormFloat64() })
		}
		m.Floor.Fill(func(int) float64 { return .1 + math.Abs(r.NormFloat64()) })
		m.Project()
		modulus := math.Inf(1)
		for i := range d {
			modulus = min(modulus, m.Floor.At(i))
		}
		if m.Rotated { // by a matrix that is not orthogonal here
			modulus = 0
		}

		s := graph.NewScope(tensor.Float64)
		x := points(s, 3*n, d) // x, y and the points between
		p := compile(t, s, map[string]*gorgonia.Node{"w": m.Value(s, x), "g": m.Gradient(s, x)})
		in := p.In("x").F64
		ts := make([]float64, n)
		for i := range n {
			ts[i] = r.Float64()
			for j := range d {
				a, b := 3*r.NormFloat64(), 3*r.NormFloat64()
				in[i*d+j], in[(n+i)*d+j], in[(2*n+i)*d+j] = a, b, ts[i]*a+(1-ts[i])*b
			}
		}
		run(t, p)
		w, g := p.Out("w"), p.Out("g")
		for i := range n {
			var square, monotone float64
			for j := range d {
				e := in[i*d+j] - in[(n+i)*d+j]
				square += e * e
				monotone += (g.At(i, j) - g.At(n+i, j)) * e
			}
			a, b := w.At(i, 0), w.At(n+i, 0)
			chord := ts[i]*a + (1-ts[i])*b - .5*modulus*ts[i]*(1-ts[i])*square
			if rounding := 1e-12 * (1 + math.Abs(a) + math.Abs(b)); w.At(2*n+i, 0) > chord+rounding {
				rt.Fatalf("w lies %v above its chord", w.At(2*n+i, 0)-chord)
			}
			if monotone < modulus*square-1e-12*(1+math.Abs(monotone)) {
				rt.Fatalf("⟨∇w(x) − ∇w(y), x − y⟩ = %v; want ≥ %v", monotone, modulus*square)
			}
		}
	})
}
