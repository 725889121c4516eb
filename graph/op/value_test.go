package op_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"cmf/graph"
	"cmf/graph/kernel"
	"cmf/graph/op"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var precisions = []struct {
	dtype     tensor.Dtype
	tolerance float64 // relative to the largest element
}{{tensor.Float32, 2e-6}, {tensor.Float64, 1e-13}}

func TestValues(t *testing.T) {
	for _, o := range operations() {
		t.Run(o.name, func(t *testing.T) {
			for _, prec := range precisions {
				s, _, y := declared(t, o, prec.dtype)
				p := compile(t, s, map[string]*gorgonia.Node{"y": y})
				x := o.operands(1)
				for k := range x {
					fill(p.In(fmt.Sprint("x", k)), x[k])
				}
				run(t, p)
				got, want := p.Out("y"), o.naive(x)
				if got.Rows != want.Shape[0] || got.Cols != want.Shape[1] {
					t.Fatalf("%v: shape (%d, %d), want %v", prec.dtype, got.Rows, got.Cols, want.Shape)
				}
				var scale float64
				for _, v := range want.v {
					scale = max(scale, math.Abs(v))
				}
				for i := range got.Rows {
					for j := range got.Cols {
						if e := math.Abs(got.At(i, j) - want.at(i, j)); !(e <= prec.tolerance*max(1, scale)) {
							t.Errorf("%v: [%d,%d] is %v, want %v", prec.dtype, i, j, got.At(i, j), want.at(i, j))
						}
					}
				}
			}
		})
	}
}

// Gorgonia's own way in, Do, gives what a program gives.
func TestDo(t *testing.T) {
	var tried int
	for _, o := range operations() {
		s, xs, y := declared(t, o, tensor.Float64)
		own, ok := y.Op().(*op.Op)
		if !ok || !readsOnly(y, xs) {
			continue
		}
		tried++
		p := compile(t, s, map[string]*gorgonia.Node{"y": y})
		values := make([]gorgonia.Value, len(xs))
		for k, x := range o.operands(2) {
			fill(p.In(fmt.Sprint("x", k)), x)
			values[k] = xs[k].Value()
		}
		run(t, p)
		v, err := own.Do(values...)
		if err != nil {
			t.Fatalf("%s: %v", o.name, err)
		}
		if diff := cmp.Diff(p.Out("y").F64, v.Data()); diff != "" {
			t.Errorf("%s: the program gives −, Do gives +:\n%s", o.name, diff)
		}
	}
	if tried < 70 {
		t.Errorf("only %d operations tried", tried)
	}
}

// readsOnly reports whether y is one operation on exactly xs.
func readsOnly(y *gorgonia.Node, xs []*gorgonia.Node) bool {
	in := y.Graph().From(y.ID())
	for k := 0; in.Next(); k++ {
		if k >= len(xs) || in.Node() != xs[k] {
			return false
		}
	}
	return in.Len() == 0 && !slices.Contains(xs, y)
}

// More threads change no bit, whatever the shape.
func TestThreadsChangeNothing(t *testing.T) {
	defer kernel.SetThreads(kernel.Threads())
	const d = 6
	results := make(map[int]graph.Matrix)
	for _, threads := range []int{1, 3} {
		kernel.SetThreads(threads)
		s := graph.NewScope(tensor.Float32)
		x, row, col := s.Input("x", 1200, d*d), s.Input("row", 1, d*d), s.Input("col", 1200, 1)
		a := s.Add(s.Mul(s.Softplus(x), row), col)
		h := s.Add(s.BatchMul(d, x, false, x, true), s.Constant("identities", 1, d*d, func(_, j int) float64 { return float64(1 - min(1, j%(d+1))) }))
		all := s.Add(s.SigmoidGrad(s.Sigmoid(a), s.InverseSPD(d, h)), s.LogDet(d, h))
		all = s.Add(all, s.Expand(1200, d*d, s.SumRows(a)))
		all = s.Add(all, s.Tile(1200, s.Grad(s.Tile(2, s.SumCols(a)), row)[0]))
		p := compile(t, s, map[string]*gorgonia.Node{"all": s.Sub(all, s.SumRows(s.SumCols(x)))})
		for k, in := range []string{"x", "row", "col"} {
			m := p.In(in)
			fill(m, build(m.Rows, m.Cols, func(i, j int) float64 { return math.Sin(float64(k + 7*i + 3*j)) }))
		}
		run(t, p)
		results[threads] = p.Out("all")
	}
	for i, v := range results[1].F32 {
		if w := results[3].F32[i]; math.Float32bits(v) != math.Float32bits(w) {
			t.Fatalf("element %d: one thread %v, three %v", i, v, w)
		}
	}
}

// A matrix that is not positive definite spoils its own row only.
func TestIndefiniteRows(t *testing.T) {
	for _, prec := range precisions {
		s := graph.NewScope(prec.dtype)
		h := s.Input("h", 6, 4)
		p := compile(t, s, map[string]*gorgonia.Node{"log det": s.LogDet(2, h), "inverse": s.InverseSPD(2, h)})
		rows := [][]float64{{2, 0, 0, 3}, {1, 2, 2, 1}, {4, 1, 1, 1}, {0, 0, 0, 0}, {math.NaN(), 0, 0, 1}, {math.Inf(1), 0, 0, 1}}
		fill(p.In("h"), build(6, 4, func(i, j int) float64 { return rows[i][j] }))
		run(t, p)
		for i := range rows {
			spoilt := i != 0 && i != 2
			if got := math.IsNaN(p.Out("log det").At(i, 0)); got != spoilt {
				t.Errorf("%v: log det of %v is %v", prec.dtype, rows[i], p.Out("log det").At(i, 0))
			}
			for j := range 4 {
				if got := math.IsNaN(p.Out("inverse").At(i, j)); got != spoilt {
					t.Errorf("%v: inverse[%d] of %v is %v", prec.dtype, j, rows[i], p.Out("inverse").At(i, j))
				}
			}
		}
	}
}
