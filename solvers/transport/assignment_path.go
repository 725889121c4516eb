package transport

import (
	"math"

	"cmf/solvers/batch"
)

// search is the memory of augment.
type search struct {
	length []float64 // of the shortest path to a column so far; +∞ outside of seen
	before []int     // the row before a column on that path
	offset []float64 // of a row: a path through it to column j has length c_ij − v_j − offset
	done   []bool    // columns whose shortest path is known
	seen   []int     // columns with a path
	queue  queue
}

func (s *search) reset(n int) {
	s.length, s.before, s.offset, s.done = batch.Resized(s.length, n), batch.Resized(s.before, n), batch.Resized(s.offset, n), batch.Resized(s.done, n)
	for j := range n {
		s.length[j], s.done[j] = math.Inf(1), false
	}
	s.seen, s.queue = s.seen[:0], s.queue[:0]
}

// augment matches the free row start along a shortest path of alternating unmatched and
// matched pairs to a free column. It is Dijkstra's algorithm on the reduced costs.
func (m *Matching) augment(start int) {
	m.offset[start] = 0
	end := m.scan(start, -1)
	for len(m.queue) > 0 {
		next := m.queue.pop()
		if end >= 0 && next.length >= m.length[end] {
			break
		}
		if i := ^next.place; i >= 0 {
			// The shortest path may go through a column outside the core.
			m.widen(int(i))
			end = m.scan(int(i), end)
			continue
		}
		j := int(next.place)
		if m.done[j] || next.length > m.length[j] {
			continue
		}
		m.done[j] = true
		i := m.row[j]
		m.offset[i] = float64(batch.Row(m.cost, i)[j]) - m.v[j] - m.length[j]
		end = m.scan(i, end)
	}
	shortest := m.length[end]
	for _, j := range m.seen {
		if m.done[j] {
			m.v[j] -= max(0, shortest-m.length[j])
			m.done[j] = false
		}
		m.length[j] = math.Inf(1)
	}
	m.seen, m.queue = m.seen[:0], m.queue[:0]
	for j := end; ; {
		i := m.before[j]
		m.row[j] = i
		m.column[i], j = j, m.column[i]
		if i == start {
			return
		}
	}
}

// scan shortens paths through row i and the columns of its core. It defers the other
// columns until paths are long enough to reach them. end is the nearest free column so
// far, or −1: longer paths do not matter. scan returns the new end.
func (m *Matching) scan(i, end int) int {
	offset, limit := m.offset[i], math.Inf(1)
	if end >= 0 {
		limit = m.length[end]
	}
	for _, a := range m.cores[i].arcs {
		j := int(a.column)
		h := float64(a.cost) - m.v[j] - offset
		if h >= limit || h >= m.length[j] || m.done[j] {
			continue
		}
		if math.IsInf(m.length[j], 1) {
			m.seen = append(m.seen, j)
		}
		m.length[j], m.before[j] = h, i
		if m.row[j] < 0 {
			end, limit = j, h
		} else {
			m.queue.push(event{h, a.column})
		}
	}
	if h := m.cores[i].rest - offset; h < limit {
		m.queue.push(event{h, ^int32(i)})
	}
	return end
}

// event is a column at the end of a path of the given length, or ^i for a row i whose
// core is too small for longer paths.
type event struct {
	length float64
	place  int32
}

// queue is a binary heap of events, the shortest first.
type queue []event

func (q *queue) push(e event) {
	h := append(*q, e)
	k := len(h) - 1
	for k > 0 {
		parent := (k - 1) / 2
		if h[parent].length <= e.length {
			break
		}
		h[k] = h[parent]
		k = parent
	}
	h[k] = e
	*q = h
}

func (q *queue) pop() event {
	h := *q
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	for k := 0; len(h) > 0; {
		child := 2*k + 1
		if child+1 < len(h) && h[child+1].length < h[child].length {
			child++
		}
		if child >= len(h) || h[child].length >= last.length {
			h[k] = last
			break
		}
		h[k] = h[child]
		k = child
	}
	*q = h
	return top
}
