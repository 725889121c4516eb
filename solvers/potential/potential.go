// Package potential defines what a potential is to the solvers: anything that evaluates
// batches. It also has the Normal potential, noise Carried to other coordinates by a
// matrix, the Preconditioner of steps, and the Status of a row of a solve.
package potential

import "gonum.org/v1/gonum/blas/blas32"

// Potential is a convex function w on ℝᵈ, evaluated on whole batches.
//
// Implementations must take any number of rows n ≥ 0. A Potential is not safe
// for concurrent use unless it says so.
type Potential interface {
	// Dim is d.
	Dim() int

	// Eval writes w(x_i) into value and ∇w(x_i) into the rows of grad for each row of
	// the (n, d) batch x. value has length n, grad shape (n, d). A nil value is not
	// computed, and neither is a grad with nil Data. grad must not overlap x.
	Eval(x blas32.General, value []float32, grad blas32.General) error
}

// Explicit is a Potential w whose conjugate w* may be at hand, so that ∇w*(y) is an
// evaluation instead of a solve.
type Explicit interface {
	Potential

	// Explicit says whether it is.
	Explicit() bool

	// EvalConjugate writes w*(y_i) and ∇w*(y_i), as Eval writes w and ∇w.
	EvalConjugate(y blas32.General, value []float32, grad blas32.General) error
}

// Solved is a Potential whose evaluation may be a solve for ∇w(x), which a guess
// shortens.
type Solved interface {
	Potential

	// Solves says whether it is.
	Solves() bool

	// EvalFrom is Eval with guesses of ∇w(x_i), (n, d); a row that is 0 or not
	// finite is no guess. grad may be the same memory as guess.
	EvalFrom(x, guess blas32.General, value []float32, grad blas32.General) error
}

// EvalFrom evaluates w at x, with guesses of ∇w(x_i) where w can use them.
func EvalFrom(w Potential, x, guess blas32.General, value []float32, grad blas32.General) error {
	if s, ok := w.(Solved); ok && s.Solves() {
		return s.EvalFrom(x, guess, value, grad)
	}
	return w.Eval(x, value, grad)
}

// Curved is a Potential that also gives Hessian–vector products.
type Curved interface {
	Potential

	// HessVec writes ∇²w(x_i)·v_i into the rows of hv, all of shape (n, d).
	HessVec(x, v, hv blas32.General) error
}
