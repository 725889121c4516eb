package solvers

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas/blas32"
)

// BarzilaiBorwein is the conjugate solver x ← x + t·P(y − ∇w(x)), with a step of
// its own for each row: the short one of Barzilai and Borwein in the metric P,
// t = sᵀΔg/ΔgᵀPΔg, from the last change s of x and Δg of ∇w(x). A step is refused,
// and shortened, if it takes ‖y−∇w(x)‖_P above its largest value over the last
// twenty steps, so that the solve can neither diverge nor be slowed down by
// insisting on descent.
//
// It keeps two vectors to a row, and needs about half as many evaluations again as
// LBFGS, twice as many where P is poor.
//
// Sources: J. Barzilai, J. M. Borwein, "Two-Point Step Size Gradient Methods",
// IMA Journal of Numerical Analysis 8 (1988), 141–148. L. Grippo, F. Lampariello,
// S. Lucidi, "A Nonmonotone Line Search Technique for Newton's Method", SIAM
// Journal on Numerical Analysis 23 (1986), 707–716.
type BarzilaiBorwein struct {
	// Tolerance is the relative residual at which a row has converged. Zero
	// stands for 1e-3.
	Tolerance float64

	// MaxIterations is the number of trial points of a row. Zero stands for 300.
	MaxIterations int

	ws workspace
}

var _ Conjugate = (*BarzilaiBorwein)(nil)

// Solve implements Conjugate.
func (b *BarzilaiBorwein) Solve(w Potential, y, x blas32.General, p *Metric) (ConjugateInfo, error) {
	l := lockstep{
		tolerance: cmp.Or(b.Tolerance, 1e-3),
		maxIter:   cmp.Or(b.MaxIterations, 300),
		newSearch: func(d int) rowSearch { return &bbSearch{x: make([]float32, d), pr: make([]float32, d)} },
	}
	return l.solve(&b.ws, w, y, x, p)
}

// bbSearch is a row's last accepted point x with P·r and ‖r‖²_P there, the step t
// that was last tried from it, and ‖r‖²_P at the last accepted points.
type bbSearch struct {
	x, pr    []float32
	norm2, t float64
	recent   [20]float64
	accepted int
}

func (s *bbSearch) reset() {
	s.accepted, s.t = 0, 1
	clear(s.recent[:])
}

func (s *bbSearch) next(t trial) {
	if s.accepted > 0 {
		ok := t.norm2 <= slices.Max(s.recent[:])
		s.t = s.newStep(t, ok)
		if !ok {
			copy(t.x, s.x)
			addScaled(t.x, s.t, s.pr)
			return
		}
	}
	copy(s.x, t.x)
	copy(s.pr, t.pr)
	s.norm2 = t.norm2
	s.recent[s.accepted%len(s.recent)] = t.norm2
	s.accepted++
	addScaled(t.x, s.t, t.pr)
}

// newStep is the short Barzilai–Borwein step of the last move. It is also the
// step that would have left the least ‖r‖_P on that line, were ∇w affine, so
// that it serves to shorten a refused step too.
func (s *bbSearch) newStep(t trial, ok bool) float64 {
	step := 0.0
	if !math.IsInf(t.norm2, 1) {
		// With s = t·Pr and Δr = −Δg, no difference of vectors is needed.
		cross := inner(t.r, s.pr)
		step = s.t * (s.norm2 - cross) / (s.norm2 - 2*cross + t.norm2)
	}
	switch {
	case !ok && step > 0:
		return min(max(step, 0.01*s.t), 0.5*s.t)
	case !ok:
		return 0.1 * s.t
	case step > 0 && !math.IsInf(step, 1):
		return step
	}
	return s.t // rounding hid the curvature
}
