package layers

import (
	"errors"
	"math"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

var (
	_ solvers.Energy   = (*Energy)(nil)
	_ potential.Curved = (*Energy)(nil)
)

// ring is ½(|x|² − 4)²/8 − log cosh(x₁), as nodes.
func ring(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	first := s.MatMul(x, false, s.Constant("first axis", 2, 1, func(i, _ int) float64 { return float64(1 - i) }), false)
	// log cosh(t) = softplus(2t) − t − log 2.
	bump := s.Affine(1, s.Sub(s.Softplus(s.Scale(2, first)), first), -math.Ln2)
	return s.Sub(s.Scale(1./16, s.Square(s.Affine(1, s.SumCols(s.Square(x)), -4))), bump)
}

func ringAt(x, y float64) (value, dx, dy, dxx, dxy, dyy float64) {
	r := x*x + y*y - 4
	tanh := math.Tanh(x)
	return r*r/16 - math.Log(math.Cosh(x)), r*x/4 - tanh, r * y / 4, (r+2*x*x)/4 - 1 + tanh*tanh, x * y / 2, (r + 2*y*y) / 4
}

func TestEnergyNodes(t *testing.T) {
	e, err := NewEnergy(2, ring)
	if err != nil {
		t.Fatal(err)
	}
	const n = 700 // more than a chunk
	x, v := normals(1, n, 2, 1), normals(2, n, 2, 0)
	value, grad, hv := make([]float32, n), batch.New(n, 2), batch.New(n, 2)
	if err := e.Eval(x, value, grad); err != nil {
		t.Fatal(err)
	}
	if err := e.HessVec(x, v, hv); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		p, u := row(x, i), row(v, i)
		want, dx, dy, dxx, dxy, dyy := ringAt(float64(p[0]), float64(p[1]))
		a, b := float64(u[0]), float64(u[1])
		got := []float32{value[i], row(grad, i)[0], row(grad, i)[1], row(hv, i)[0], row(hv, i)[1]}
		for k, w := range []float64{want, dx, dy, dxx*a + dxy*b, dxy*a + dyy*b} {
			if math.Abs(float64(got[k])-w) > 2e-5*(1+math.Abs(w)) {
				t.Fatalf("point %v: figure %d is %v, want %v", p, k, got[k], w)
			}
		}
	}
	alone := batch.New(n, 2)
	if err := e.Eval(x, nil, alone); err != nil {
		t.Fatal(err)
	}
	if d := differ(alone.Data, grad.Data); d > 1e-6 {
		t.Errorf("the gradient alone differs by %g", d)
	}
	if err := e.Eval(normals(1, 3, 3, 0), value[:3], blas32.General{}); err == nil {
		t.Error("points of three coordinates give no error")
	}
}

func TestEnergyDeclarationErrors(t *testing.T) {
	sum := func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node { return s.SumCols(x) }
	if _, err := NewEnergy(0, sum); err == nil {
		t.Error("dimension 0 gives no error")
	}
	for want, f := range map[string]func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node{
		"without a declaration": nil,
		"gave no node":          func(*graph.Scope, *gorgonia.Node) *gorgonia.Node { return nil },
		"must give (32, 1)":     func(_ *graph.Scope, x *gorgonia.Node) *gorgonia.Node { return x },
		"does not depend on x":  func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node { return s.Ones(x.Shape()[0], 1) },
		"the user's own explanation": func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
			s.Err = errors.New("the user's own explanation")
			return nil
		},
	} {
		if _, err := NewEnergy(2, f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
