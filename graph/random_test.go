package graph

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"cmf/graph/kernel"
	"cmf/graph/op"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"
)

// garden grows a random graph, node by node.
type garden struct {
	*Scope
	rt    *rapid.T
	stock bool // with Gorgonia's own operations
	nodes []*gorgonia.Node
	bound map[*gorgonia.Node]float64 // largest magnitude of the elements
}

func newGarden(rt *rapid.T, dtype tensor.Dtype, ps *Params) *garden {
	g := &garden{Scope: NewScope(dtype), rt: rt, bound: make(map[*gorgonia.Node]float64)}
	g.stock = rapid.Bool().Draw(rt, "stock")
	size := rapid.IntRange(1, 4)
	for i := range rapid.IntRange(1, 3).Draw(rt, "inputs") {
		g.plant(g.Input(fmt.Sprint("x", i), size.Draw(rt, "rows"), size.Draw(rt, "cols")), 1.1)
	}
	for i := range rapid.IntRange(1, 3).Draw(rt, "weights") {
		p := ps.New(fmt.Sprint("w", i), size.Draw(rt, "rows"), size.Draw(rt, "cols"))
		p.Fill(func(j int) float64 { return math.Sin(float64(i + 3*j + 1)) })
		g.plant(g.Param(p), 1.1)
	}
	return g
}

// plant keeps a node unless its elements might become too large.
func (g *garden) plant(n *gorgonia.Node, bound float64) {
	if n == nil || g.Err != nil {
		g.rt.Fatalf("growing a graph: %v", g.Err)
	}
	if bound > 1e3 || slices.Contains(g.nodes, n) {
		return
	}
	g.nodes, g.bound[n] = append(g.nodes, n), bound
}

func (g *garden) pick(label string) *gorgonia.Node { return g.among(g.nodes, label) }

func (g *garden) among(ns []*gorgonia.Node, label string) *gorgonia.Node {
	return ns[rapid.IntRange(0, len(ns)-1).Draw(g.rt, label)]
}

// fitting picks a node whose shape satisfies fit, or nil.
func (g *garden) fitting(label string, fit func(rows, cols int) bool) *gorgonia.Node {
	var fits []*gorgonia.Node
	for _, n := range g.nodes {
		if fit(n.Shape()[0], n.Shape()[1]) {
			fits = append(fits, n)
		}
	}
	if len(fits) == 0 {
		return nil
	}
	return g.among(fits, label)
}

