package solvers

import (
	"fmt"

	"gonum.org/v1/gonum/blas/blas32"
)

// Conjugate finds conjugate maps, ∇w*(y) = argmax_x ⟨x,y⟩ − w(x): the point at
// which ∇w(x) = y.
//
// A Conjugate owns its work buffers, so it is not safe for concurrent use.
type Conjugate interface {
	// Solve solves ∇w(x_i) = y_i for each row of the (n, d) batch y. The rows of x
	// hold the starting points and receive the solutions: of all points at which a
	// row was evaluated, the one of least residual. p preconditions the steps; nil
	// is the identity. y and x must not overlap.
	//
	// Failing to converge is no error: it is the row's Status. An error means an
	// option or a shape that is not allowed, or a failure of w itself.
	Solve(w Potential, y, x blas32.General, p *Metric) (ConjugateInfo, error)
}

// NewConjugate returns the conjugate solver called name: bb, lbfgs or newton. A
// tolerance or maxIter of 0 stands for that solver's default.
func NewConjugate(name string, tolerance float64, maxIter int) (Conjugate, error) {
	if err := checkLimits(tolerance, maxIter); err != nil {
		return nil, err
	}
	switch name {
	case "bb":
		return &BarzilaiBorwein{Tolerance: tolerance, MaxIterations: maxIter}, nil
	case "lbfgs":
		return &LBFGS{Tolerance: tolerance, MaxIterations: maxIter}, nil
	case "newton":
		return &NewtonCG{Tolerance: tolerance, MaxIterations: maxIter}, nil
	}
	return nil, fmt.Errorf("solvers: unknown conjugate solver %q; known are bb, lbfgs and newton", name)
}

// Status says how the solve of one row ended.
type Status uint8

const (
	// Converged rows have a relative residual of at most the tolerance.
	Converged Status = iota
	// MaxIterations rows ran out of iterations.
	MaxIterations
	// Stalled rows found no acceptable step, however short: as a rule rounding
	// hides what is left of the residual.
	Stalled
	// NotFinite rows have a NaN or an infinity in y, in the starting point or in
	// ∇w there; their x is left as it was.
	NotFinite
)

// String names the status.
func (s Status) String() string {
	names := [...]string{"converged", "out of iterations", "stalled", "not finite"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// ConjugateInfo tells how the solves of a batch of n rows went. The slices, of
// length n, belong to the Conjugate and hold until its next Solve.
type ConjugateInfo struct {
	Status []Status

	// Residual is ‖∇w(x)−y‖/Scale at the returned x, +Inf in a row that is not
	// finite. Scale is max(‖y‖, 0.01·√d): near y = 0, rounding in ∇w would keep
	// any residual from being small beside ‖y‖.
	Residual, Scale []float32

	// Iterations counts the trial points of a row after its starting point.
	Iterations []int

	// Evaluations and Products count rows: those given to Potential.Eval and
	// those given to Curved.HessVec.
	Evaluations, Products int
}

// Converged is the share of rows that converged, 1 for an empty batch.
func (c ConjugateInfo) Converged() float64 {
	if len(c.Status) == 0 {
		return 1
	}
	converged := 0
	for _, s := range c.Status {
		if s == Converged {
			converged++
		}
	}
	return float64(converged) / float64(len(c.Status))
}

// MaxResidual is the largest relative residual, +Inf if a row is not finite.
func (c ConjugateInfo) MaxResidual() float64 {
	var most float64
	for _, r := range c.Residual {
		most = max(most, float64(r))
	}
	return most
}

// MeanIterations is the mean of Iterations over the rows, 0 for an empty batch.
func (c ConjugateInfo) MeanIterations() float64 {
	sum := 0
	for _, k := range c.Iterations {
		sum += k
	}
	return float64(sum) / float64(max(1, len(c.Iterations)))
}

// Bound returns, for each row, the certificate ‖x−∇w*(y)‖ ≤ ‖∇w(x)−y‖/m, in the
// units of x, for a potential of strong convexity m > 0: ∇²w(x) ⪰ m·I for all x.
func (c ConjugateInfo) Bound(m float64) []float64 {
	bound := make([]float64, len(c.Residual))
	for i, r := range c.Residual {
		bound[i] = float64(r) * float64(c.Scale[i]) / m
	}
	return bound
}

// checkLimits reports a tolerance or an iteration limit that is not allowed.
func checkLimits(tolerance float64, maxIter int) error {
	if !(tolerance >= 0 && tolerance < 1) {
		return fmt.Errorf("solvers: conjugate tolerance %g; it must be at least 0 and less than 1", tolerance)
	}
	if maxIter < 0 {
		return fmt.Errorf("solvers: conjugate iteration limit %d; it must be at least 0", maxIter)
	}
	return nil
}
