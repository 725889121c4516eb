package op_test

import (
	"fmt"
	"math"
	"testing"

	"cmf/graph"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gradients of order one to three against central differences:
//
//	L₁ = Σ f(x) ⊙ C₁,  L_{m+1} = Σ_k Σ ∂L_m/∂x_k ⊙ C_{m+1,k}
//
// with fixed random C, so that ∂L_m/∂x exercises the m-th derivatives of f.
func TestGradients(t *testing.T) {
	const orders = 3
	var overall float64
	for _, o := range operations() {
		t.Run(o.name, func(t *testing.T) {
			s, xs, y := declared(t, o, tensor.Float64)
			var drawn int
			against := func(n *gorgonia.Node) *gorgonia.Node {
				drawn++
				c := s.Constant(fmt.Sprint("C", drawn), n.Shape()[0], n.Shape()[1], func(i, j int) float64 { return math.Cos(float64(5*i+3*j) + 2*float64(drawn)) })
				return s.Sum(s.Mul(n, c))
			}
			out := make(map[string]*gorgonia.Node)
			loss := against(y)
			var last int
			for order := 1; order <= orders && loss != nil; order++ {
				out[fmt.Sprint("L", order)], last = loss, order
				var next *gorgonia.Node
				for k, g := range s.Grad(loss, xs...) {
					if g == nil {
						continue // zero
					}
					out[fmt.Sprint("gradient", order, k)] = g
					if part := against(g); next == nil {
						next = part
					} else {
						next = s.Add(next, part)
					}
				}
				loss = next
			}
			p := compile(t, s, out)
			for k, x := range o.operands(3) {
				fill(p.In(fmt.Sprint("x", k)), x)
			}
			for order := 1; order <= last; order++ {
				worst := worstDifference(t, p, len(xs), fmt.Sprint("L", order), func(k int) []float64 {
					name := fmt.Sprint("gradient", order, k)
					if out[name] == nil {
						return nil
					}
					return p.Out(name).F64
				})
				overall = max(overall, worst)
				if worst > 1e-8 {
					t.Errorf("order %d: largest error %.2g, relative to the largest entry; want ≤ 1e-8", order, worst)
				}
			}
		})
	}
	t.Logf("largest relative error %.2g", overall)
}

// worstDifference compares the gradient of an output in every element of the
// inputs x0, x1, … with central differences; a nil gradient stands for zero.
func worstDifference(t *testing.T, p *graph.Program, inputs int, loss string, gradient func(k int) []float64) (worst float64) {
	t.Helper()
	at := func(x []float64, i int, v float64) float64 {
		x[i] = v
		run(t, p)
		return p.Out(loss).At(0, 0)
	}
	run(t, p)
	got := make([][]float64, inputs)
	scale := 1e-3
	for k := range got {
		got[k] = append(got[k], gradient(k)...)
		for _, g := range got[k] {
			scale = max(scale, math.Abs(g))
		}
	}
	for k := range got {
		x := p.In(fmt.Sprint("x", k)).F64
		for i, v := range x {
			diff := func(h float64) float64 { return (at(x, i, v+h) - at(x, i, v-h)) / (2 * h) }
			const h = 2e-3
			want := (4*diff(h/2) - diff(h)) / 3 // Richardson: error O(h⁴)
			x[i] = v
			var g float64
			if len(got[k]) > 0 {
				g = got[k][i]
			}
			worst = max(worst, math.Abs(g-want)/scale)
		}
	}
	return worst
}
