package conjugate

import (
	"math"

	"cmf/solvers/batch"
)

// lineSearch looks, for one row, for a step t > 0 along d from x at which
// φ(x) = w(x) − ⟨x,y⟩ is near its minimum on the line. It uses only the slope
// φ′(t) = −r(t)ᵀd: since φ is convex the slope rises with t, and near the solution it
// keeps its digits in float32, which a difference of values of φ does not.
//
// A step is accepted if |φ′(t)| ≤ 0.9·|φ′(0)|, the approximate Wolfe conditions
// with δ = 0.05 and σ = 0.9: W. W. Hager, H. Zhang, "A New Conjugate Gradient
// Method with Guaranteed Descent and an Efficient Line Search", SIAM Journal on
// Optimization 16 (2005), 170–192. Stricter conditions cost more evaluations than they
// save.
type lineSearch struct {
	x, d  []float32
	slope float64 // −φ′(0)
	t     float64

	// The minimum lies between lo and hi, where φ′(t)/φ′(0) is atLo > 0 > atHi.
	lo, hi, atLo, atHi float64
}

const (
	slopeLeft   = 0.9  // largest share of the slope at 0 that an accepted step leaves
	mostGrowth  = 10   // of a step that was too short
	edgeOfRange = 0.01 // share of the bracket that a trial keeps from either end
)

// begin starts a search along l.d from x, where the residual is r, and overwrites x by
// the first trial point, with step 1. If φ does not fall along l.d, which can happen
// when rounding has spoilt it, the search is along fallback instead.
func (l *lineSearch) begin(x, r, fallback []float32) {
	l.slope = batch.Inner(r, l.d)
	if !(l.slope > 0 && batch.Finite(l.slope)) {
		copy(l.d, fallback)
		l.slope = batch.Inner(r, l.d)
	}
	l.t, l.lo, l.hi, l.atLo, l.atHi = 1, 0, math.Inf(1), 1, math.Inf(-1)
	copy(l.x, x)
	batch.AddScaled(x, 1, l.d)
}

// advance accepts the trial point t or overwrites t.x by the next one.
func (l *lineSearch) advance(t trial) bool {
	left := math.Inf(-1) // for a point that is not finite: it is too far
	if !math.IsInf(t.norm2, 1) {
		left = batch.Inner(t.r, l.d) / l.slope
	}
	if math.Abs(left) <= slopeLeft {
		return true
	}
	if left > 0 {
		l.lo, l.atLo = l.t, left
	} else {
		l.hi, l.atHi = l.t, left
	}
	l.t = l.secant()
	copy(t.x, l.x)
	batch.AddScaled(t.x, l.t, l.d)
	return false
}

// secant is the zero of the chord of the slope: over the bracket, or extrapolated beyond lo
// while there is no hi. It is kept within sensible reach.
func (l *lineSearch) secant() float64 {
	if math.IsInf(l.hi, 1) {
		grown := l.lo / (1 - l.atLo)
		if !(grown > 0) {
			grown = math.Inf(1)
		}
		return min(max(grown, 2*l.lo), mostGrowth*l.lo)
	}
	share := l.atLo / (l.atLo - l.atHi)
	return l.lo + min(max(share, edgeOfRange), 1-edgeOfRange)*(l.hi-l.lo)
}
