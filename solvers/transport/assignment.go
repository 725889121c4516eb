// Package transport couples batches: Assign gives the exact assignment, Sinkhorn the
// entropic coupling, and EntropicMap the map that belongs to it. SlicedW2 and LineW2
// are distances.
package transport

import (
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/order"

	"gonum.org/v1/gonum/blas/blas32"
)

// Assignment is an optimal matching of n rows to n columns.
type Assignment struct {
	Match []int     // the column of each row, a permutation
	U, V  []float64 // optimal duals of rows and columns: u_i + v_j ≤ c_ij, with equality on the match
	Total float64   // Σ_i c_{i,Match[i]} = Σ_i u_i + Σ_j v_j
}

// Assign solves min_σ Σ_i c_{i,σ(i)} over permutations σ for the (n, n) matrix cost. It
// is exact up to float64 rounding, and takes O(n³ log n) time at worst: an auction that
// ends in shortest augmenting paths. Among several optimal matchings it always finds
// the same one.
//
// Bids with ever smaller ε bring the duals v near the optimal ones (Bertsekas, "The
// auction algorithm: a distributed relaxation method for the assignment problem",
// Annals of Operations Research 14, 1988, pages 105–123). From there bids without ε
// and paths find an optimum: they are the augmenting row reduction and the augmentation
// of Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse
// linear assignment problems", Computing 38, 1987, pages 325–340, which may start from
// any v.
//
// A row looks only at the few columns with its smallest reduced costs c_ij − v_j. That
// loses nothing: since v_j never rises, the smallest old reduced cost of the other
// columns is a lower bound, and they are looked at where the bound does not exclude
// them.
//
// A cost that is not square, or not finite, is an error.
func Assign(cost blas32.General) (Assignment, error) { return new(Matching).Assign(cost) }

// Assign is the function Assign in the memory of m. The result belongs to m and holds
// until the next call.
func (m *Matching) Assign(cost blas32.General) (Assignment, error) {
	n := cost.Rows
	if cost.Cols != n {
		return Assignment{}, fmt.Errorf("transport: the cost of an assignment has shape (%d, %d); it must be square", n, cost.Cols)
	}
	if err := batch.Check("the cost of an assignment", cost); err != nil {
		return Assignment{}, err
	}
	for i := range n {
		for j, c := range batch.Row(cost, i) {
			if c-c != 0 {
				return Assignment{}, fmt.Errorf("transport: the cost of row %d and column %d is %g; it must be finite", i, j, c)
			}
		}
	}
	m.reset(cost)
	// Bids above a small share of the mean reduced cost miss the optimal duals; below
	// 1/n of it, paths are faster.
	if epsilon := m.reduceColumns() / 32; epsilon > 0 {
		for range 4 {
			m.bid(m.dissolve(), epsilon)
			epsilon /= 5
		}
	}
	free := m.dissolve()
	for range 2 { // as many sweeps as pay according to Jonker and Volgenant
		free = m.bid(free, 0)
	}
	for _, i := range free {
		m.augment(i)
	}
	return m.solution(), nil
}

// Matching is a partial assignment. Every matched pair attains the smallest reduced cost
// c_ij − v_j of its row, up to a few ε; this makes a full matching optimal.
type Matching struct {
	cost   blas32.General
	column []int // of a row, −1 if free
	row    []int // of a column, −1 if free
	v      []float64
	cores  []core // of rows
	search

	// Memory for the work.
	sample        []float64
	free, bidding []int
	u             []float64
}

// core is the columns that a row looks at: all those whose reduced cost is below rest.
type core struct {
	arcs []arc
	rest float64
}

// arc is a column and its cost.
type arc struct {
	column int32
	cost   float32
}

// reset makes m ready for an assignment.
func (m *Matching) reset(cost blas32.General) {
	n := cost.Rows
	m.cost = cost
	m.column, m.row, m.free = batch.Resized(m.column, n), batch.Resized(m.row, n), batch.Resized(m.free, n)
	m.u, m.v = batch.Resized(m.u, n), batch.Resized(m.v, n)
	if n > len(m.cores) {
		m.cores = make([]core, n)
	}
	for i := range m.cores {
		m.cores[i].arcs, m.cores[i].rest = m.cores[i].arcs[:0], math.Inf(-1)
	}
	m.search.reset(n)
}

