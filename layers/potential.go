// Package layers holds convex potentials w(x; θ), declared as nodes of an
// expression graph, their initialisations, and the evaluation of batches.
//
// New makes the networks that experiments learn: an ICNN, which is w itself, or
// the Conjugate of Quadratics, where the network is w*. Start fills their weights
// near a Gaussian's closed form, and NewEvaluator gives w, ∇w and ∇²w·v on
// batches. Any type that satisfies Potential is a potential too; see its
// example.
package layers

import (
	"errors"

	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// Potential is a convex function w on ℝᵈ with weights θ. Its methods declare
// expressions for batches x of shape (n, d) in a scope; errors stay there.
type Potential interface {
	// Dim is d.
	Dim() int

	// Params are the weights θ, shared by all graphs.
	Params() *graph.Params

	// Value declares w(x_i), shape (n, 1).
	Value(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node

	// Gradient declares ∇w(x_i), shape (n, d).
	Gradient(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node

	// HessVec declares ∇²w(x_i)·v for k directions at each point. v has shape
	// (k·n, d), and its block j holds the j-th direction of every point. The
	// result is laid out in the same way.
	HessVec(s *graph.Scope, x, v *gorgonia.Node, k int) *gorgonia.Node
}

// Network is a Potential that an Architecture describes: New makes it again.
type Network interface {
	Potential

	// Describe is its architecture.
	Describe() Architecture
}

// Hessian declares ∇²w(x_i) for n points, shape (n, d²), by Hessian–vector
// products along the coordinate axes. The directions are an input of the
// scope, filled here.
func Hessian(s *graph.Scope, w Potential, x *gorgonia.Node) *gorgonia.Node {
	if x == nil && s.Err == nil {
		s.Err = errors.New("layers: the Hessian at a nil node")
	}
	if s.Err != nil {
		return nil
	}
	n, d := x.Shape()[0], w.Dim()
	axes := s.Constant("coordinate axes", d*n, d, func(i, j int) float64 {
		if i/n == j {
			return 1
		}
		return 0
	})
	return s.Unstack(d, w.HessVec(s, x, axes, d))
}
