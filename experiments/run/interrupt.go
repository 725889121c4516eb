package run

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"cmf/solvers/mpi"
)

// ending are the signals that end a run, with the exit status of a command that they ended.
var ending = []struct {
	signal os.Signal
	status int
}{{os.Interrupt, 130}, {syscall.SIGTERM, 143}, {syscall.SIGHUP, 129}}

// Interruptible is a context that the first SIGINT, SIGTERM or SIGHUP ends, unless the
// process was started to ignore that signal. The second ends the process at once. status
// is the exit status of a command that a signal ended, 128 and its number, and 0 where
// none came. name is that of the command, for the message.
func Interruptible(name string) (ctx context.Context, status func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	var got atomic.Int32
	signals := make(chan os.Signal, 1)
	for _, e := range ending {
		if !signal.Ignored(e.signal) {
			signal.Notify(signals, e.signal)
		}
	}
	go func() {
		s := <-signals
		signal.Stop(signals) // the next one acts as if nobody listened
		for _, e := range ending {
			if e.signal == s {
				got.Store(int32(e.status))
			}
		}
		if rank, _ := mpi.Place(); rank == 0 {
			fmt.Fprintf(os.Stderr, "\n%s: interrupted; a second interrupt ends the program at once\n", name)
		}
		cancel()
	}()
	return ctx, func() int { return int(got.Load()) }
}

// patience is how long an interrupted run may take to end where it has nothing to lose.
const patience = 1500 * time.Millisecond

// overdue is closed some time after ctx has ended, and not before the run of current has
// left its training with a checkpoint, unless other ranks have gone: reading a file, or a figure, may take longer than
// anyone waits, and loses nothing.
func overdue(ctx context.Context, current *atomic.Pointer[Run]) <-chan struct{} {
	late := make(chan struct{})
	go func() {
		defer close(late)
		<-ctx.Done()
		for since := time.Now(); time.Since(since) < patience; time.Sleep(patience / 30) {
			if r := current.Load(); r != nil && r.training.Load() && !r.deserted() {
				since = time.Now()
			}
		}
	}()
	return late
}

// Training tells the run whether it has progress to lose that is in no checkpoint yet: an
// interrupt then waits for that.
func (r *Run) Training(on bool) { r.training.Store(on) }
