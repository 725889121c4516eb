package solvers

import (
	"errors"
	"fmt"
	"math"

	"cmf/graph/kernel"

	"gonum.org/v1/gonum/blas/blas32"
)

// patience ends the search of a row of which so many trial points in a row were no
// better than the best: it is at the floor that rounding sets. Rows that went on to
// converge have been seen to wait for up to 28.
const patience = 50

// rowSearch is what a conjugate solver does with one row: it turns an evaluated
// trial point into the next one.
type rowSearch interface {
	// reset forgets the row searched before.
	reset()

	// next accepts or refuses the trial point t and overwrites t.x by the next one.
	// The first point after a reset is finite and must be accepted.
	next(t trial)
}

// trial is a point x of one row with its residual r = y − ∇w(x), which is the
// ascent direction of ⟨x,y⟩ − w(x). All three slices are the search's to overwrite.
type trial struct {
	x, r, pr []float32 // pr = P·r
	norm2    float64   // ‖r‖²_P = rᵀPr, +Inf where the evaluation was not finite
}

// lockstep runs one rowSearch for each row of a batch. All rows that are still
// searching are evaluated at once; the others leave the batch.
type lockstep struct {
	tolerance float64
	maxIter   int
	newSearch func(d int) rowSearch

	// refine, where set, sees each batch of searches before it is evaluated, and
	// may change the trial points.
	refine func(active []activeRow, x blas32.General, info *ConjugateInfo) error
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
	info     ConjugateInfo
}

func (l lockstep) solve(ws *workspace, w Potential, y, x blas32.General, p *Metric) (ConjugateInfo, error) {
	if err := errors.Join(checkLimits(l.tolerance, l.maxIter), checkSystem(w, y, x, p)); err != nil {
		return ConjugateInfo{}, err
	}
	l.start(ws, y, x)
	info := &ws.info
	for k := 0; len(ws.active) > 0; k++ {
		n := len(ws.active)
		at, r, pr := rows(ws.x, 0, n), rows(ws.r, 0, n), rows(ws.pr, 0, n)
		if l.refine != nil {
			if err := l.refine(ws.active, at, info); err != nil {
				return ConjugateInfo{}, err
			}
		}
		if err := w.Eval(at, nil, r); err != nil {
			return ConjugateInfo{}, fmt.Errorf("solvers: conjugate iteration %d: %w", k, err)
		}
		info.Evaluations += n
		for i, a := range ws.active {
			subtractFrom(row(y, a.row), row(r, i))
		}
		p.Apply(pr, r)
		// Backwards, because a row that leaves is replaced by the last one.
		for i := n - 1; i >= 0; i-- {
			t := trial{row(at, i), row(r, i), row(pr, i), 0}
			if done, status := l.judge(&ws.active[i], t, k, x, info); done {
				info.Status[ws.active[i].row] = status
				last := len(ws.active) - 1
				ws.active[i] = ws.active[last]
				copy(t.x, row(at, last))
				ws.active = ws.active[:last]
			}
		}
	}
	return *info, nil
}

// start gathers the rows that can be solved and allots a search to each.
func (l lockstep) start(ws *workspace, y, x blas32.General) {
	n, d := y.Rows, y.Cols
	if d != ws.x.Cols {
		ws.searches = nil
	}
	if d != ws.x.Cols || n > ws.x.Rows {
		ws.x, ws.r, ws.pr = newBatch(n, d), newBatch(n, d), newBatch(n, d)
	}
	info := &ws.info
	*info = ConjugateInfo{
		Status:     resized(info.Status, n),
		Residual:   resized(info.Residual, n),
		Scale:      resized(info.Scale, n),
		Iterations: resized(info.Iterations, n),
	}
	ws.active = ws.active[:0]
	for j := range n {
		size := norm(row(y, j))
		info.Scale[j] = float32(max(size, 0.01*math.Sqrt(float64(d))))
		info.Residual[j] = float32(math.Inf(1))
		info.Status[j], info.Iterations[j] = Converged, 0
		if !isFinite(size) || !isFinite(norm(row(x, j))) {
			info.Status[j] = NotFinite
			continue
		}
		i := len(ws.active)
		if i == len(ws.searches) {
			ws.searches = append(ws.searches, l.newSearch(d))
		}
		ws.searches[i].reset()
		copy(row(ws.x, i), row(x, j))
		ws.active = append(ws.active, activeRow{row: j, search: ws.searches[i]})
	}
}

// judge keeps the evaluated point t of row a if it is the best so far, and either
// ends the row or lets its search choose the next point.
func (l lockstep) judge(a *activeRow, t trial, k int, x blas32.General, info *ConjugateInfo) (done bool, s Status) {
	j := a.row
	info.Iterations[j] = k
	residual := norm(t.r) / float64(info.Scale[j])
	t.norm2 = inner(t.r, t.pr)
	if !isFinite(residual) || !isFinite(t.norm2) {
		if k == 0 {
			return true, NotFinite
		}
		residual, t.norm2 = math.Inf(1), math.Inf(1)
	}
	if float32(residual) < info.Residual[j] {
		info.Residual[j] = float32(residual)
		copy(row(x, j), t.x)
		a.best = k
	}
	switch {
	case residual <= l.tolerance:
		return true, Converged
	case k == l.maxIter:
		return true, MaxIterations
	case k-a.best == patience:
		return true, Stalled
	}
	a.search.next(t)
	return false, 0
}

// checkSystem reports shapes that do not fit together.
func checkSystem(w Potential, y, x blas32.General, p *Metric) error {
	if d := w.Dim(); y.Cols != d {
		return fmt.Errorf("solvers: y has %d columns, the potential dimension %d; they must agree", y.Cols, d)
	}
	if x.Rows != y.Rows || x.Cols != y.Cols {
		return fmt.Errorf("solvers: x has shape (%d, %d), y (%d, %d); they must agree", x.Rows, x.Cols, y.Rows, y.Cols)
	}
	return errors.Join(checkBatch("y", y), checkBatch("x", x), checkMetric(p, y.Cols))
}

// shortRow is the length up to which a loop in place beats a call.
const shortRow = 8

// inner is aᵀb, summed in float64.
func inner(a, b []float32) float64 {
	if len(a) > shortRow {
		return kernel.Dsdot(a, b)
	}
	var sum float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// norm is ‖a‖.
func norm(a []float32) float64 { return math.Sqrt(inner(a, a)) }

// addScaled adds c·a to dst.
func addScaled(dst []float32, c float64, a []float32) {
	if len(a) > shortRow {
		kernel.Axpy(dst, float32(c), a)
		return
	}
	for i, v := range a {
		dst[i] += float32(c) * v
	}
}

// subtractFrom writes a − b into b.
func subtractFrom(a, b []float32) {
	if len(a) > shortRow {
		kernel.Sub(b, a, b)
		return
	}
	for i, v := range a {
		b[i] = v - b[i]
	}
}

func isFinite(v float64) bool { return v-v == 0 }

// carve returns the next d numbers of *buffer and moves it past them.
func carve(buffer *[]float32, d int) []float32 {
	v := (*buffer)[:d:d]
	*buffer = (*buffer)[d:]
	return v
}
