package potential

import (
	"errors"
	"fmt"
)

// What goes wrong with a batch, besides ErrNonFiniteGradient.
var (
	ErrParticles  = errors.New("the Langevin particles are lost")
	ErrConjugates = errors.New("no conjugate is solved even roughly")
	ErrCurvature  = errors.New("no usable curvature")
	ErrLoss       = errors.New("the loss is out of bounds")
	ErrEnergy     = errors.New("the energy is finite at no point of the batch")
)

// Status says how the work on one row ended.
type Status uint8

const (
	// Converged rows have a relative residual of at most the tolerance.
	Converged Status = iota
	// MaxIterations rows ran out of iterations.
	MaxIterations
	// Stalled rows found no acceptable step, however short: as a rule rounding
	// hides what is left of the residual, or w has no curvature.
	Stalled
	// NotFinite rows have a NaN or an infinity in what is given, or in what the
	// potential makes of it; a solve leaves their x as it was.
	NotFinite
	// NotConvex rows are where ∇²w is not positive definite.
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
