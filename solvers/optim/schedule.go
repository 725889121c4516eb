package optim

import (
	"fmt"
	"math"
)

// Schedule is the factor on a learning rate at step 0, 1, 2, ….
type Schedule func(step int) float64

// NewSchedule returns the schedule called constant or cosine. Both rise linearly
// to 1 over warmUp ≥ 0 steps. Constant stays there and ignores fraction and total.
// Cosine then falls along half a period of the cosine,
//
//	f + (1 − f)·(1 + cos πs)/2,  s = (step − warmUp)/(total − warmUp),
//
// and reaches f = fraction, in [0, 1], after total > warmUp steps. Loshchilov and
// Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
// equation 5.
func NewSchedule(name string, fraction float64, total, warmUp int) (Schedule, error) {
	if warmUp < 0 {
		return nil, fmt.Errorf("optim: a schedule with %d steps to warm up; there must be 0 or more", warmUp)
	}
	var after Schedule
	switch name {
	case "constant":
		after = func(int) float64 { return 1 }
	case "cosine":
		if !(fraction >= 0 && fraction <= 1) {
			return nil, fmt.Errorf("optim: a cosine schedule to the fraction %g; it must be from 0 to 1", fraction)
		}
		if total <= warmUp {
			return nil, fmt.Errorf("optim: a cosine schedule of %d steps with %d to warm up; the steps must be more than those to warm up", total, warmUp)
		}
		after = func(step int) float64 {
			s := min(1, float64(step)/float64(total-warmUp))
			return fraction + (1-fraction)*(1+math.Cos(math.Pi*s))/2
		}
	default:
		return nil, fmt.Errorf("optim: schedule %q is unknown; the known ones are constant and cosine", name)
	}
	return func(step int) float64 {
		if step < warmUp {
			return float64(step+1) / float64(warmUp+1)
		}
		return after(step - warmUp)
	}, nil
}
