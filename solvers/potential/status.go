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
