package solvers

import (
	"fmt"
	"math"
)

// Schedule is the factor on a learning rate at step 0, 1, 2, ….
type Schedule func(step int) float64

// Constant is the schedule that is 1 throughout.
func Constant() Schedule { return func(int) float64 { return 1 } }

// Cosine rises linearly over warmUp steps to 1, then falls over the rest of total
// along half a period of the cosine,
//
//	f + (1 − f)·(1 + cos πs)/2,  s = (step − warmUp)/(total − warmUp),
//
// to f = fraction, where it stays. Loshchilov and Hutter, "SGDR: Stochastic
// Gradient Descent with Warm Restarts", ICLR 2017, equation 5.
func Cosine(fraction float64, total, warmUp int) Schedule {
	return func(step int) float64 {
		if step < warmUp {
			return float64(step+1) / float64(warmUp+1)
		}
		if step >= total {
			return fraction
		}
		s := float64(step-warmUp) / float64(total-warmUp)
		return fraction + (1-fraction)*(1+math.Cos(math.Pi*s))/2
	}
}

// NewSchedule returns the schedule called constant, or the one called cosine to
// fraction, in [0, 1], over total steps of which warmUp, fewer, go first.
func NewSchedule(name string, fraction float64, total, warmUp int) (Schedule, error) {
	switch name {
	case "constant":
		return Constant(), nil
	case "cosine":
		if !(fraction >= 0 && fraction <= 1) {
			return nil, fmt.Errorf("solvers: a cosine schedule to the fraction %g; it must be from 0 to 1", fraction)
		}
		if warmUp < 0 || warmUp >= total {
			return nil, fmt.Errorf("solvers: a cosine schedule with %d of %d steps to warm up; it must be 0 or more, and less than all", warmUp, total)
		}
		return Cosine(fraction, total, warmUp), nil
	}
	return nil, fmt.Errorf("solvers: schedule %q is unknown; the known ones are constant and cosine", name)
}