// step adds a node by an operation drawn at random.
func (g *garden) step() {
	x := g.pick("x")
	bx, rows, cols := g.bound[x], x.Shape()[0], x.Shape()[1]
	is := func(n *gorgonia.Node, err error) *gorgonia.Node {
		if err != nil {
			g.rt.Fatal(err)
		}
		return n
	}
	repeats := func(r, c int) bool {
		return (r == rows || r == 1 || rows == 1) && (c == cols || c == 1 || cols == 1)
	}
	same := func(r, c int) bool { return r == rows && c == cols }
	trans := func() bool { return rapid.Bool().Draw(g.rt, "transposed") }
	multiply := func() (*gorgonia.Node, float64) {
		tx, ty := trans(), trans()
		k := cols
		if tx {
			k = rows
		}
		y := g.fitting("y", func(r, c int) bool { return ty && c == k || !ty && r == k })
		if y == nil {
			return nil, 0
		}
		return g.MatMul(x, tx, y, ty), float64(k) * bx * g.bound[y]
	}
	kinds := []string{
		"add", "add", "sub", "mul", "product", "product", "product plus", "product plus", "sum plus", "rows", "cols",
		"affine", "tanh", "softplus", "sigmoid", "bend", "tile", "unstack",
	}
	if g.stock {
		kinds = append(kinds, "stock tanh", "stock product", "stock sum", "reshape", "transpose")
	}
	switch rapid.SampledFrom(kinds).Draw(g.rt, "operation") {
	case "add":
		y := g.fitting("y", repeats)
		g.plant(g.Add(x, y), bx+g.bound[y])
	case "sub":
		y := g.fitting("y", repeats)
		g.plant(g.Sub(y, x), bx+g.bound[y])
	case "mul":
		y := g.fitting("y", repeats)
		g.plant(g.Mul(x, y), bx*g.bound[y])
	case "product":
		if n, b := multiply(); n != nil {
			g.plant(n, b)
		}
	case "product plus": // what the machine folds
		n, b := multiply()
		if n == nil {
			return
		}
		rows, cols = n.Shape()[0], n.Shape()[1]
		y := g.fitting("plus", repeats)
		if y == nil {
			return
		}
		sum := g.Add(n, y)
		if trans() {
			sum = g.Add(y, n)
		}
		g.plant(sum, b+g.bound[y])
	case "sum plus":
		y := g.fitting("plus", func(r, c int) bool { return (r == 1 || rows == 1) && (c == cols || c == 1 || cols == 1) })
		if y != nil {
			g.plant(g.Add(y, g.SumRows(x)), g.bound[y]+float64(rows)*bx)
		}
	case "rows":
		g.plant(g.SumRows(x), float64(rows)*bx)
	case "cols":
		g.plant(g.SumCols(x), float64(cols)*bx)
	case "affine":
		g.plant(g.Affine(-.7, x, .2), bx+.2)
	case "tanh":
		g.plant(g.Tanh(x), 1)
	case "softplus":
		g.plant(g.Softplus(x), bx+1)
	case "sigmoid":
		g.plant(g.Sigmoid(x), 1)
	case "bend":
		y := g.fitting("y", same)
		g.plant(g.SigmoidGrad(x, y), (bx+bx*bx)*g.bound[y])
	case "tile":
		g.plant(g.Tile(2, x), bx)
	case "unstack":
		if rows%2 == 0 {
			g.plant(g.Unstack(2, x), bx)
		}
	case "stock tanh":
		g.plant(is(gorgonia.Tanh(x)), 1)
	case "stock product":
		y := g.fitting("y", same)
		g.plant(is(gorgonia.HadamardProd(x, y)), bx*g.bound[y])
	case "stock sum":
		y := g.fitting("y", same)
		g.plant(is(gorgonia.Add(x, y)), bx+g.bound[y])
	case "reshape":
		g.plant(is(gorgonia.Reshape(x, tensor.Shape{cols, rows})), bx)
	case "transpose":
		g.plant(is(gorgonia.Transpose(x, 1, 0)), bx)
	}
}

// outputs are some of the nodes, and perhaps a gradient.
func (g *garden) outputs(withGradient bool) nodes {
	out := make(nodes)
	for i := range rapid.IntRange(1, 4).Draw(g.rt, "outputs") {
		out[fmt.Sprint("out", i)] = g.pick("output")
	}
	if withGradient {
		for i, n := range g.Grad(g.Tanh(g.pick("loss")), g.nodes[0], g.pick("with respect to")) {
			if n != nil && len(n.Shape()) == 2 {
				out[fmt.Sprint("gradient", i)] = n
			}
		}
	}
	if g.Err != nil {
		g.rt.Fatal(g.Err)
	}
	return out
}

// reference computes a node by calling only Do of its operation, with new
// memory for every result and copies of every operand.
func reference(t testing.TB, n *gorgonia.Node, known map[*gorgonia.Node]gorgonia.Value) gorgonia.Value {
	if v, ok := known[n]; ok {
		return v
	}
	v := n.Value()
	if n.Op() != nil {
		var in []gorgonia.Value
		for _, c := range children(n) {
			v, err := gorgonia.CloneValue(reference(t, c, known))
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, v)
		}
		var err error
		if v, err = n.Op().Do(in...); err != nil {
			t.Fatal(err)
		}
		if d, ok := v.(*tensor.Dense); ok && d.RequiresIterator() {
			v = d.Materialize().(*tensor.Dense)
		}
	}
	known[n] = v
	return v
}

