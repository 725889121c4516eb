package conjugate

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// patience is the number of trial points in a row, none better than the best, after
// which the search of a row ends: it has reached the limit that rounding sets. Rows
// that converged in the end have needed up to 28.
const patience = 50

// rowSearch is what a conjugate solver does with one row: it turns an evaluated
// trial point into the next one.
type rowSearch interface {
	// reset forgets the previous row.
	reset()

	// next accepts or refuses the trial point t and overwrites t.x by the next one.
	// The first point after a reset is finite and must be accepted.
	next(t trial)
}

// trial is a point x of one row with its residual r = y − ∇w(x), which is the
// ascent direction of ⟨x,y⟩ − w(x). The search may overwrite all three slices.
type trial struct {
	x, r, pr []float32 // pr = P·r
	norm2    float64   // ‖r‖²_P = rᵀPr, +Inf if the evaluation was not finite
}

// lockstep runs one rowSearch for each row of a batch. All rows that are still
// searching are evaluated at once; the others leave the batch.
type lockstep struct {
	tolerance float64
	maxIter   int
	newSearch func(d int) rowSearch

	// refine, if set, is given each batch of searches before it is evaluated, and
	// may change the trial points.
	refine func(active []activeRow, x blas32.General, info *Info) error
}

// activeRow is a row of the caller's batch that is still searching.
type activeRow struct {
	row    int
	search rowSearch
	best   int // iteration of the best point so far
}

// workspace is what lockstep keeps from one solve to the next.
type workspace struct {
	x, r, pr blas32.General
	active   []activeRow
	searches []rowSearch
	index    []int
	info     Info
}

// rows lists the rows that are still searching.
func (ws *workspace) rows() []int {
	ws.index = ws.index[:0]
	for _, a := range ws.active {
		ws.index = append(ws.index, a.row)
	}
	return ws.index
}

func (l lockstep) solve(ctx context.Context, ws *workspace, w potential.Potential, y, x blas32.General, p *potential.Preconditioner) (Info, error) {
	if err := errors.Join(checkLimits(l.tolerance, l.maxIter), checkSystem(w, y, x, p)); err != nil {
		return Info{}, err
	}
	l.start(ws, y, x)
	info := &ws.info
	if e, ok := w.(potential.Explicit); ok && e.Explicit() {
		return *info, evaluate(e, ws, y, x)
	}
	for k := 0; len(ws.active) > 0; k++ {
		if err := ctx.Err(); err != nil {
			return Info{}, fmt.Errorf("conjugate: %w", err)
		}
		n := len(ws.active)
		at, r, pr := batch.Rows(ws.x, 0, n), batch.Rows(ws.r, 0, n), batch.Rows(ws.pr, 0, n)
		if l.refine != nil {
			if err := l.refine(ws.active, at, info); err != nil {
				return Info{}, err
			}
		}
		if err := potential.Of(w, ws.rows()).Eval(at, nil, r); err != nil {
			return Info{}, fmt.Errorf("conjugate: conjugate iteration %d: %w", k, err)
		}
		info.Evaluations += n
		for i, a := range ws.active {
			batch.SubtractFrom(batch.Row(y, a.row), batch.Row(r, i))
		}
		p.Apply(pr, r)
		// Backwards, because a row that leaves is replaced by the last one.
		for i := n - 1; i >= 0; i-- {
			t := trial{batch.Row(at, i), batch.Row(r, i), batch.Row(pr, i), 0}
			if done, status := l.judge(&ws.active[i], t, k, x, info); done {
				info.Status[ws.active[i].row] = status
				last := len(ws.active) - 1
				ws.active[i] = ws.active[last]
				copy(t.x, batch.Row(at, last))
				ws.active = ws.active[:last]
			}
		}
	}
	return *info, nil
}

