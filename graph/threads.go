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
	worthwhile = 10e3  // for a second thread to be called
	large      = 200e3 // for an instruction to be shared by threads itself
)

// span is the rows [lo, hi) of a stage on rows; the zero span is all of every
// matrix.
type span struct{ lo, hi, of int }

// cut is the span's part of a matrix of as many rows as the stage has.
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

// worthSharing reports whether several threads may pay for work of the cost that
// has so many parts.
func worthSharing(parts int, cost float64) bool {
	return parts > 1 && cost >= worthwhile && blas.Splits()
}

// share does work in parts on several threads, or alone on one, whichever has
// lately been faster.
func share(c *kernel.Choice, parts int, body func(lo, hi int), alone func()) {
	start, shared := time.Now(), c.Shared()
	if shared {
		kernel.Parallel(parts, 1, body)
	} else {
		alone()
	}
	c.Took(shared, time.Since(start))
}

// rowStage runs a stage on rows, each thread on rows of its own.
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

// tasks are small instructions of which none needs another.
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
	// Whoever is done takes the next, the longest first.
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
