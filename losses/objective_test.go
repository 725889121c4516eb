package losses

import (
	"cmp"
	"errors"
	"math"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

var _ solvers.Objective = (*Objective)(nil)

// batches are rows of a wider matrix: the stride is not the width.
func batches(sum Sum, n, d int) map[*solvers.Kind]blas32.General {
	bs := make(map[*solvers.Kind]blas32.General)
	for k, kind := range sum.Inputs() {
		cols := cmp.Or(kind.Columns, d)
		b := blas32.General{Rows: n, Cols: cols, Stride: cols + 2, Data: make([]float32, n*(cols+2))}
		for i := range n {
			for j := range cols + 2 {
				b.Data[i*b.Stride+j] = float32(math.Sin(float64(1 + k + 5*i + 3*j)))
				if kind == solvers.BatchMask {
					b.Data[i*b.Stride+j] = 1 / float32(n)
				}
			}
		}
		bs[kind] = b
	}
	return bs
}

// An objective in float32 gives the same numbers as the loss in float64.
func TestObjective(t *testing.T) {
	const n = 7
	sum := sum(t, "dual+0.1*pairs")
	m := potential(t, false)
	o, err := NewObjective(m, sum, n)
	if err != nil {
		t.Fatal(err)
	}
	bs := batches(sum, n, 3)
	loss, terms, err := o.Gradient(bs)
	if err != nil {
		t.Fatal(err)
	}
	p, trained, err := Compile(potential(t, true), sum, n)
	if err != nil {
		t.Fatal(err)
	}
	for kind, b := range bs {
		in := p.In(kind.Name)
		for i := range n {
			for j := range b.Cols {
				in.F64[i*b.Cols+j] = float64(b.Data[i*b.Stride+j])
			}
		}
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want, scale float64) {
		t.Helper()
		if !(math.Abs(got-want) <= 1e-5*max(1, scale)) {
			t.Errorf("%s is %v in float32 and %v in float64", what, got, want)
		}
	}
	near("loss", loss, p.Out("loss").At(0, 0), 1)
	near("dual", terms["dual"], p.Out("term dual").At(0, 0), 1)
	near("pairs", terms["pairs"], p.Out("term pairs").At(0, 0), terms["pairs"])
	near("the sum of the terms", loss, terms["dual"]+.1*terms["pairs"], 1)
	ws := o.Weights()
	if len(ws) != len(trained) || len(terms) != 2 {
		t.Fatalf("%d weights and %d terms; want %d and 2", len(ws), len(terms), len(trained))
	}
	for k, w := range ws {
		param := m.Params().ByName(w.Name)
		if &w.Value[0] != &param.Float32s()[0] || w.NonNegative != param.NonNegative || w.Name != trained[k].Name {
			t.Errorf("weight %q is not the network's", w.Name)
		}
		want := p.Out(gradient(trained[k])).F64
		var scale float64
		for _, g := range want {
			scale = max(scale, math.Abs(g))
		}
		for i, g := range w.Grad {
			near("gradient in "+w.Name, float64(g), want[i], scale)
		}
	}
}

func TestObjectiveErrors(t *testing.T) {
	sum := sum(t, "dual")
	m := potential(t, false)
	o, err := NewObjective(m, sum, 4)
	if err != nil {
		t.Fatal(err)
	}
	for kind, change := range map[*solvers.Kind]func(bs map[*solvers.Kind]blas32.General){
		solvers.BatchData: func(bs map[*solvers.Kind]blas32.General) { delete(bs, solvers.BatchData) },
		solvers.BatchGibbs: func(bs map[*solvers.Kind]blas32.General) {
			b := bs[solvers.BatchGibbs]
			b.Rows = 3
			bs[solvers.BatchGibbs] = b
		},
		solvers.BatchConjugate: func(bs map[*solvers.Kind]blas32.General) {
			b := bs[solvers.BatchConjugate]
			b.Cols = 2
			bs[solvers.BatchConjugate] = b
		},
		solvers.BatchMask: func(bs map[*solvers.Kind]blas32.General) { bs[solvers.BatchMask] = bs[solvers.BatchData] },
	} {
		bs := batches(sum, 4, 3)
		change(bs)
		if _, _, err := o.Gradient(bs); err == nil || !strings.Contains(err.Error(), `"`+kind.Name+`"`) || !strings.Contains(err.Error(), "compiled for (4, ") {
			t.Errorf("%s: error %v; want one that names it and the shape that is allowed", kind, err)
		}
	}
	if _, _, err := o.Gradient(batches(sum, 4, 3)); err != nil {
		t.Error(err)
	}

	for name, c := range map[string]struct {
		w    layers.Potential
		sum  Sum
		n    int
		want string
	}{
		"float64":       {potential(t, true), sum, 4, "float32"},
		"no rows":       {m, sum, 0, "(0, 3)"},
		"no terms":      {m, nil, 4, "nil node"},
		"wrong shape":   {m, Sum{{1, faulty{func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node { return x }}}}, 4, "(1, 1)"},
		"nothing":       {m, Sum{{1, faulty{func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node { return nil }}}}, 4, "(1, 1)"},
		"failing":       {m, Sum{{1, faulty{func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node { s.Err = errors.New("sorry"); return nil }}}}, 4, "sorry"},
		"a batch apart": {m, Sum{{1, greedy{}}}, 4, "nil node"},
	} {
		if o, err := NewObjective(c.w, c.sum, c.n); err == nil || o != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want one that says %q", name, err, c.want)
		}
	}
}

// faulty is a term that makes wrong declarations.
type faulty struct {
	declare func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node
}

func (faulty) Name() string            { return "faulty" }
func (faulty) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData} }
func (f faulty) Declare(s *graph.Scope, _ layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	return f.declare(s, batch(solvers.BatchData))
}

// greedy is a term that reads a batch which is not among its Inputs.
type greedy struct{}

func (greedy) Name() string            { return "greedy" }
func (greedy) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData} }
func (greedy) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	return s.Mean(w.Value(s, batch(solvers.BatchPaired)))
}

// curl penalises strong curvature along one fixed direction; it goes through
// HessVec and has a third derivative in its gradient.
type curl struct{}

func (curl) Name() string            { return "curl" }
func (curl) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData} }
func (curl) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	x := batch(solvers.BatchData)
	shape := x.Shape()
	v := s.Constant("direction", shape[0], shape[1], func(_, j int) float64 { return float64(j + 1) })
	return s.Mean(s.Log(s.SumCols(s.Mul(v, w.HessVec(s, x, v, 1)))))
}