// eagerThreads makes threads share whatever they can, however small, until the
// function that it returns is called.
func eagerThreads() (end func()) {
	rows, worth, much, threads := fewestRows, worthwhile, large, kernel.Threads()
	fewestRows, worthwhile, large = 2, 0, math.Inf(1)
	kernel.SetThreads(3)
	return func() {
		fewestRows, worthwhile, large = rows, worth, much
		kernel.SetThreads(threads)
	}
}

// Buffers, in-place results, folded products and threads never change what a
// graph computes, on either machine. No run writes an input or a weight, or
// sees what another run left.
func TestRandomGraphs(t *testing.T) {
	var folds int
	rapid.Check(t, func(rt *rapid.T) {
		dtype, tolerance := tensor.Float64, 1e-12
		if rapid.Bool().Draw(rt, "float32") {
			dtype, tolerance = tensor.Float32, 1e-5
		}
		if rapid.Bool().Draw(rt, "threads") {
			defer eagerThreads()()
		}
		ps := newParams(t, dtype)
		g := newGarden(rt, dtype, ps)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			g.step()
		}
		out := g.outputs(rapid.Bool().Draw(rt, "gradient"))
		program := compile(t, g.Scope, out)
		for _, n := range g.Scope.g.AllNodes() {
			if op.AddOp(n.Op()) {
				folds++
			}
		}

		var before [][]uint64
		inputs := func(visit func(m Matrix)) {
			for _, n := range g.inputs {
				visit(program.In(n.Name()))
			}
			for _, p := range ps.All() {
				visit(Matrix{Rows: p.Rows, Cols: p.Cols, F32: p.f32, F64: p.f64})
			}
		}
		unchanged := func(machine string) {
			var k int
			inputs(func(m Matrix) {
				if !slices.Equal(m.bits(), before[k]) {
					rt.Fatalf("%s writes an input or a weight", machine)
				}
				k++
			})
		}
		// A first run on NaN leaves NaN in every buffer.
		for _, n := range g.inputs {
			m := program.In(n.Name())
			for i := range m.Rows * m.Cols {
				m.set(i, math.NaN())
			}
		}
		run(t, program)
		for i, n := range g.inputs {
			fill(program.In(n.Name()), uint64(i))
		}
		inputs(func(m Matrix) { before = append(before, m.bits()) })
		run(t, program)
		first := make(map[string][]uint64)
		for name := range out {
			first[name] = program.Out(name).bits()
		}
		run(t, program)
		unchanged("plan")
		kernel.SetThreads(1)
		run(t, program)

		known := make(map[*gorgonia.Node]gorgonia.Value)
		for name, n := range out {
			got := program.Out(name)
			if !slices.Equal(first[name], got.bits()) {
				rt.Fatalf("%s: two runs differ", name)
			}
			want := matrixOf(reference(t, n, known).(*tensor.Dense))
			agree(rt, "plan", name, got, want, tolerance)
		}
		// TapeMachine writes over operands that it reads again, through Reshape
		// and stock operations that work in place.
		if g.stock {
			return
		}
		other := onMachine(t, "tape", g.Scope, out)
		run(t, other)
		run(t, other)
		unchanged("tape")
		for name := range out {
			agree(rt, "tape", name, other.Out(name), program.Out(name), tolerance)
		}
	})
	if folds == 0 {
		t.Error("no graph has a sum that a product might be folded into")
	}
}

func agree(t rapid.TB, machine, name string, got, want Matrix, tolerance float64) {
	scale := 1.0
	for i := range want.Rows {
		for j := range want.Cols {
			scale = max(scale, math.Abs(want.At(i, j)))
		}
	}
	for i := range want.Rows {
		for j := range want.Cols {
			if e := math.Abs(got.At(i, j) - want.At(i, j)); !(e <= 10*tolerance*scale) {
				t.Fatalf("%s: %s[%d,%d] is %v, want %v", machine, name, i, j, got.At(i, j), want.At(i, j))
			}
		}
	}
}
