package graph

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"cmf/graph/op"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Every way in which a product can meet a sum.
func TestFolding(t *testing.T) {
	type node = gorgonia.Node
	for name, declare := range map[string]func(s *Scope, x, y, row, col *node) nodes{
		"onto an input": func(s *Scope, x, y, row, col *node) nodes { return nodes{"o": s.Add(s.MatMul(x, false, y, false), x)} },
		"input first":   func(s *Scope, x, y, row, col *node) nodes { return nodes{"o": s.Add(x, s.MatMul(x, false, y, false))} },
		"onto its own factor": func(s *Scope, x, y, row, col *node) nodes {
			z := s.Tanh(x)
			return nodes{"o": s.Add(z, s.MatMul(z, false, y, false))}
		},
		"onto a result": func(s *Scope, x, y, row, col *node) nodes {
			return nodes{"o": s.Add(s.Tanh(x), s.MatMul(y, true, x, false))}
		},
		"onto a row": func(s *Scope, x, y, row, col *node) nodes {
			return nodes{"o": s.Add(row, s.MatMul(x, false, y, false))}
		},
		"onto a column": func(s *Scope, x, y, row, col *node) nodes {
			return nodes{"o": s.Add(s.MatMul(x, false, y, false), s.Exp(col))}
		},
		"onto a scalar": func(s *Scope, x, y, row, col *node) nodes {
			return nodes{"o": s.Add(s.Sum(x), s.MatMul(x, false, y, true))}
		},
		"two products": func(s *Scope, x, y, row, col *node) nodes {
			return nodes{"o": s.Add(s.MatMul(x, false, y, false), s.MatMul(y, false, x, true))}
		},
		"the same twice": func(s *Scope, x, y, row, col *node) nodes {
			z := s.MatMul(x, false, y, false)
			return nodes{"o": s.Add(z, z)}
		},
		"used twice": func(s *Scope, x, y, row, col *node) nodes {
			z := s.MatMul(x, false, y, false)
			return nodes{"o": s.Mul(s.Add(z, x), z)}
		},
		"an output itself": func(s *Scope, x, y, row, col *node) nodes {
			z := s.MatMul(x, false, y, false)
			return nodes{"z": z, "o": s.Add(z, x)}
		},
		"onto an output": func(s *Scope, x, y, row, col *node) nodes {
			z := s.Tanh(x)
			return nodes{"z": z, "o": s.Add(z, s.MatMul(x, false, y, false))}
		},
		"a small product": func(s *Scope, x, y, row, col *node) nodes {
			return nodes{"o": s.Add(x, s.MatMul(row, false, y, false))}
		},
		"a chain": func(s *Scope, x, y, row, col *node) nodes {
			z := s.Add(s.Add(row, s.MatMul(x, false, y, false)), s.MatMul(y, true, x, false))
			return nodes{"o": s.Add(s.MatMul(z, false, z, true), s.Softplus(z))}
		},
		"a sum of rows":      func(s *Scope, x, y, row, col *node) nodes { return nodes{"o": s.Add(s.SumRows(s.Tanh(x)), row)} },
		"rows onto a matrix": func(s *Scope, x, y, row, col *node) nodes { return nodes{"o": s.Add(s.SumRows(s.Tanh(x)), y)} },
		"a factor that ends": func(s *Scope, x, y, row, col *node) nodes {
			z := s.Exp(x)
			return nodes{"o": s.Tanh(s.Add(s.Tanh(y), s.MatMul(z, true, s.Tanh(z), false)))}
		},
		"a factor twice": func(s *Scope, x, y, row, col *node) nodes {
			z := s.Tanh(x)
			square := s.MatMul(z, false, z, false) // z's buffer is free after it: once
			u, v := s.MatMul(x, false, y, false), s.MatMul(y, false, x, false)
			return nodes{"o": s.Sub(square, s.MatMul(u, true, v, false))}
		},
		"elementwise": func(s *Scope, x, y, row, col *node) nodes {
			return nodes{"o": s.Add(s.Tanh(x), s.Mul(y, row)), "p": s.Add(s.Mul(col, y), x), "q": s.Add(x, s.Mul(s.Sum(row), y))}
		},
		"elementwise onto its own factor": func(s *Scope, x, y, row, col *node) nodes {
			z := s.Tanh(x)
			return nodes{"o": s.Add(z, s.Mul(z, y))}
		},
	} {
		// With large matrices a product goes wrong if its operands are
		// overwritten.
		for _, c := range []struct {
			dtype     tensor.Dtype
			n         int
			tolerance float64
		}{{tensor.Float32, 3, 1e-6}, {tensor.Float64, 3, 1e-14}, {tensor.Float32, 70, 1e-5}, {tensor.Float64, 70, 1e-13}} {
			s, n := NewScope(c.dtype), c.n
			x, y, row, col := s.Input("x", n, n), s.Input("y", n, n), s.Input("row", 1, n), s.Input("col", n, 1)
			out := declare(s, x, y, row, col)
			p := compile(t, s, out)
			for i, n := range s.inputs {
				fill(p.In(n.Name()), uint64(i))
			}
			before := p.In("x").clone()
			run(t, p)
			run(t, p)
			if !slices.Equal(before.bits(), p.In("x").bits()) {
				t.Errorf("%s: the run writes its input", name)
			}
			known := make(map[*node]gorgonia.Value)
			for o, n := range out {
				agree(t, name, o, p.Out(o), matrixOf(reference(t, n, known).(*tensor.Dense)), c.tolerance)
			}
		}
	}
}

