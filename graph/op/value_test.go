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

// Rows that are too short for one kernel call each.
func TestShortRows(t *testing.T) {
	type node = gorgonia.Node
	for name, c := range map[string]struct {
		declare func(s *graph.Scope, x, row *node) *node
		want    func(x, row float64) float64
	}{
		"x+row":    {func(s *graph.Scope, x, row *node) *node { return s.Add(x, row) }, func(x, row float64) float64 { return x + row }},
		"row-x":    {func(s *graph.Scope, x, row *node) *node { return s.Sub(row, x) }, func(x, row float64) float64 { return row - x }},
		"x*row":    {func(s *graph.Scope, x, row *node) *node { return s.Mul(x, row) }, func(x, row float64) float64 { return x * row }},
		"expanded": {func(s *graph.Scope, x, row *node) *node { return s.Expand(x.Shape()[0], x.Shape()[1], row) }, func(_, row float64) float64 { return row }},
	} {
		for _, shape := range [][2]int{{2, 3}, {1500, 3}, {700, 2}, {5, 1500}, {2000, 1}} {
			rows, cols := shape[0], shape[1]
			s := graph.NewScope(tensor.Float64)
			x, row := s.Input("x", rows, cols), s.Input("row", 1, cols)
			y := c.declare(s, x, row)
			p := compile(t, s, map[string]*node{"y": y, "sums": s.SumRows(y)})
			at := func(i, j int) (float64, float64) { return math.Sin(float64(3*i + j)), math.Cos(float64(5 * j)) }
			for i := range rows {
				for j := range cols {
					p.In("x").F64[i*cols+j], p.In("row").F64[j] = at(i, j)
				}
			}
			run(t, p)
			for j := range cols {
				var sum float64
				for i := range rows {
					want := c.want(at(i, j))
					if got := p.Out("y").At(i, j); got != want {
						t.Fatalf("%s, shape %v: [%d,%d] is %v, want %v", name, shape, i, j, got, want)
					}
					sum += want
				}
				if got := p.Out("sums").At(0, j); !(math.Abs(got-sum) <= 1e-11) {
					t.Errorf("%s, shape %v: the sum of column %d is %v, want %v", name, shape, j, got, sum)
				}
			}
		}
	}
}

// A determinant may leave the range of float64; its logarithm does not.
func TestLogDetOfExtremes(t *testing.T) {
	const d = 4
	s := graph.NewScope(tensor.Float64)
	h := s.Input("h", 2, d*d)
	p := compile(t, s, map[string]*gorgonia.Node{"y": s.LogDet(d, h)})
	for i, exponent := range []float64{-250, 250} {
		for k := range d {
			p.In("h").F64[i*d*d+k*(d+1)] = math.Pow(10, exponent)
		}
	}
	run(t, p)
	for i, exponent := range []float64{-250, 250} {
		if got, want := p.Out("y").At(i, 0), d*exponent*math.Ln10; !(math.Abs(got-want) <= 1e-9) {
			t.Errorf("log det of 10^%g·I is %v, want %v", exponent, got, want)
		}
	}
}

// Do, which Gorgonia calls, gives the same as a program.
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
