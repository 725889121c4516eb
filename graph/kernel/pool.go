package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// SetThreads sets the number of parts that [Parallel] makes; n < 1 stands for
// runtime.GOMAXPROCS(0), which is also where it starts.
func SetThreads(n int) {
	if n < 1 {
		n = runtime.GOMAXPROCS(0)
	}
	threads.Store(int64(n))
}

// Threads is the largest number of parts that [Parallel] makes.
func Threads() int { return int(threads.Load()) }

// Parallel calls body(lo, hi) on contiguous parts of [0, n): at most Threads()
// of them, each of at least grain items unless n itself is smaller. It returns
// when all are done; a panic in one is raised again in the caller.
//
// The parts depend on n, grain and Threads() only. The caller and a standing
// pool of workers share them; a call made while another is under way, from body
// or from another goroutine, runs as body(0, n) in its caller. Nothing is
// allocated by a call after the first, so a body built beforehand costs no
// garbage.
func Parallel(n, grain int, body func(lo, hi int)) {
	if n <= 0 {
		return
	}
	parts := min(Threads(), n/max(grain, 1))
	if parts <= 1 || !shared.busy.TryLock() {
		body(0, n)
		return
	}
	shared.run(n, parts, body)
}

var (
	threads atomic.Int64
	shared  pool
)

func init() { SetThreads(0) }

// pool shares the parts of one call at a time among its workers: the k-th of
// them is offered the part k+1. What a worker has not taken by the time that the
// caller is done with its own part, the caller does itself.
type pool struct {
	busy     sync.Mutex // held by the call under way
	workers  []*worker
	patience int // looks of those who wait, before they sleep

	body     func(lo, hi int)
	n, parts int
	failure  atomic.Pointer[any] // the first panic of a body
}

// worker is a goroutine with what it and the caller tell each other.
type worker struct {
	pool     *pool
	part     int
	state    atomic.Int32
	asleep   atomic.Bool
	wake     chan struct{}
	finished chan struct{}
}

// States of a worker's part.
const (
	done    = iota
	offered // by the caller
	taken   // by the worker
	awaited // taken, and the caller sleeps until it is done
)

// patient is how often, for some 100 µs, a worker without a part and a caller
// without results look again before they sleep: to be woken takes as long as a
// product of middling size. Where threads outnumber processors nobody looks
// twice.
const patient = 1000

// run does one call; the caller has locked p.busy.
func (p *pool) run(n, parts int, body func(lo, hi int)) {
	for k := len(p.workers); k < parts-1; k++ {
		w := &worker{pool: p, part: k + 1, wake: make(chan struct{}, 1), finished: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		go w.work()
	}
	p.body, p.n, p.parts, p.patience = body, n, parts, 0
	if parts <= runtime.GOMAXPROCS(0) {
		p.patience = patient
	}
	// Deferred, so that a panic or runtime.Goexit in the caller's own part
	// still waits for the other parts and frees the pool.
	defer p.finish()
	for _, w := range p.workers[:parts-1] {
		w.state.Store(offered)
		if w.asleep.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
	body(0, n/parts)
}

// finish does the parts that no worker has taken, waits for the others and frees
// the pool.
func (p *pool) finish() {
	workers := p.workers[:p.parts-1]
	for _, w := range workers {
		if w.state.CompareAndSwap(offered, done) {
			p.do(w.part)
		}
	}
	for _, w := range workers {
		w.await(p.patience)
	}
	failure := p.failure.Swap(nil)
	p.body = nil
	p.busy.Unlock()
	if failure != nil {
		panic(*failure)
	}
}

// await returns when the worker's part is done.
func (w *worker) await(patience int) {
	for range patience {
		if w.state.Load() == done {
			return
		}
		pause()
	}
	if w.state.CompareAndSwap(taken, awaited) {
		<-w.finished
	}
}

// work does the parts that the worker is offered, for ever.
func (w *worker) work() {
	patience := patient
	for {
		if !w.take(patience) {
			w.asleep.Store(true)
			// An offer from before that was seen by nobody: the caller may or may
			// not have seen the worker asleep.
			if w.state.Load() != offered || !w.asleep.CompareAndSwap(true, false) {
				<-w.wake
			}
			continue
		}
		patience = w.pool.patience
		w.pool.do(w.part)
		if w.state.Swap(done) == awaited {
			w.finished <- struct{}{}
		}
	}
}

// take takes the part that is offered, or reports false after some looks.
func (w *worker) take(patience int) bool {
	for range patience + 1 {
		if w.state.Load() == offered && w.state.CompareAndSwap(offered, taken) {
			return true
		}
		pause()
	}
	return false
}

// do does one part and keeps its panic for the caller.
func (p *pool) do(part int) {
	defer func() {
		if r := recover(); r != nil {
			failure := r // apart from r, which would else be on the heap in every call
			p.failure.CompareAndSwap(nil, &failure)
		}
	}()
	p.body(part*p.n/p.parts, (part+1)*p.n/p.parts)
}