// Softplus and sigmoid are computed together, and tiles are never laid out.
func TestFusing(t *testing.T) {
	type node = gorgonia.Node
	for name, c := range map[string]struct {
		steps   int
		declare func(s *Scope, x, y, tall, row *node) nodes
	}{
		"softplus first": {2, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"o": s.Mul(s.Softplus(x), s.Sigmoid(x))}
		}},
		"sigmoid first": {2, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"o": s.Sub(s.Sigmoid(x), s.Softplus(x))}
		}},
		"over a result": {3, func(s *Scope, x, y, tall, row *node) nodes {
			z := s.Tanh(x)
			return nodes{"o": s.Mul(s.Softplus(z), s.Sigmoid(z))}
		}},
		"over a result that goes on": {4, func(s *Scope, x, y, tall, row *node) nodes {
			z := s.Tanh(x)
			return nodes{"o": s.Mul(s.Mul(s.Softplus(z), s.Sigmoid(z)), z)}
		}},
		"both of two": {4, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"p": s.Softplus(x), "q": s.Sigmoid(x), "o": s.Mul(s.Softplus(y), s.Sigmoid(y)), "r": s.Softplus(row)}
		}},
		"a tile in a product": {1, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"o": s.Mul(s.Tile(2, x), tall)}
		}},
		"tiles in a product": {2, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"o": s.Mul(s.Mul(s.Tile(2, x), s.Tile(2, y)), row)}
		}},
		"a tile in the derivative of the sigmoid": {1, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"o": s.SigmoidGrad(s.Tile(2, x), tall)}
		}},
		"a tile under a dead factor": {2, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"o": s.SigmoidGrad(s.Tanh(tall), s.Tile(2, x))}
		}},
		"a tile of a result": {3, func(s *Scope, x, y, tall, row *node) nodes {
			z := s.Tanh(x)
			return nodes{"o": s.Mul(s.Mul(tall, s.Tile(2, z)), s.Tile(2, z))}
		}},
		"a tile in an accumulated product": {2, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"o": s.Add(s.Tanh(tall), s.Mul(s.Tile(2, x), tall))}
		}},
		"a tile in a sum": {2, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"o": s.Add(s.Tile(2, x), tall)}
		}},
		"a tile that is an output": {2, func(s *Scope, x, y, tall, row *node) nodes {
			z := s.Tile(2, x)
			return nodes{"z": z, "o": s.Mul(z, tall)}
		}},
		"tiles of a row": {2, func(s *Scope, x, y, tall, row *node) nodes {
			return nodes{"o": s.SigmoidGrad(s.Tile(6, row), tall)}
		}},
		// The gradients of tiles are sums over them.
		"a sum of tiles": {6, func(s *Scope, x, y, tall, row *node) nodes {
			z := s.Mul(s.Tile(2, x), s.Tanh(tall))
			return nodes{"o": z, "gradient": s.Grad(s.Sum(s.Mul(z, row)), x)[0]}
		}},
	} {
		for dtype, tolerance := range map[tensor.Dtype]float64{tensor.Float32: 1e-6, tensor.Float64: 1e-14} {
			s := NewScope(dtype)
			x, y, tall, row := s.Input("x", 3, 4), s.Input("y", 3, 4), s.Input("tall", 6, 4), s.Input("row", 1, 4)
			out := c.declare(s, x, y, tall, row)
			outputs := make([]*node, 0, len(out))
			for _, n := range out {
				outputs = append(outputs, n)
			}
			p := compile(t, s, out)
			for i, n := range s.inputs {
				fill(p.In(n.Name()), uint64(i))
			}
			run(t, p)
			known := make(map[*node]gorgonia.Value)
			for o, n := range out {
				agree(t, name, o, p.Out(o), matrixOf(reference(t, n, known).(*tensor.Dense)), tolerance)
			}
			m, err := NewMachine(outputs...)
			if err != nil {
				t.Fatal(err)
			}
			if m.computations != c.steps {
				t.Errorf("%s: %d computations; want %d", name, m.computations, c.steps)
			}
		}
	}
}

