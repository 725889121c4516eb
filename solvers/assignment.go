package solvers

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas/blas32"
)

// Assignment is an optimal matching of n rows to n columns.
type Assignment struct {
	Match []int     // the column of each row, a permutation
	U, V  []float64 // optimal duals of rows and columns: u_i + v_j ≤ c_ij, with equality on the match
	Total float64   // Σ_i c_{i,Match[i]} = Σ_i u_i + Σ_j v_j
}

// Assign solves min_σ Σ_i c_{i,σ(i)} over permutations σ for the (n, n) matrix
// cost, exactly but for float64 rounding, by shortest augmenting paths after
// column reduction and augmenting row reduction, in O(n³). Jonker and Volgenant,
// "A shortest augmenting path algorithm for dense and sparse linear assignment
// problems", Computing 38, 1987, pages 325–340.
//
// A cost that is not square, or not finite, is an error.
func Assign(cost blas32.General) (Assignment, error) {
	n := cost.Rows
	if cost.Cols != n {
		return Assignment{}, fmt.Errorf("solvers: the cost of an assignment has shape (%d, %d); it must be square", n, cost.Cols)
	}
	if err := checkBatch("the cost of an assignment", cost); err != nil {
		return Assignment{}, err
	}
	for i := range n {
		for j, c := range row(cost, i) {
			if math.IsNaN(float64(c)) || math.IsInf(float64(c), 0) {
				return Assignment{}, fmt.Errorf("solvers: the cost of row %d and column %d is %g; it must be finite", i, j, c)
			}
		}
	}
	m := newMatching(cost)
	free := m.reduceColumns()
	for range 2 { // as many sweeps as Jonker and Volgenant found to pay
		free = m.reduceRows(free)
	}
	for _, i := range free {
		m.augment(i)
	}
	return m.solution(), nil
}

// matching is a partial assignment. Every matched pair attains the smallest
// reduced cost c_ij − v_j of its row, which is what makes a full one optimal.
type matching struct {
	cost   blas32.General
	column []int // of a row, −1 if free
	row    []int // of a column, −1 if free
	v      []float64

	// Work of augment, for columns: length of the shortest path to it, the row
	// before it, and the order of scanning.
	length []float64
	before []int
	order  []int
}

func newMatching(cost blas32.General) *matching {
	n := cost.Rows
	m := &matching{
		cost: cost, column: make([]int, n), row: make([]int, n), v: make([]float64, n),
		length: make([]float64, n), before: make([]int, n), order: make([]int, n),
	}
	for i := range n {
		m.column[i], m.row[i] = -1, -1
	}
	return m
}

// reduceColumns sets v_j to the smallest cost of column j, matches as many of
// those minima as it can, and lowers v_j in rows matched once until the row has
// a second best. It returns the free rows.
func (m *matching) reduceColumns() []int {
	n := m.cost.Rows
	argmin := make([]int, n)
	for i := range n {
		for j, c := range row(m.cost, i) {
			if i == 0 || float64(c) < m.v[j] {
				m.v[j], argmin[j] = float64(c), i
			}
		}
	}
	claims := make([]int, n)
	for j, i := range argmin {
		claims[i]++
		if m.column[i] < 0 {
			m.column[i], m.row[j] = j, i
		}
	}
	var free []int
	for i := range n {
		switch {
		case claims[i] == 0:
			free = append(free, i)
		case claims[i] == 1 && n > 1:
			// The best reduced cost is 0, on the match.
			_, _, _, second := m.twoBest(i)
			m.v[m.column[i]] -= second
		}
	}
	return free
}

// reduceRows tries to match each free row to its best column, lowering that
// column until the row's second best is as good; a row that it drives out is
// tried next. It returns the rows that are left.
func (m *matching) reduceRows(free []int) []int {
	var left []int
	// Ever smaller gains in floating point could go on for very long; beyond
	// this many, rows driven out are left to augment.
	budget := len(free) * 4
	queue := slices.Clone(free)
	slices.Reverse(queue)
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		j, first, other, second := m.twoBest(i)
		gain := m.v[j]-(second-first) < m.v[j]
		switch {
		case gain:
			m.v[j] -= second - first
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
	return left
}

// twoBest returns the columns with the smallest and second smallest reduced cost
// c_ij − v_j of row i, and these costs; with one column the second is (−1, +∞).
func (m *matching) twoBest(i int) (j int, first float64, other int, second float64) {
	j, other = -1, -1
	first, second = math.Inf(1), math.Inf(1)
	for k, c := range row(m.cost, i) {
		switch h := float64(c) - m.v[k]; {
		case h < first:
			j, first, other, second = k, h, j, first
		case h < second:
			other, second = k, h
		}
	}
	return j, first, other, second
}

// augment matches the free row start along a shortest path of alternating
// unmatched and matched pairs to a free column, by Dijkstra's algorithm on the
// reduced costs.
func (m *matching) augment(start int) {
	for j, c := range row(m.cost, start) {
		m.length[j], m.before[j], m.order[j] = float64(c)-m.v[j], start, j
	}
	// In order, columns to done have been scanned at smaller lengths, those to
	// near are at the present shortest length, and the rest are farther.
	var done, scanned, near int
	var shortest float64
	end := -1
	for end < 0 {
		if scanned == near {
			done = near
			near, shortest = m.nearest(near)
			end = m.freeAmong(m.order[done:near])
			continue
		}
		j := m.order[scanned]
		scanned++
		end, near = m.scan(j, near, shortest)
	}
	for _, j := range m.order[:done] {
		m.v[j] += m.length[j] - shortest
	}
	for {
		i := m.before[end]
		m.row[end] = i
		m.column[i], end = end, m.column[i]
		if i == start {
			return
		}
	}
}

// nearest moves the columns of smallest length among order[near:] to its front
// and returns where they end, and that length.
func (m *matching) nearest(near int) (int, float64) {
	from, shortest := near, math.Inf(1)
	for k := from; k < len(m.order); k++ {
		j := m.order[k]
		if h := m.length[j]; h <= shortest {
			if h < shortest {
				near, shortest = from, h
			}
			m.order[k], m.order[near] = m.order[near], j
			near++
		}
	}
	return near, shortest
}

// freeAmong returns a free one of the columns, or −1.
func (m *matching) freeAmong(columns []int) int {
	for _, j := range columns {
		if m.row[j] < 0 {
			return j
		}
	}
	return -1
}

// scan shortens paths by way of column j and its row. It returns a free column
// found at the present shortest length, or −1, and the new end of the near ones.
func (m *matching) scan(j, near int, shortest float64) (int, int) {
	i := m.row[j]
	costs := row(m.cost, i)
	offset := float64(costs[j]) - m.v[j] - shortest
	for k := near; k < len(m.order); k++ {
		next := m.order[k]
		h := float64(costs[next]) - m.v[next] - offset
		if h >= m.length[next] {
			continue
		}
		m.length[next], m.before[next] = h, i
		if h <= shortest {
			if m.row[next] < 0 {
				return next, near
			}
			m.order[k], m.order[near] = m.order[near], next
			near++
		}
	}
	return -1, near
}

// solution reads the duals and the total off a full matching.
func (m *matching) solution() Assignment {
	a := Assignment{Match: m.column, U: make([]float64, len(m.column)), V: m.v}
	for i, j := range m.column {
		c := float64(row(m.cost, i)[j])
		a.U[i] = c - m.v[j]
		a.Total += c
	}
	return a
}
