package layers

import (
	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// Invertible is a strongly convex potential φ whose gradient can be inverted
// within a graph.
type Invertible interface {
	Network

	// Argmax declares argmax_y ⟨x_i, y⟩ − φ(y), shape (n, d): the solution of
	// ∇φ(y) = x_i. It counts as a constant in derivatives. guess has points to begin
	// from; nil, or a row that is 0 or not finite, leaves that to the solve.
	Argmax(s *graph.Scope, x, guess *gorgonia.Node) *gorgonia.Node

	// SolveHessian declares ∇²φ(y_i)⁻¹·v with the directions v laid out as for
	// HessVec. In derivatives only v counts.
	SolveHessian(s *graph.Scope, y, v *gorgonia.Node) *gorgonia.Node

	// MeanInverseHessian declares the mean of ∇²φ(y_i)⁻¹ over the rows of y, (d, d),
	// without derivatives.
	MeanInverseHessian(s *graph.Scope, y *gorgonia.Node) *gorgonia.Node
}

// Conjugate is the potential w = φ* of a network φ,
//
//	w(x) = sup_y ⟨x, y⟩ − φ(y),  ∇w(x) = argmax_y,  ∇²w(x) = ∇²φ(∇w(x))⁻¹
//
// so that w* = φ: a generated point ∇w*(y) = ∇φ(y) needs no solve, and the
// values of w need one each.
//
// The solve itself counts as a constant. It is followed by steps
// y ← y + ∇²φ(y₀)⁻¹(x − ∇φ(y)) from its result y₀. They change nothing but
// rounding there, and give the result the derivatives of ∇w in x and θ, one
// order with each step.
type Conjugate struct {
	phi   Invertible
	steps int
	guess *gorgonia.Node // of ∇w; nil for none
}

// derivatives is the number of steps after a solve: losses differentiate ∇w and
// ∇²w·v at most twice.
const derivatives = 2

// NewConjugate returns w = φ*.
func NewConjugate(phi Invertible) *Conjugate { return &Conjugate{phi: phi, steps: derivatives} }

// Conjugate is φ = w*.
func (c *Conjugate) Conjugate() Potential { return c.phi }

// from is the same potential in a graph that is not differentiated, where solves
// begin at guess.
func (c *Conjugate) from(guess *gorgonia.Node) Potential { return &Conjugate{phi: c.phi, guess: guess} }

// Contexts is that of φ.
func (c *Conjugate) Contexts() int {
	if phi, ok := c.phi.(bindable); ok {
		return phi.Contexts()
	}
	return 0
}

// Given is φ(·; c_i)*; see Conditional.
func (c *Conjugate) Given(s *graph.Scope, contexts *gorgonia.Node) Potential {
	return bind(s, c, contexts)
}

func (c *Conjugate) parts() []part { return c.phi.(bindable).parts() }

func (c *Conjugate) declareParts(s *graph.Scope, contexts *gorgonia.Node) []*gorgonia.Node {
	return c.phi.(bindable).declareParts(s, contexts)
}

func (c *Conjugate) givenParts(s *graph.Scope, nodes []*gorgonia.Node) Potential {
	return &Conjugate{phi: c.phi.(bindable).givenParts(s, nodes).(Invertible), steps: c.steps}
}

// Dim is d.
func (c *Conjugate) Dim() int { return c.phi.Dim() }

// Describe is the architecture of φ.
func (c *Conjugate) Describe() Architecture { return c.phi.Describe() }

// Params are the weights of φ.
func (c *Conjugate) Params() *graph.Params { return c.phi.Params() }

// image is ∇w(x), differentiable as often as there are steps.
func (c *Conjugate) image(s *graph.Scope, x *gorgonia.Node, steps int) (y, solution *gorgonia.Node) {
	solution = c.phi.Argmax(s, x, c.guess)
	y = solution
	for range steps {
		y = s.Add(y, c.phi.SolveHessian(s, solution, s.Sub(x, c.phi.Gradient(s, y))))
	}
	return y, solution
}

// Value declares w(x_i) = ⟨x_i, y⟩ − φ(y), shape (n, 1). An error of y enters it
// squared, so that one step gives three orders.
func (c *Conjugate) Value(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	y, _ := c.image(s, x, min(c.steps, 1))
	return s.Sub(s.SumCols(s.Mul(x, y)), c.phi.Value(s, y))
}

// ValueAtSolution declares w(x_i) with ∇w(x_i) held fixed: by the envelope
// theorem its first derivatives in x and θ are those of w.
func (c *Conjugate) ValueAtSolution(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	return c.from(nil).Value(s, x)
}

// Gradient declares ∇w(x_i), shape (n, d).
func (c *Conjugate) Gradient(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	y, _ := c.image(s, x, c.steps)
	return y
}

// HessVec declares ∇²w(x_i)·v = u, the solution of ∇²φ(y)·u = v; see Potential.
func (c *Conjugate) HessVec(s *graph.Scope, x, v *gorgonia.Node, k int) *gorgonia.Node {
	y, solution := c.image(s, x, c.steps)
	u := c.phi.SolveHessian(s, solution, v)
	for range c.steps {
		u = s.Add(u, c.phi.SolveHessian(s, solution, s.Sub(v, c.phi.HessVec(s, y, u, k))))
	}
	return u
}

// meanHessian declares the mean of ∇²w(x_i) over the rows of x, (d, d).
func (c *Conjugate) meanHessian(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	return c.phi.MeanInverseHessian(s, c.phi.Argmax(s, x, nil))
}
