package graph

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// One graph has three derivatives of Σ x⁴, and two losses that share nodes.
func TestGradManyTimes(t *testing.T) {
	s := NewScope(tensor.Float64)
	x, z := s.Input("x", 1, 3), s.Input("z", 1, 3)
	square := s.Square(x)
	fourth := s.Square(square)
	other := s.Mul(square, s.Exp(z)) // shares square

	first := s.Grad(fourth, x, z)
	if first[1] != nil {
		t.Error("∂Σx⁴/∂z is a node; want nil, for there is no dependence")
	}
	second := s.Grad(first[0], x)[0]
	third := s.Grad(second, x)[0]
	fourthDerivative := s.Grad(third, x)[0]
	if s.Grad(fourthDerivative, x)[0] != nil {
		t.Error("the fifth derivative of x⁴ is a node; want nil")
	}
	both := s.Grad(other, x, z)
	mixed := s.Grad(both[0], z)[0]
	repeated := s.Grad(fourth, x)[0]
	self := s.Grad(x, x)[0]
	p := compile(t, s, nodes{
		"4x³": first[0], "12x²": second, "24x": third, "24": fourthDerivative,
		"2xeᶻ": both[0], "x²eᶻ": both[1], "mixed": mixed, "repeated": repeated, "self": self,
	})
	xs, zs := []float64{-2, .5, 3}, []float64{.1, -1, 0}
	copy(p.In("x").F64, xs)
	copy(p.In("z").F64, zs)
	run(t, p)
	for i, x := range xs {
		e := math.Exp(zs[i])
		for name, want := range map[string]float64{
			"4x³": 4 * x * x * x, "12x²": 12 * x * x, "24x": 24 * x, "24": 24,
			"2xeᶻ": 2 * x * e, "x²eᶻ": x * x * e, "mixed": 2 * x * e, "repeated": 4 * x * x * x, "self": 1,
		} {
			if got := p.Out(name).At(0, i); math.Abs(got-want) > 1e-13*(1+math.Abs(want)) {
				t.Errorf("%s at %v: %v, want %v", name, x, got, want)
			}
		}
	}
}

func TestGradErrors(t *testing.T) {
	for name, c := range map[string]struct {
		y    func(s *Scope, x *gorgonia.Node) *gorgonia.Node
		want string
	}{
		"nil":    {func(*Scope, *gorgonia.Node) *gorgonia.Node { return nil }, "nil node"},
		"scalar": {func(_ *Scope, x *gorgonia.Node) *gorgonia.Node { return gorgonia.Must(gorgonia.Sum(x)) }, "only matrices"},
		"no derivative": {func(_ *Scope, x *gorgonia.Node) *gorgonia.Node {
			return gorgonia.Must(gorgonia.Gt(x, x, true))
		}, "derivative"},
	} {
		s := NewScope(tensor.Float64)
		x := s.Input("x", 2, 2)
		gs := s.Grad(c.y(s, x), x, x)
		if name == "no derivative" {
			// The derivative of a comparison is 0 wherever it exists.
			if s.Err != nil || gs[0] != nil {
				t.Errorf("%s: %v, %v; want nil without an error", name, gs, s.Err)
			}
			continue
		}
		if s.Err == nil || !strings.Contains(s.Err.Error(), c.want) || len(gs) != 2 || gs[0] != nil {
			t.Errorf("%s: %v, error %v; want one that says %q", name, gs, s.Err, c.want)
		}
	}
}

