package layers_test

import (
	"fmt"
	"log"

	"cmf/graph"
	"cmf/layers"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Bowl is a potential that a user might add, w(x) = ½a·‖x‖² + softplus(x·b),
// convex while a ≥ 0.
type Bowl struct {
	params *graph.Params
	a, b   *graph.Param // (1, 1) and (d, 1)
}

func NewBowl(d int) (*Bowl, error) {
	params, err := graph.NewParams(tensor.Float32)
	if err != nil {
		return nil, err
	}
	w := &Bowl{params, params.New("a", 1, 1), params.New("b", d, 1)}
	w.a.NonNegative = true
	return w, nil
}

func (w *Bowl) Dim() int              { return w.b.Rows }
func (w *Bowl) Params() *graph.Params { return w.params }

func (w *Bowl) Value(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	hinge := s.Softplus(s.MatMul(x, false, s.Param(w.b), false))
	return s.Add(hinge, s.Scale(.5, s.MatMul(s.SumCols(s.Square(x)), false, s.Param(w.a), false)))
}

// Gradient is a·x + σ(x·b)·bᵀ.
func (w *Bowl) Gradient(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	slope := s.Sigmoid(s.MatMul(x, false, s.Param(w.b), false))
	return s.Add(s.Mul(x, s.Param(w.a)), s.MatMul(slope, false, s.Param(w.b), true))
}

// HessVec is a·v + σ′(x·b)(v·b)·bᵀ.
func (w *Bowl) HessVec(s *graph.Scope, x, v *gorgonia.Node, k int) *gorgonia.Node {
	if k > 1 {
		x = s.Tile(k, x)
	}
	slope := s.Sigmoid(s.MatMul(x, false, s.Param(w.b), false))
	bent := s.SigmoidGrad(slope, s.MatMul(v, false, s.Param(w.b), false))
	return s.Add(s.Mul(v, s.Param(w.a)), s.MatMul(bent, false, s.Param(w.b), true))
}

// Three declarations make a potential that solvers, losses and evaluators
// accept.
func ExamplePotential() {
	w, err := NewBowl(2)
	if err != nil {
		log.Fatal(err)
	}
	w.a.Fill(func(int) float64 { return 2 })
	w.b.Fill(func(i int) float64 { return float64(i) }) // (0, 1)

	e, err := layers.NewEvaluator(w)
	if err != nil {
		log.Fatal(err)
	}
	x := blas32.General{Rows: 1, Cols: 2, Stride: 2, Data: []float32{3, 0}}
	value, gradient := make([]float32, 1), blas32.General{Rows: 1, Cols: 2, Stride: 2, Data: make([]float32, 2)}
	if err := e.Eval(x, value, gradient); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("w = %.4f, gradient %.4f\n", value, gradient.Data)
	v := blas32.General{Rows: 1, Cols: 2, Stride: 2, Data: []float32{0, 1}}
	if err := e.HessVec(x, v, gradient); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Hessian times (0, 1) %.4f\n", gradient.Data)
	// Output:
	// w = [9.6931], gradient [6.0000 0.5000]
	// Hessian times (0, 1) [0.0000 2.2500]
}