// evaluate writes ∇w*(y) of a potential that has it. The residual of a row is 0: to
// find ∇w(x) would take a solve.
func evaluate(w potential.Explicit, ws *workspace, y, x blas32.General) error {
	if err := w.EvalConjugate(y, nil, x); err != nil {
		return fmt.Errorf("conjugate: evaluating the conjugate: %w", err)
	}
	info := &ws.info
	info.Evaluations = y.Rows
	for j := range y.Rows {
		info.Status[j] = potential.NotFinite
		if batch.AllFinite(batch.Row(x, j)) {
			info.Status[j], info.Residual[j] = potential.Converged, 0
		}
	}
	return nil
}

// start gathers the rows that can be solved and gives each of them a search.
func (l lockstep) start(ws *workspace, y, x blas32.General) {
	n, d := y.Rows, y.Cols
	if d != ws.x.Cols {
		ws.searches = nil
	}
	if d != ws.x.Cols || n > ws.x.Rows {
		ws.x, ws.r, ws.pr = batch.New(n, d), batch.New(n, d), batch.New(n, d)
	}
	info := &ws.info
	*info = Info{
		Status:     batch.Resized(info.Status, n),
		Residual:   batch.Resized(info.Residual, n),
		Scale:      batch.Resized(info.Scale, n),
		Iterations: batch.Resized(info.Iterations, n),
	}
	ws.active = ws.active[:0]
	for j := range n {
		size := batch.Norm(batch.Row(y, j))
		info.Scale[j] = float32(max(size, 0.01*math.Sqrt(float64(d))))
		info.Residual[j] = float32(math.Inf(1))
		info.Status[j], info.Iterations[j] = potential.Converged, 0
		if !batch.Finite(size) || !batch.Finite(batch.Norm(batch.Row(x, j))) {
			info.Status[j] = potential.NotFinite
			continue
		}
		i := len(ws.active)
		if i == len(ws.searches) {
			ws.searches = append(ws.searches, l.newSearch(d))
		}
		ws.searches[i].reset()
		copy(batch.Row(ws.x, i), batch.Row(x, j))
		ws.active = append(ws.active, activeRow{row: j, search: ws.searches[i]})
	}
}

// judge keeps the evaluated point t of row a if it is the best so far, and either
// ends the row or lets its search choose the next point.
func (l lockstep) judge(a *activeRow, t trial, k int, x blas32.General, info *Info) (done bool, s potential.Status) {
	j := a.row
	info.Iterations[j] = k
	residual := batch.Norm(t.r) / float64(info.Scale[j])
	t.norm2 = batch.Inner(t.r, t.pr)
	if !batch.Finite(residual) || !batch.Finite(t.norm2) {
		if k == 0 {
			return true, potential.NotFinite
		}
		residual, t.norm2 = math.Inf(1), math.Inf(1)
	}
	if float32(residual) < info.Residual[j] {
		info.Residual[j] = float32(residual)
		copy(batch.Row(x, j), t.x)
		a.best = k
	}
	switch {
	case residual <= l.tolerance:
		return true, potential.Converged
	case k == l.maxIter:
		return true, potential.MaxIterations
	case k-a.best == patience:
		return true, potential.Stalled
	}
	a.search.next(t)
	return false, 0
}

// checkSystem reports shapes that do not fit together.
func checkSystem(w potential.Potential, y, x blas32.General, p *potential.Preconditioner) error {
	if d := w.Dim(); y.Cols != d {
		return fmt.Errorf("conjugate: y has %d columns, the potential dimension %d; they must agree", y.Cols, d)
	}
	if x.Rows != y.Rows || x.Cols != y.Cols {
		return fmt.Errorf("conjugate: x has shape (%d, %d), y (%d, %d); they must agree", x.Rows, x.Cols, y.Rows, y.Cols)
	}
	return errors.Join(batch.Check("y", y), batch.Check("x", x), potential.CheckPreconditioner(p, y.Cols))
}

// carve returns the next d numbers of *buffer and moves it past them.
func carve(buffer *[]float32, d int) []float32 {
	v := (*buffer)[:d:d]
	*buffer = (*buffer)[d:]
	return v
}