// A folded product needs no buffer of its own.
func TestFoldingSavesMemory(t *testing.T) {
	s := NewScope(tensor.Float32)
	x, w := s.Input("x", 8, 8), s.Input("w", 8, 8)
	p := compile(t, s, nodes{"o": s.Add(s.MatMul(x, false, w, false), s.Softplus(x))})
	if want := 4 * 64; p.Bytes() != want {
		t.Errorf("%d bytes of buffers; want %d, the output's", p.Bytes(), want)
	}
}

// A long chain of results needs no more than a few buffers.
func TestBuffersAreShared(t *testing.T) {
	s := NewScope(tensor.Float64)
	x := s.Input("x", 10, 10)
	n := x
	for range 20 {
		n = s.MatMul(s.Tanh(n), false, n, true)
	}
	if p := compile(t, s, nodes{"o": n}); p.Bytes() > 4*800 {
		t.Errorf("%d bytes for a chain of (10, 10) products; want at most %d", p.Bytes(), 4*800)
	}
}

func TestOutputs(t *testing.T) {
	s := NewScope(tensor.Float64)
	w := newParams(t, tensor.Float64).New("w", 1, 2)
	w.Fill(func(i int) float64 { return float64(10 + i) })
	x := s.Input("x", 1, 2)
	s.Input("unread", 3, 3)
	inner := s.Affine(2, x, 0)
	outer := s.Affine(3, s.Affine(1, inner, 1), 0)
	p := compile(t, s, nodes{"x": x, "w": s.Param(w), "inner": inner, "again": inner, "outer": outer, "sum": s.Add(outer, inner)})
	for range 2 {
		copy(p.In("x").F64, []float64{1, -2})
		run(t, p)
		for name, want := range map[string][]float64{
			"x": {1, -2}, "w": {10, 11}, "inner": {2, -4}, "again": {2, -4}, "outer": {9, -9}, "sum": {11, -13},
		} {
			if got := p.Out(name).F64; !slices.Equal(got, want) {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	}
	if !p.Has("x") || p.Has("y") {
		t.Error("Has must be true for the input x and false for y, which is not an input")
	}
	w.Set(0, 7)
	run(t, p)
	if got := p.Out("w").At(0, 0); got != 7 {
		t.Errorf("after an update of the weight the program sees %v, want 7", got)
	}
}

// Gorgonia's TapeMachine writes a weight through Reshape. Programs must not, on
// either machine, nor may an operation that works in place on its operand.
func TestWeightsAreNeverWritten(t *testing.T) {
	is := must(t)
	for _, machine := range Machines {
		ps := newParams(t, tensor.Float64)
		w, aside := ps.New("w", 2, 3), ps.New("aside", 2, 3)
		w.Fill(func(i int) float64 { return float64(i) - 2.5 })
		aside.Fill(func(i int) float64 { return float64(i) + .5 })
		before := contents(ps)
		s := NewScope(tensor.Float64)
		x := s.Input("x", 3, 2)
		flat := is(gorgonia.Reshape(s.Param(w), tensor.Shape{3, 2}))
		is(gorgonia.HadamardProd(is(gorgonia.Reshape(s.Param(aside), tensor.Shape{3, 2})), x)) // needed by no output
		out := nodes{
			"tanh": is(gorgonia.Tanh(is(gorgonia.HadamardProd(flat, x)))),
			"neg":  is(gorgonia.Neg(is(gorgonia.Transpose(s.Param(w), 1, 0)))),
		}
		p := onMachine(t, machine, s, out)
		fill(p.In("x"), 1)
		input := p.In("x").clone()
		for range 5 {
			run(t, p)
		}
		if diff := cmp.Diff(before, contents(ps)); diff != "" {
			t.Errorf("%s: the weights went from − to +:\n%s", machine, diff)
		}
		if !slices.Equal(p.In("x").F64, input.F64) {
			t.Errorf("%s: the input went from %v to %v", machine, input.F64, p.In("x").F64)
		}
		if machine == "tape" {
			continue // its own results are wrong here: it reads what it wrote
		}
		for i := range 3 {
			for j := range 2 {
				v := w.At(2*i + j)
				if got, want := p.Out("tanh").At(i, j), math.Tanh(v*input.At(i, j)); math.Abs(got-want) > 1e-15 {
					t.Errorf("%s: [%d,%d] is %v, want %v", machine, i, j, got, want)
				}
				if got, want := p.Out("neg").At(i, j), -w.At(3*j+i); got != want {
					t.Errorf("%s: the transpose [%d,%d] is %v, want %v", machine, i, j, got, want)
				}
			}
		}
	}
}

// A scope may be compiled for both machines: they share the inputs, and neither
// leaves the other's bindings changed.
func TestMachinesShareAScope(t *testing.T) {
	s := NewScope(tensor.Float64)
	x := s.Input("x", 1, 2)
	out := nodes{"o": s.Exp(s.Affine(2, x, 1))}
	programs := []*Program{compile(t, s, out), onMachine(t, "tape", s, out)}
	run(t, programs[1])
	programs = append(programs, compile(t, s, out), onMachine(t, "tape", s, out))
	for _, v := range []float64{.5, -1} {
		for k, p := range programs {
			programs[0].In("x").F64[1] = v
			run(t, p)
			if got, want := p.Out("o").At(0, 1), math.Exp(2*v+1); math.Abs(got-want) > 1e-15*want {
				t.Errorf("program %d at %v: %v, want %v", k, v, got, want)
			}
		}
	}
}

// destructive is Tanh as a user might write it: it computes in the operand.
type destructive struct{ *op.Op }

func (destructive) OverwritesInput() int { return 0 }

func (d destructive) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	return d.Op.UsePreallocDo(in[0], in...)
}

func (d destructive) UsePreallocDo(_ gorgonia.Value, in ...gorgonia.Value) (gorgonia.Value, error) {
	return d.Do(in...)
}

func TestOperationThatWritesItsOperand(t *testing.T) {
	s := NewScope(tensor.Float64)
	x := s.Input("x", 2, 2)
	d := destructive{s.Tanh(s.Input("other", 2, 2)).Op().(*op.Op)}
	half := s.Affine(.5, x, 0)
	p := compile(t, s, nodes{
		"half": half, "tanh x": must(t)(gorgonia.ApplyOp(d, x)), "tanh half": must(t)(gorgonia.ApplyOp(d, half)),
	})
	fill(p.In("x"), 1)
	before := p.In("x").clone()
	for range 2 {
		run(t, p)
		for i, x := range before.F64 {
			for name, want := range map[string]float64{"half": .5 * x, "tanh x": math.Tanh(x), "tanh half": math.Tanh(.5 * x)} {
				if got := p.Out(name).F64[i]; math.Abs(got-want) > 1e-15 {
					t.Errorf("%s at %v is %v, want %v", name, x, got, want)
				}
			}
		}
	}
	if !slices.Equal(p.In("x").F64, before.F64) {
		t.Error("the input is overwritten")
	}
}

func TestRunsDoNotAllocate(t *testing.T) {
	if race {
		t.Skip("the race detector allocates")
	}
	window := op.Window{Height: 2, Width: 2, Channels: 1, Size: 2, Stride: 1, Padding: 1} // 9 positions
	resizing := op.Resizing{Height: 3, Width: 3, Channels: 4, ToHeight: 2, ToWidth: 1}
	for _, dtype := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		s := NewScope(dtype)
		x, v := s.Input("x", 64, 4), s.Input("v", 4, 4)
		a := s.Softplus(s.MatMul(x, false, v, false))
		a = s.Add(a, s.SumCols(s.Square(s.Resize(resizing, s.Convolve(window, a, v)))))
		a = s.Add(a, s.SigmoidGrad(s.Sigmoid(x), s.Tanh(a)))
		h := s.Add(s.BatchMul(2, a, false, a, true), s.Constant("identities", 1, 4, func(_, j int) float64 { return float64(1 - min(1, j%3)) }))
		loss := s.Mean(s.Mul(s.LogDet(2, h), s.Expand(64, 1, s.Sum(s.Unstack(2, s.Tile(2, s.Exp(s.Log(s.Sqrt(s.Square(a))))))))))
		out := nodes{"loss": loss}
		for i, g := range s.Grad(loss, x, v) {
			out[fmt.Sprint("gradient ", i)] = g
		}
		p := compile(t, s, out)
		fill(p.In("x"), 1)
		fill(p.In("v"), 2)
		run(t, p)
		if n := testing.AllocsPerRun(20, func() { p.Run() }); n > 0 {
			t.Errorf("%v: %v allocations a run, want none", dtype, n)
		}
		if l := p.Out("loss").At(0, 0); math.IsNaN(l) || l == 0 {
			t.Errorf("the loss is %v", l)
		}
	}
}

