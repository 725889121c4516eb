package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// SetThreads sets the number of parts that [Parallel] makes; n < 1 stands for
// runtime.GOMAXPROCS(0), which is also the number at the start.
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
// pool of workers share them. A call made while another is running, from body
// or from another goroutine, runs as body(0, n) in its caller. Only the first
// call allocates, so a body built beforehand costs no garbage.
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

// pool shares the parts of one call at a time among its workers: worker k is
// offered part k+1. The caller does part 0, and then every part that no worker
// has taken.
type pool struct {
	busy     sync.Mutex // held by the running call
	workers  []*worker
	patience int // how often those who wait look before they sleep

	body     func(lo, hi int)
	n, parts int
	failure  atomic.Pointer[any] // the first panic of a body
}

// worker is a goroutine and the state that it shares with the caller.
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

// patient is how often a worker without a part, or a caller without results,
// looks again before it sleeps, in all some 100 µs. Waking takes as long as a
// product of medium size. Where threads outnumber processors nobody looks
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

// work does the parts that the worker is offered, and never returns.
func (w *worker) work() {
	patience := patient
	for {
		if !w.take(patience) {
			w.asleep.Store(true)
			// An offer made before Store may be unseen by the worker, and the
			// caller may or may not have seen the worker asleep.
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

// take takes the part that is offered. It reports false if there is none after
// patience further looks.
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
			failure := r // a copy, so that r itself stays off the heap
			p.failure.CompareAndSwap(nil, &failure)
		}
	}()
	p.body(part*p.n/p.parts, (part+1)*p.n/p.parts)
}
