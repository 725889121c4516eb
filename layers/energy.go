package layers

import (
	"errors"
	"fmt"

	"cmf/graph"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Energy is an energy E on ℝᵈ, ρ ∝ e^{−E}, declared as an expression. It satisfies
// solvers.Energy on batches of any size; ∇E and ∇²E·v are derived from the graph.
type Energy struct{ evaluator *Evaluator }

// NewEnergy takes d = dim and the declaration of E(x_i), shape (n, 1), for a batch
// x of shape (n, d).
func NewEnergy(dim int, declare func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node) (*Energy, error) {
	switch {
	case dim < 1:
		return nil, fmt.Errorf("layers: an energy on ℝ^%d; the dimension must be at least 1", dim)
	case declare == nil:
		return nil, errors.New("layers: an energy without a declaration; give a function of a scope and a batch")
	}
	params, err := graph.NewParams(tensor.Float32)
	if err != nil {
		return nil, err
	}
	evaluator, err := NewEvaluator(declared{dim, params, declare})
	if err != nil {
		return nil, err
	}
	e := &Energy{evaluator}
	// A first evaluation finds what is wrong with the declaration.
	if err := e.Eval(batch.New(1, dim), make([]float32, 1), batch.New(1, dim)); err != nil {
		return nil, fmt.Errorf("layers: the energy: %w", err)
	}
	return e, nil
}

// Dim is d.
func (e *Energy) Dim() int { return e.evaluator.Dim() }

// Eval writes E(x_i) to value and ∇E(x_i) to grad, each unless it is empty.
func (e *Energy) Eval(x blas32.General, value []float32, grad blas32.General) error {
	return e.evaluator.Eval(x, value, grad)
}

// HessVec writes ∇²E(x_i)·v_i.
func (e *Energy) HessVec(x, v, hv blas32.General) error { return e.evaluator.HessVec(x, v, hv) }

// declared is a function without weights in the form that an Evaluator takes.
// It need not be convex.
type declared struct {
	dim    int
	params *graph.Params // none
	value  func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node
}

func (d declared) Dim() int { return d.dim }

func (d declared) Params() *graph.Params { return d.params }

func (d declared) Value(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	e := d.value(s, x)
	if s.Err == nil {
		switch n := x.Shape()[0]; {
		case e == nil:
			s.Err = errors.New("layers: the declaration gave no node; it must give E(x_i)")
		case e.Shape().Dims() != 2 || e.Shape()[0] != n || e.Shape()[1] != 1:
			s.Err = fmt.Errorf("layers: the declaration gave shape %v for %d points; it must give (%d, 1)", e.Shape(), n, n)
		}
	}
	return e
}

func (d declared) Gradient(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	grad := s.Grad(d.Value(s, x), x)[0]
	if grad == nil && s.Err == nil {
		s.Err = errors.New("layers: the energy does not depend on x")
	}
	return grad
}

func (d declared) HessVec(s *graph.Scope, x, v *gorgonia.Node, k int) *gorgonia.Node {
	x = s.Tile(k, x)
	return s.Grad(s.Mul(d.Gradient(s, x), v), x)[0]
}
