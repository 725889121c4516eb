package potential

import (
	"errors"
	"fmt"
)

// These errors say what goes wrong with a batch, besides ErrNonFiniteGradient.
var (
	ErrParticles  = errors.New("the Langevin particles are lost")
	ErrConjugates = errors.New("no conjugate was solved even roughly")
	ErrCurvature  = errors.New("no usable curvature")
	ErrLoss       = errors.New("the loss is out of bounds")
	ErrEnergy     = errors.New("the energy is not finite at any point of the batch")
)

// Status says how the work on one row ended.
type Status uint8

const (
	// Converged rows have a relative residual of at most the tolerance.
	Converged Status = iota
	// MaxIterations rows ran out of iterations.
	MaxIterations
	// Stalled rows found no acceptable step, however short: usually rounding hides
	// the rest of the residual, or w has no curvature.
	Stalled
	// NotFinite rows have NaN or an infinity in the input, or in the values that the
	// potential has there; a solve leaves their x unchanged.
	NotFinite
	// NotConvex rows are at points where ∇²w is not positive definite.
	NotConvex
)

// String names the status.
func (s Status) String() string {
	names := [...]string{"converged", "out of iterations", "stalled", "not finite", "not convex"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// Failed counts the rows that did not converge.
func Failed(status []Status) (failed int) {
	for _, s := range status {
		if s != Converged {
			failed++
		}
	}
	return failed
}