// reduceColumns sets v_j to the smallest cost of column j and returns the mean
// reduced cost.
func (m *Matching) reduceColumns() float64 {
	n := m.cost.Rows
	for i := range n {
		for j, c := range batch.Row(m.cost, i) {
			if h := float64(c); i == 0 || h < m.v[j] {
				m.v[j] = h
			}
		}
	}
	var sum float64
	for i := range n {
		for j, c := range batch.Row(m.cost, i) {
			sum += float64(c) - m.v[j]
		}
	}
	return sum / float64(n) / float64(n)
}

// dissolve frees and returns all rows.
func (m *Matching) dissolve() []int {
	m.free = m.free[:len(m.column)]
	for i := range m.free {
		m.column[i], m.row[i], m.free[i] = -1, -1, i
	}
	return m.free
}

// bid tries to match each free row to its best column, or to one that is worse by only a
// few ε. It lowers the dual of that column until the row's second best is better by ε. A
// row that loses its column is tried next. bid returns the rows that are left, in the
// memory of free.
func (m *Matching) bid(free []int, epsilon float64) []int {
	// Ever smaller gains in floating point could go on for very long; after this many
	// bids, rows without a column are left to augment.
	budget := len(free) * 32
	queue := append(m.bidding[:0], free...)
	slices.Reverse(queue)
	left := free[:0]
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		j, first, other, second := m.twoBest(i, 4*epsilon)
		fall := second - first + epsilon
		gain := m.v[j]-fall < m.v[j]
		switch {
		case gain && other >= 0:
			m.v[j] -= fall
		case m.row[j] >= 0 && other >= 0:
			j = other
		}
		out := m.row[j]
		m.column[i], m.row[j] = j, i
		if out < 0 {
			continue
		}
		m.column[out] = -1
		budget--
		if gain && budget > 0 {
			queue = append(queue, out)
		} else {
			left = append(left, out)
		}
	}
	m.bidding = queue
	return left
}

// twoBest returns the columns with the smallest and second smallest reduced cost
// c_ij − v_j of row i, and these costs; if there is one column, the second is (−1, +∞).
// Columns outside the core may be better by at most slack.
func (m *Matching) twoBest(i int, slack float64) (j int, first float64, other int, second float64) {
	v := m.v
	for {
		j, other = -1, -1
		first, second = math.Inf(1), math.Inf(1)
		for _, a := range m.cores[i].arcs {
			switch h := float64(a.cost) - v[a.column]; {
			case h < first:
				j, first, other, second = int(a.column), h, j, first
			case h < second:
				other, second = int(a.column), h
			}
		}
		if j >= 0 && second <= m.cores[i].rest+slack {
			return j, first, other, second
		}
		m.widen(i)
	}
}

// widen rebuilds the core of row i for the current v, with about half as many columns
// again as it had, and with more until rest is higher than it was.
func (m *Matching) widen(i int) {
	c, costs := &m.cores[i], batch.Row(m.cost, i)
	v := m.v[:len(costs)]
	stride := max(1, len(costs)/128)
	limit := math.Inf(1)
	for size := max(32, len(c.arcs)*3/2); size < len(costs); size *= 2 {
		m.sample = m.sample[:0]
		for j := i % stride; j < len(costs); j += stride {
			m.sample = append(m.sample, float64(costs[j])-v[j])
		}
		if h := order.Select(m.sample, size*len(m.sample)/len(costs)); h > c.rest {
			limit = h
			break
		}
	}
	c.arcs, c.rest = c.arcs[:0], limit
	for j, cost := range costs {
		if float64(cost)-v[j] <= limit {
			c.arcs = append(c.arcs, arc{int32(j), cost})
		}
	}
}

// solution reads the duals and the total off a full matching.
func (m *Matching) solution() Assignment {
	a := Assignment{Match: m.column, U: m.u, V: m.v}
	for i, j := range m.column {
		c := float64(batch.Row(m.cost, i)[j])
		a.U[i] = c - m.v[j]
		a.Total += c
	}
	return a
}