// Under the race detector: programs over the same weights run beside each
// other, and graphs are declared, differentiated and compiled beside them.
func TestConcurrency(t *testing.T) {
	w := newParams(t, tensor.Float32).New("w", 8, 8)
	w.Fill(func(i int) float64 { return math.Sin(float64(i)) })
	const workers = 6
	losses := make([][]uint64, workers)
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for range 8 {
				s := NewScope(tensor.Float32)
				x := s.Input("x", 16, 8)
				h := s.Tanh(s.MatMul(x, false, s.Param(w), false))
				stock, err := gorgonia.Cube(h)
				if err != nil {
					t.Error(err)
					return
				}
				loss := s.Mean(s.Add(stock, s.Softplus(h)))
				g := s.Grad(s.Square(s.Grad(loss, x)[0]), s.Param(w))[0]
				p, err := s.Compile(nodes{"loss": loss, "gradient": g})
				if err != nil {
					t.Error(err)
					return
				}
				fill(p.In("x"), 1)
				for range 5 {
					if err := p.Run(); err != nil {
						t.Error(err)
						return
					}
				}
				losses[k] = p.Out("gradient").bits()
			}
		})
	}
	wg.Wait()
	for k := range workers {
		if !slices.Equal(losses[k], losses[0]) {
			t.Errorf("worker %d has another gradient than worker 0", k)
		}
	}
}
