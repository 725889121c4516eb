// Package solvers holds the numerics of conjugate moment measures on whole
// batches. It knows nothing of expression graphs: a Potential is anything that
// evaluates a batch, a row-major (n, d) matrix of float32, one point to a row.
//
// The outer loops are CMFGen, which learns from points, and CMFMA, which learns
// from an energy. Their parts serve alone too: Langevin and Hamiltonian sample a
// Gibbs factor, which Carried takes to other coordinates; BarzilaiBorwein, LBFGS and
// NewtonCG solve for the conjugate map; Assign and Sinkhorn couple batches; Density
// and Annealing give log densities and log Z; Posterior and Clamped condition on
// coordinates; Adam steps weights.
// What is known exactly is in Gaussian, Quadratic and, on the line, LineSolver.
//
// Randomness is an argument, a Stream named by seed and purpose.
package solvers

import "gonum.org/v1/gonum/blas/blas32"

// Potential is a convex function w on ℝᵈ, evaluated on whole batches.
//
// Implementations must take any number of rows n ≥ 0. A Potential is not safe
// for concurrent use unless it says so.
type Potential interface {
	// Dim is d.
	Dim() int

	// Eval writes w(x_i) into value and ∇w(x_i) into the rows of grad for each
	// row of the (n, d) batch x. A nil value, or a grad with nil Data, is not
	// wanted and is not computed. value has length n, grad shape (n, d); grad
	// must not overlap x.
	Eval(x blas32.General, value []float32, grad blas32.General) error
}

// Curved is a Potential that also gives Hessian–vector products.
type Curved interface {
	Potential

	// HessVec writes ∇²w(x_i)·v_i into the rows of hv, all of shape (n, d).
	HessVec(x, v, hv blas32.General) error
}
