package op_test

import (
	"hash/fnv"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/graph/op"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gorgonia merges nodes whose operations have the same hash: that must hold for
// equal parameters, and for no others.
func TestHash(t *testing.T) {
	names := make(map[uint32]string)
	collect := func(mayExist bool) {
		for _, o := range operations() {
			_, _, y := declared(t, o, tensor.Float64)
			own, ok := y.Op().(*op.Op)
			if !ok {
				continue
			}
			h := fnv.New32a()
			own.WriteHash(h)
			if h.Sum32() != own.Hashcode() {
				t.Errorf("%v: WriteHash gives %x, Hashcode %x", own, h.Sum32(), own.Hashcode())
			}
			former, ok := names[own.Hashcode()]
			if ok && former != own.String() {
				t.Errorf("%v and %s hash alike", own, former)
			}
			if mayExist && !ok {
				t.Errorf("%v hashes differently each time", own)
			}
			names[own.Hashcode()] = own.String()
		}
	}
	collect(false)
	collect(true)

	s := graph.NewScope(tensor.Float64)
	x := s.Input("x", 4, 4)
	different := []*gorgonia.Node{
		s.Affine(2, x, 0), s.Affine(2, x, 1), s.Affine(2.0000000000000004, x, 0), s.Affine(-2, x, 0), s.Affine(0, x, 2),
		s.MatMul(x, false, x, false), s.MatMul(x, true, x, false), s.MatMul(x, false, x, true), s.MatMul(x, true, x, true),
		s.BatchMul(2, x, false, x, false), s.BatchMul(2, x, true, x, false), s.BatchMul(2, x, false, x, true), s.BatchMul(2, x, true, x, true),
		s.Tile(2, x), s.Tile(4, x), s.Unstack(2, x), s.Unstack(4, x), s.LogDet(2, x), s.InverseSPD(2, x),
		s.Add(x, x), s.Sub(x, x), s.Mul(x, x), s.SumRows(x), s.SumCols(x),
		s.Expand(4, 4, s.SumRows(x)), s.Expand(2, 4, s.SumRows(x)), s.Expand(4, 4, s.SumCols(x)),
	}
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	seen := make(map[*gorgonia.Node]bool)
	for _, n := range different {
		if seen[n] {
			t.Errorf("%v was merged with another node", n.Op())
		}
		seen[n] = true
	}
	if s.Affine(2, x, 0) != different[0] || s.Unstack(4, x) != different[16] {
		t.Error("equal expressions are two nodes")
	}
}

func TestMetadata(t *testing.T) {
	for _, o := range operations() {
		_, _, y := declared(t, o, tensor.Float64)
		own, ok := y.Op().(*op.Op)
		if !ok {
			continue
		}
		if own.OverwritesInput() != -1 || !own.ReturnsPtr() || own.CallsExtern() {
			t.Errorf("%v claims to write its operands, or to return none of its own memory", own)
		}
		if d := own.DiffWRT(own.Arity()); len(d) != own.Arity() || !d[0] {
			t.Errorf("%v: DiffWRT %v", own, d)
		}
	}
}

func TestWrongShapes(t *testing.T) {
	type scope = graph.Scope
	for _, c := range []struct {
		declare func(s *scope, x, y *gorgonia.Node) *gorgonia.Node // (2, 3) and (4, 5)
		want    []string
	}{
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.MatMul(x, false, y, false) }, []string{"MatMul{false,false}", "(2, 3)", "(4, 5)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.MatMul(x, true, y, true) }, []string{"MatMul{true,true}", "(2, 3)", "(4, 5)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Add(x, y) }, []string{"Add", "(2, 3)", "(4, 5)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Sub(x, y) }, []string{"Sub", "(2, 3)", "(4, 5)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Mul(s.SumRows(x), y) }, []string{"Mul", "(1, 3)", "(4, 5)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.SigmoidGrad(x, s.SumRows(x)) }, []string{"SigmoidGrad", "(2, 3)", "(1, 3)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.BatchMul(2, x, false, y, false) }, []string{"BatchMul{2,false,false}", "(2, 3)", "(4, 5)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.BatchMul(2, x, false, x, false) }, []string{"BatchMul{2,false,false}", "3", "(2, 2)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.LogDet(2, x) }, []string{"LogDet{2}", "3", "(2, 2)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.LogDet(0, x) }, []string{"LogDet{0}"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.InverseSPD(-1, x) }, []string{"InverseSPD{-1}"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Expand(2, 4, x) }, []string{"Expand{2,4}", "(2, 3)", "(2, 4)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Expand(1, 1, x) }, []string{"Expand{1,1}", "(2, 3)", "(1, 1)"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Tile(0, x) }, []string{"Tile{0}"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Unstack(0, x) }, []string{"Unstack{0}"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Unstack(3, y) }, []string{"Unstack{3}", "4", "3"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node {
			return s.Convolve(op.Window{Height: 1, Width: 5, Channels: 1, Size: 1, Stride: 1}, y, x)
		}, []string{"Convolve", "filters of 2", "5 and 1"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node {
			return s.Convolve(op.Window{Height: 2, Width: 2, Channels: 1, Size: 2, Stride: 1, Padding: 2}, y, x)
		}, []string{"Convolve", "2 pixels of zeros", "squares of 2"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node {
			return s.ConvolveTransposed(op.Window{Height: 1, Width: 2, Channels: 2, Size: 1, Stride: 1}, y, x)
		}, []string{"ConvolveTransposed", "rows of 5", "6 and 2"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node {
			return s.Resize(op.Resizing{Height: 2, Width: 2, Channels: 1, ToHeight: 1, ToWidth: 1}, x)
		}, []string{"Resize", "rows of 3", "2×2×1"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node {
			return s.Resize(op.Resizing{Height: 1, Width: 3, Channels: 1, ToHeight: 0, ToWidth: 1}, x)
		}, []string{"Resize", "0×1"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Tanh(nil) }, []string{"Tanh", "nil"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Mean(nil) }, []string{"nil"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Expand(1, 1, nil) }, []string{"Expand", "nil"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node { return s.SumTo(op.Shape{1, 1}, nil) }, []string{"SumTo", "nil"}},
		{func(s *scope, x, y *gorgonia.Node) *gorgonia.Node {
			return s.Log(gorgonia.Must(gorgonia.Sum(x)))
		}, []string{"Log", "only matrices"}},
	} {
		s := graph.NewScope(tensor.Float64)
		x, y := s.Input("x", 2, 3), s.Input("y", 4, 5)
		n := c.declare(s, x, y)
		if s.Err == nil || n != nil {
			t.Errorf("%v: no error; want one with %q", n, c.want)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(s.Err.Error(), w) {
				t.Errorf("error %q does not say %q", s.Err, w)
			}
		}
		first := s.Err
		if s.Softplus(x) != nil || s.Err != first {
			t.Errorf("after %q the scope goes on, with %v", first, s.Err)
		}
	}
}

// Operands that Gorgonia or a user hands directly to an operation are checked
// too.
func TestDoOfWrongOperands(t *testing.T) {
	s := graph.NewScope(tensor.Float64)
	product := s.MatMul(s.Input("x", 2, 3), false, s.Input("y", 3, 2), false).Op().(*op.Op)
	of := func(dtype tensor.Dtype, shape ...int) gorgonia.Value {
		return tensor.New(tensor.WithShape(shape...), tensor.Of(dtype))
	}
	for name, in := range map[string][]gorgonia.Value{
		"shapes":  {of(tensor.Float64, 2, 3), of(tensor.Float64, 2, 3)},
		"number":  {of(tensor.Float64, 2, 3)},
		"types":   {of(tensor.Float64, 2, 3), of(tensor.Float32, 3, 2)},
		"integer": {of(tensor.Int, 2, 3), of(tensor.Int, 3, 2)},
		"vectors": {of(tensor.Float64, 3), of(tensor.Float64, 3)},
	} {
		if _, err := product.Do(in...); err == nil || !strings.Contains(err.Error(), "MatMul") {
			t.Errorf("%s: error %v; want one that names MatMul", name, err)
		}
	}
	x, y := of(tensor.Float64, 2, 3), of(tensor.Float64, 3, 2)
	if _, err := product.UsePreallocDo(of(tensor.Float64, 3, 3), x, y); err == nil {
		t.Error("a result of another shape is taken")
	}
	if _, err := product.UsePreallocDo(of(tensor.Float64, 2, 2), y, y); err == nil {
		t.Error("operands that do not fit are taken")
	}
	if diff := cmp.Diff([]bool{true, true}, product.DiffWRT(2)); diff != "" {
		t.Error(diff)
	}
}
