package graph

import (
	"slices"
	"sync/atomic"
	"time"

	"cmf/graph/blas"
	"cmf/graph/kernel"
	"cmf/graph/op"
)

// Costs in ns, as instruction.cost estimates them.
var (
	worthwhile = 10e3  // least cost for which a second thread is called
	large      = 200e3 // least cost for which threads share one instruction
)

// span is the rows [lo, hi) of a stage on rows. The zero span means all rows of
// every matrix.
type span struct{ lo, hi, of int }

// cut returns the span's rows of m, or all of m if m does not have as many rows
// as the stage.
func cut[T kernel.Float](s span, m op.Matrix[T]) op.Matrix[T] {
	if s.of == 0 || m.Rows != s.of {
		return m
	}
	return op.Matrix[T]{Rows: s.hi - s.lo, Cols: m.Cols, Data: m.Data[s.lo*m.Cols : s.hi*m.Cols]}
}

func inTurn(fs []func()) func() {
	if len(fs) == 1 {
		return fs[0]
	}
	return func() {
		for _, f := range fs {
			f()
		}
	}
}

// worthSharing reports whether several threads may be faster for work that has
// the given number of parts and cost.
func worthSharing(parts int, cost float64) bool {
	return parts > 1 && cost >= worthwhile && blas.Splits()
}

// share does work on several threads with body, or on one with alone, whichever
// was faster lately.
func share(c *kernel.Choice, parts int, body func(lo, hi int), alone func()) {
	start, shared := time.Now(), c.Shared()
	if shared {
		kernel.Parallel(parts, 1, body)
	} else {
		alone()
	}
	c.Took(shared, time.Since(start))
}

// rowStage runs a stage on rows: each thread does its own rows.
type rowStage struct {
	rows  int
	cost  float64
	bind  func(lo, hi int) []func()
	whole func()
	parts []func()
	body  func(lo, hi int)

	choice kernel.Choice
}

func (s *rowStage) prepare() func() error {
	s.whole = inTurn(s.bind(0, s.rows))
	s.body = func(lo, hi int) {
		for _, f := range s.parts[lo:hi] {
			f()
		}
	}
	return s.run
}

func (s *rowStage) run() error {
	parts := min(kernel.Threads(), s.rows/(fewestRows/2))
	if !worthSharing(parts, s.cost) {
		s.whole()
		return nil
	}
	if len(s.parts) != parts {
		s.parts = nil
		for k := range parts {
			s.parts = append(s.parts, inTurn(s.bind(k*s.rows/parts, (k+1)*s.rows/parts)))
		}
	}
	share(&s.choice, parts, s.body, s.whole)
	return nil
}

// tasks are small instructions that do not need each other.
type tasks struct {
	list []task
	cost float64
	next atomic.Int64
	body func(lo, hi int)
	turn func() // all of them, one by one

	choice kernel.Choice
}

type task struct {
	f    func()
	cost float64
}

func (t *tasks) add(f func(), cost float64) {
	t.list = append(t.list, task{f, cost})
	t.cost += cost
}

func (t *tasks) prepare() func() error {
	// A thread that is done takes the next task, the longest first.
	slices.SortStableFunc(t.list, func(a, b task) int {
		switch {
		case a.cost > b.cost:
			return -1
		case a.cost < b.cost:
			return 1
		}
		return 0
	})
	t.body = func(int, int) {
		for {
			i := int(t.next.Add(1)) - 1
			if i >= len(t.list) {
				return
			}
			t.list[i].f()
		}
	}
	t.turn = func() {
		for _, x := range t.list {
			x.f()
		}
	}
	return t.run
}

func (t *tasks) run() error {
	parts := min(kernel.Threads(), len(t.list))
	if !worthSharing(parts, t.cost) {
		t.turn()
		return nil
	}
	t.next.Store(0)
	share(&t.choice, parts, t.body, t.turn)
	return nil
}