// stockExpressions are built of Gorgonia's own operations mixed with ours, on
// positive (3, 4) matrices x and y; the result is a matrix.
//
// TapeMachine fails where a gradient passes between a scalar and a matrix. It
// adds the derivative of Slice to what the buffer held. tapeFails lists both
// cases.
func stockExpressions(t testing.TB) map[string]func(s *Scope, x, y *gorgonia.Node) *gorgonia.Node {
	is := must(t)
	type node = gorgonia.Node
	unary := func(f func(*node) (*node, error)) func(s *Scope, x, y *node) *node {
		return func(s *Scope, x, y *node) *node { return s.Softplus(is(f(s.Mul(x, y)))) }
	}
	binary := func(f func(a, b *node) (*node, error)) func(s *Scope, x, y *node) *node {
		return func(s *Scope, x, y *node) *node { return s.Square(is(f(s.Affine(2, x, 3), y))) }
	}
	return map[string]func(s *Scope, x, y *node) *node{
		"Tanh": unary(gorgonia.Tanh), "Sigmoid": unary(gorgonia.Sigmoid), "Softplus": unary(gorgonia.Softplus),
		"Exp": unary(gorgonia.Exp), "Log": unary(gorgonia.Log), "Log1p": unary(gorgonia.Log1p), "Square": unary(gorgonia.Square),
		"Cube": unary(gorgonia.Cube), "Sqrt": unary(gorgonia.Sqrt), "Inverse": unary(gorgonia.Inverse), "Neg": unary(gorgonia.Neg),
		"HadamardProd": binary(gorgonia.HadamardProd), "HadamardDiv": binary(gorgonia.HadamardDiv),
		"Add": binary(gorgonia.Add), "Sub": binary(gorgonia.Sub),
		"MatMul": func(s *Scope, x, y *node) *node {
			return s.Tanh(is(gorgonia.Mul(x, s.Mul(s.MatMul(y, true, s.Ones(3, 3), false), s.Input("z", 4, 3)))))
		},
		"Transpose": func(s *Scope, x, y *node) *node {
			return s.Tanh(s.MatMul(is(gorgonia.Transpose(x, 1, 0)), false, s.Exp(y), false))
		},
		"Reshape": func(s *Scope, x, y *node) *node {
			return s.Mul(s.Square(is(gorgonia.Reshape(s.Log(x), tensor.Shape{4, 3}))), is(gorgonia.Reshape(y, tensor.Shape{4, 3})))
		},
		"Concat": func(s *Scope, x, y *node) *node {
			return s.Square(is(gorgonia.Concat(0, s.Mul(x, y), y)))
		},
		"Slice": func(s *Scope, x, y *node) *node {
			head := is(gorgonia.Slice(s.Log(x), gorgonia.S(0, 2)))
			tail := is(gorgonia.Slice(s.Exp(y), nil, gorgonia.S(1, 4)))
			return s.Square(s.MatMul(s.MatMul(head, false, y, true), false, tail, false))
		},
		"Sum along an axis": func(s *Scope, x, y *node) *node {
			column := is(gorgonia.Reshape(is(gorgonia.Sum(s.Square(x), 1)), tensor.Shape{3, 1}))
			row := is(gorgonia.Reshape(is(gorgonia.Sum(y, 0)), tensor.Shape{1, 4}))
			return s.Mul(s.Add(column, row), s.Mul(x, y))
		},
		"Mean": func(s *Scope, x, y *node) *node {
			mean := is(gorgonia.Mean(s.Square(x)))
			return s.Square(is(gorgonia.HadamardProd(y, mean)))
		},
		"Sum of all": func(s *Scope, x, y *node) *node {
			sum := is(gorgonia.Sum(is(gorgonia.HadamardProd(x, y))))
			return is(gorgonia.Add(s.Log(y), is(gorgonia.Square(sum))))
		},
		"scalar constant": func(s *Scope, x, y *node) *node {
			half := gorgonia.NewConstant(.5, gorgonia.WithName("half"))
			return s.Mul(is(gorgonia.HadamardProd(x, half)), is(gorgonia.Add(half, s.Square(y))))
		},
		"BroadcastAdd": func(s *Scope, x, y *node) *node {
			return s.Square(is(gorgonia.BroadcastAdd(s.Mul(x, y), s.SumRows(y), nil, []byte{0})))
		},
		"BroadcastHadamardProd": func(s *Scope, x, y *node) *node {
			return s.Log(is(gorgonia.BroadcastHadamardProd(s.Mul(x, y), s.SumCols(y), nil, []byte{1})))
		},
	}
}

var tapeFails = []string{"Mean", "Sum of all", "Slice", "Concat"}

// Stock operations, alone and mixed with ours: the plan, Gorgonia's TapeMachine
// and central differences agree on value, gradient and second derivative.
func TestStockOps(t *testing.T) {
	for name, declare := range stockExpressions(t) {
		t.Run(name, func(t *testing.T) {
			programs := make(map[string]*Program)
			machines := Machines
			if slices.Contains(tapeFails, name) {
				machines = []string{"plan"}
			}
			for _, machine := range machines {
				s := NewScope(tensor.Float64)
				x, y := s.Input("x", 3, 4), s.Input("y", 3, 4)
				f := declare(s, x, y)
				out := nodes{"f": f, "L1": s.Sum(s.Square(f))}
				g := s.Grad(out["L1"], x, y)
				out["g1x"], out["g1y"] = g[0], g[1]
				out["L2"] = s.Add(s.Sum(s.Square(g[0])), s.Sum(s.Square(g[1])))
				g = s.Grad(out["L2"], x, y)
				out["g2x"], out["g2y"] = g[0], g[1]
				p := onMachine(t, machine, s, out)
				for k, in := range []string{"x", "y", "z"} {
					if !p.Has(in) {
						continue
					}
					m := p.In(in)
					fill(m, uint64(k))
					for i, v := range m.F64 {
						m.F64[i] = .3 + math.Abs(v)
					}
				}
				programs[machine] = p
				run(t, p)
				run(t, p)
			}
			plan := programs["plan"]
			for _, out := range []string{"f", "L1", "L2", "g1x", "g1y", "g2x", "g2y"} {
				for i, v := range plan.Out(out).F64 {
					tape, ok := programs["tape"]
					if !ok {
						continue
					}
					if w := tape.Out(out).F64[i]; !(math.Abs(v-w) <= 1e-12*(1+math.Abs(v))) {
						t.Errorf("%s[%d]: plan %v, tape %v", out, i, v, w)
					}
				}
			}
			for order := 1; order <= 2; order++ {
				for _, in := range []string{"x", "y"} {
					loss, gradient := fmt.Sprint("L", order), fmt.Sprint("g", order, in)
					if e := relativeError(t, plan, in, loss, gradient); e > 1e-7 {
						t.Errorf("%s: relative error %.2g against central differences", gradient, e)
					}
				}
			}
		})
	}
}

// relativeError compares the output gradient, which is the gradient of the
// output loss in an input, with central differences.
func relativeError(t *testing.T, p *Program, input, loss, gradient string) (worst float64) {
	t.Helper()
	run(t, p)
	got := p.Out(gradient).clone().F64
	scale := 1e-3
	for _, g := range got {
		scale = max(scale, math.Abs(g))
	}
	x := p.In(input).F64
	for i, v := range x {
		at := func(v float64) float64 {
			x[i] = v
			run(t, p)
			return p.Out(loss).At(0, 0)
		}
		const h = 1e-3
		diff := func(h float64) float64 { return (at(v+h) - at(v-h)) / (2 * h) }
		want := (4*diff(h/2) - diff(h)) / 3
		x[i] = v
		worst = max(worst, math.Abs(got[i]-want)/scale)
	}
	return worst
}
