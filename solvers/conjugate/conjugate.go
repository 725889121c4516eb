// Package conjugate solves for the conjugate map ∇w*(y), the point x at which
// ∇w(x) = y, for whole batches: by BarzilaiBorwein, LBFGS or NewtonCG. Rows are solved
// in lockstep and leave the batch when they converge; each has its own status.
// HessianSolver solves ∇²w(x)·u = v.
package conjugate

import (
	"context"
	"fmt"
	"strings"

	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// Solver finds conjugate maps, ∇w*(y) = argmax_x ⟨x,y⟩ − w(x): the point at
// which ∇w(x) = y.
//
// A Solver owns its work buffers, so it is not safe for concurrent use.
type Solver interface {
	// Solve solves ∇w(x_i) = y_i for each row of the (n, d) batch y. The rows of x hold
	// the starting points and receive the solutions: of all points at which a row was
	// evaluated, the one with the smallest residual. p preconditions the steps; a nil p
	// is the identity. y and x must not overlap.
	//
	// A row that does not converge is not an error: its Status says so. An error means
	// an option or a shape that is not allowed, a failure of w itself, or the end of
	// ctx, which is checked before each evaluation of w.
	Solve(ctx context.Context, w potential.Potential, y, x blas32.General, p *potential.Preconditioner) (Info, error)
}

// Method names a Solver.
type Method string

const (
	ByBarzilaiBorwein Method = "bb"
	ByLBFGS           Method = "lbfgs"
	ByNewtonCG        Method = "newton"
)

// Known lists the methods that New accepts.
func (Method) Known() []string {
	return []string{string(ByBarzilaiBorwein), string(ByLBFGS), string(ByNewtonCG)}
}

// New returns the solver of a method. A tolerance or maxIter of 0 means that solver's
// default.
func New(method Method, tolerance float64, maxIter int) (Solver, error) {
	if err := checkLimits(tolerance, maxIter); err != nil {
		return nil, err
	}
	switch method {
	case ByBarzilaiBorwein:
		return &BarzilaiBorwein{Tolerance: tolerance, MaxIterations: maxIter}, nil
	case ByLBFGS:
		return &LBFGS{Tolerance: tolerance, MaxIterations: maxIter}, nil
	case ByNewtonCG:
		return &NewtonCG{Tolerance: tolerance, MaxIterations: maxIter}, nil
	}
	return nil, fmt.Errorf("conjugate: unknown method %q; known are %s", method, strings.Join(method.Known(), ", "))
}

// Info tells how the solves of a batch of n rows went. Its slices have length n,
// belong to the Solver, and hold until its next Solve.
type Info struct {
	Status []potential.Status

	// Residual is ‖∇w(x)−y‖/Scale at the returned x, +Inf in a row that is not
	// finite. Scale is max(‖y‖, 0.01·√d), because near y = 0 rounding in ∇w keeps
	// every residual from being small beside ‖y‖.
	Residual, Scale []float32

	// Iterations counts the trial points of a row after its starting point.
	Iterations []int

	// Evaluations counts the rows given to Potential.Eval, Products those given to
	// Curved.HessVec.
	Evaluations, Products int
}

// Converged is the share of rows that converged, 1 for an empty batch.
func (c Info) Converged() float64 {
	if len(c.Status) == 0 {
		return 1
	}
	converged := 0
	for _, s := range c.Status {
		if s == potential.Converged {
			converged++
		}
	}
	return float64(converged) / float64(len(c.Status))
}

// MaxResidual is the largest relative residual, +Inf if a row is not finite.
func (c Info) MaxResidual() float64 {
	var most float64
	for _, r := range c.Residual {
		most = max(most, float64(r))
	}
	return most
}

// MeanIterations is the mean of Iterations over the rows, 0 for an empty batch.
func (c Info) MeanIterations() float64 {
	sum := 0
	for _, k := range c.Iterations {
		sum += k
	}
	return float64(sum) / float64(max(1, len(c.Iterations)))
}

// Bound returns, for each row, the certificate ‖x−∇w*(y)‖ ≤ ‖∇w(x)−y‖/m, in the
// units of x, for a potential of strong convexity m > 0: ∇²w(x) ⪰ m·I for all x.
func (c Info) Bound(m float64) []float64 {
	bound := make([]float64, len(c.Residual))
	for i, r := range c.Residual {
		bound[i] = float64(r) * float64(c.Scale[i]) / m
	}
	return bound
}

// checkLimits reports a tolerance or an iteration limit that is not allowed.
func checkLimits(tolerance float64, maxIter int) error {
	if !(tolerance >= 0 && tolerance < 1) {
		return fmt.Errorf("conjugate: the tolerance is %g; it must be at least 0 and less than 1", tolerance)
	}
	if maxIter < 0 {
		return fmt.Errorf("conjugate: the limit of iterations is %d; it must be at least 0", maxIter)
	}
	return nil
}
