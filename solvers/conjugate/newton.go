package conjugate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// NewtonCG is the conjugate solver x ← x + t·s. The direction solves ∇²w(x)·s ≈ y − ∇w(x)
// for each row, by conjugate gradients preconditioned by P; t comes from a line search
// that starts at 1. The linear solves are inexact: they end at ‖r−Hs‖_P ≤ η‖r‖_P with
// the forcing η = min(½, 0.9·‖r‖²_P/‖r_last‖²_P), so that few products are spent far
// from the solution. A potential that is not Curved is an error.
//
// Use it for high precision on smooth or ill-conditioned potentials; where ∇²w changes
// much along a step, LBFGS is cheaper even then. Rounding in float32 limits the
// relative residual to 1e-8·κ, as measured for condition numbers κ of ∇²w from 100 to
// 1000; the limit is higher where ‖y‖ is small beside the terms of ∇w.
//
// Source: S. C. Eisenstat, H. F. Walker, "Choosing the Forcing Terms in an Inexact
// Newton Method", SIAM Journal on Scientific Computing 17 (1996), 16–32, choice 2.
type NewtonCG struct {
	// Tolerance is the relative residual at which a row has converged. 0 means
	// 1e-5.
	Tolerance float64

	// MaxIterations is the number of trial points of a row. 0 means 100.
	MaxIterations int

	ws workspace
	cg cgWorkspace
}

var _ Solver = (*NewtonCG)(nil)

// Solve implements Solver.
func (b *NewtonCG) Solve(ctx context.Context, w potential.Potential, y, x blas32.General, p *potential.Preconditioner) (Info, error) {
	curved, ok := w.(potential.Curved)
	if !ok {
		return Info{}, errors.New("conjugate: the conjugate solver newton needs Hessian–vector products, but the potential is not Curved; use lbfgs or bb")
	}
	l := lockstep{
		tolerance: cmp.Or(b.Tolerance, 1e-5),
		maxIter:   cmp.Or(b.MaxIterations, 100),
		newSearch: newNewtonSearch,
		refine: func(active []activeRow, x blas32.General, info *Info) error {
			return b.cg.solve(curved, p, active, x, info)
		},
	}
	return l.solve(ctx, &b.ws, w, y, x, p)
}

// newtonSearch is a row's line search from its last accepted point, and the
// residual there.
type newtonSearch struct {
	line    lineSearch
	r, pr   []float32
	norm2   float64 // ‖r‖²_P
	forcing float64
	started bool
	aimless bool // at an accepted point, and its direction is not found yet
}

func newNewtonSearch(d int) rowSearch {
	buffer := make([]float32, 4*d)
	return &newtonSearch{
		line: lineSearch{x: carve(&buffer, d), d: carve(&buffer, d)},
		r:    carve(&buffer, d),
		pr:   carve(&buffer, d),
	}
}

func (s *newtonSearch) reset() { s.started, s.aimless = false, false }

// next leaves an accepted point in t.x: cgWorkspace.solve goes on from there.
func (s *newtonSearch) next(t trial) {
	s.forcing = 0.5
	if s.started {
		if !s.line.advance(t) {
			return
		}
		s.forcing = min(0.5, 0.9*t.norm2/s.norm2)
	}
	copy(s.r, t.r)
	copy(s.pr, t.pr)
	s.norm2 = t.norm2
	s.started, s.aimless = true, true
}

// cgWorkspace solves H_i s_i = r_i for many rows at once. Rows that are done leave
// the batch.
type cgWorkspace struct {
	x, v, hv, r, pr blas32.General // points, directions, H·v, the rest of r, P·r
	rows            []cgRow
	listed          []int
}

// index lists the rows of the caller's batch.
func (c *cgWorkspace) index() []int {
	c.listed = c.listed[:0]
	for _, a := range c.rows {
		c.listed = append(c.listed, a.row)
	}
	return c.listed
}

type cgRow struct {
	row    int // of the caller's batch
	search *newtonSearch
	norm2  float64 // ‖r−Hs‖²_P
}

// solve finds the directions of all rows that have none, and moves their rows of
// x to the first trial point.
func (c *cgWorkspace) solve(w potential.Curved, p *potential.Preconditioner, active []activeRow, x blas32.General, info *Info) error {
	c.gather(active, x)
	for k := 0; len(c.rows) > 0; k++ {
		n := len(c.rows)
		v, hv, r, pr := batch.Rows(c.v, 0, n), batch.Rows(c.hv, 0, n), batch.Rows(c.r, 0, n), batch.Rows(c.pr, 0, n)
		if err := potential.Of(w, c.index()).HessVec(batch.Rows(c.x, 0, n), v, hv); err != nil {
			return fmt.Errorf("conjugate: Hessian–vector product: %w", err)
		}
		info.Products += n
		for i, a := range c.rows {
			step := a.norm2 / batch.Inner(batch.Row(v, i), batch.Row(hv, i))
			if !(step > 0 && batch.Finite(step)) { // no curvature: keep the s found so far
				a.search.forcing = math.Inf(1)
				continue
			}
			batch.AddScaled(a.search.line.d, step, batch.Row(v, i))
			batch.AddScaled(batch.Row(r, i), -step, batch.Row(hv, i))
		}
		p.Apply(pr, r)
		for i := n - 1; i >= 0; i-- {
			if !c.turn(i) || k+1 == x.Cols {
				c.drop(i)
			}
		}
	}
	for i, a := range active {
		if s := a.search.(*newtonSearch); s.aimless {
			s.line.begin(batch.Row(x, i), s.r, s.pr)
			s.aimless = false
		}
	}
	return nil
}

// gather starts a linear solve at s = 0 for each row without a direction.
func (c *cgWorkspace) gather(active []activeRow, x blas32.General) {
	if n, d := x.Rows, x.Cols; n > c.x.Rows || d != c.x.Cols {
		c.x, c.v, c.hv, c.r, c.pr = batch.New(n, d), batch.New(n, d), batch.New(n, d), batch.New(n, d), batch.New(n, d)
	}
	c.rows = c.rows[:0]
	for i, a := range active {
		s := a.search.(*newtonSearch)
		if !s.aimless {
			continue
		}
		k := len(c.rows)
		copy(batch.Row(c.x, k), batch.Row(x, i))
		copy(batch.Row(c.v, k), s.pr)
		copy(batch.Row(c.r, k), s.r)
		clear(s.line.d)
		c.rows = append(c.rows, cgRow{a.row, s, s.norm2})
	}
}

// turn moves row i to its next conjugate direction. It returns false if the row is done.
func (c *cgWorkspace) turn(i int) bool {
	a := &c.rows[i]
	s := a.search
	norm2 := batch.Inner(batch.Row(c.r, i), batch.Row(c.pr, i))
	if !(norm2 > s.forcing*s.forcing*s.norm2) {
		return false
	}
	ratio := norm2 / a.norm2
	a.norm2 = norm2
	for j, q := range batch.Row(c.pr, i) {
		v := &batch.Row(c.v, i)[j]
		*v = q + float32(ratio)**v
	}
	return true
}

func (c *cgWorkspace) drop(i int) {
	last := len(c.rows) - 1
	c.rows[i] = c.rows[last]
	copy(batch.Row(c.x, i), batch.Row(c.x, last))
	copy(batch.Row(c.v, i), batch.Row(c.v, last))
	copy(batch.Row(c.r, i), batch.Row(c.r, last))
	c.rows = c.rows[:last]
}
