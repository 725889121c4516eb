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

// pool shares the parts of one call at a time among its workers.
type pool struct {
	busy    sync.Mutex // held by the call under way
	workers int
	spins   int // of workers and callers that wait; 0 where threads outnumber processors
	tasks   chan task
	pending sync.WaitGroup
	open    atomic.Int64 // tasks that are not done; 0 only after pending is

	body    func(lo, hi int)
	failure atomic.Pointer[any] // the first panic of a body
}

type task struct{ lo, hi int }

// run does one call; the caller has locked p.busy.
func (p *pool) run(n, parts int, body func(lo, hi int)) {
	p.grow(parts - 1)
	p.body = body
	p.pending.Add(parts - 1)
	p.open.Store(int64(parts - 1))
	// Deferred, so that a panic or runtime.Goexit in the caller's own part
	// still waits for the other parts and frees the pool.
	defer p.finish()
	for i := 1; i < parts; i++ {
		p.tasks <- task{i * n / parts, (i + 1) * n / parts}
	}
	body(0, n/parts)
}

// grow starts workers until there are n.
func (p *pool) grow(n int) {
	if n > cap(p.tasks) {
		// Room for every task lets the caller never wait on a slow worker.
		// Workers that watch the old channel end with it.
		if p.tasks != nil {
			close(p.tasks)
		}
		p.tasks, p.workers, p.spins = make(chan task, n), 0, 0
		if n < runtime.GOMAXPROCS(0) {
			p.spins = patience
		}
	}
	for ; p.workers < n; p.workers++ {
		go p.work(p.tasks, p.spins)
	}
}

// patience is how often, for some 20 µs, a worker without a task and a caller
// without results look again before they sleep: to be woken takes as long as a
// small product.
const patience = 5000

// work does tasks until the channel is closed.
func (p *pool) work(tasks <-chan task, spins int) {
	for {
		t, ok := next(tasks, spins)
		if !ok {
			return
		}
		p.do(t)
	}
}

func next(tasks <-chan task, spins int) (t task, ok bool) {
	for range spins {
		select {
		case t, ok = <-tasks:
			return t, ok
		default:
		}
	}
	t, ok = <-tasks
	return t, ok
}

// finish does the tasks that no worker has taken yet, waits for the others and
// frees the pool.
func (p *pool) finish() {
	for taken := true; taken; {
		select {
		case t := <-p.tasks:
			p.do(t)
		default:
			taken = false
		}
	}
	for i := 0; i < p.spins && p.open.Load() > 0; i++ {
	}
	p.pending.Wait()
	failure := p.failure.Swap(nil)
	p.body = nil
	p.busy.Unlock()
	if failure != nil {
		panic(*failure)
	}
}

// do runs one task and keeps its panic for the caller.
func (p *pool) do(t task) {
	defer p.open.Add(-1)
	defer p.pending.Done()
	defer func() {
		if r := recover(); r != nil {
			failure := r // apart from r, which would else be on the heap in every call
			p.failure.CompareAndSwap(nil, &failure)
		}
	}()
	p.body(t.lo, t.hi)
}
