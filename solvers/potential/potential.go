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

// Curved is a Potential that also gives Hessian–vector products.
type Curved interface {
	Potential

	// HessVec writes ∇²w(x_i)·v_i into the rows of hv, all of shape (n, d).
	HessVec(x, v, hv blas32.General) error
}
