package fit

import (
	"context"
	"errors"
	"fmt"

	"cmf/experiments/report"
	"cmf/solvers"
)

// Hook is a set of functions that training calls at the start, after a step, and at the
// end. Functions that are nil are skipped. If one returns an error, training ends with
// that error, and no hook is called after it.
type Hook struct {
	Start func(*Loop) error // before the first step
	Step  func(*Loop) error // after every step that is a multiple of Every
	End   func(*Loop) error // after the last step; Stopped says why it was the last

	Every int // 0 for every step
}

// Loop is the state of training that hooks see.
type Loop struct {
	Model *Model
	Of    int               // steps in all, CMF_STEPS
	Info  solvers.CMFMAInfo // of the last step; the part that only CMFMA fills is 0 under CMFGen

	hooks   []Hook
	stop    report.Stop // its Reason is empty while training goes on
	failure error       // of the step that diverged
}

// Step is the number of steps made so far, including those before the run was resumed.
func (l *Loop) Step() int { return l.Model.State.Step }

// Halt asks training to end after this step. why gives the reason in words, such as "the
// distance to held-out points no longer falls". The work after training is still done.
func (l *Loop) Halt(why string) {
	if l.Step() < l.Of {
		l.end(report.Halted, fmt.Sprintf("halted at step %d of %d: %s", l.Step(), l.Of, why))
	}
}

// Stopped is how training ended; its Reason is empty while it goes on.
func (l *Loop) Stopped() report.Stop { return l.stop }

// run makes the steps.
func (l *Loop) run(ctx context.Context) error {
	if err := l.call(func(h Hook) func(*Loop) error { return h.Start }); err != nil {
		return err
	}
	for l.goesOn(ctx) {
		if err := l.step(); err != nil {
			return err
		}
	}
	return l.call(func(h Hook) func(*Loop) error { return h.End })
}

// goesOn says whether another step is to be made.
func (l *Loop) goesOn(ctx context.Context) bool {
	if l.Step() >= l.Of {
		l.end(report.Finished, "")
	}
	if ctx.Err() != nil {
		l.end(report.Interrupted, "")
	}
	return l.stop.Reason == ""
}

// end records the first reason to end; later reasons are ignored.
func (l *Loop) end(reason report.Reason, text string) {
	if l.stop.Reason == "" {
		l.stop = report.Stop{Reason: reason, Step: l.Step(), Of: l.Of, Text: text}
	}
}

// step makes a step and calls the hooks for that step. After divergence no hook is
// called.
func (l *Loop) step() (err error) {
	l.Info, err = l.Model.Step()
	if errors.Is(err, solvers.ErrDiverged) {
		l.failure = err
		l.end(report.Diverged, "")
		return nil
	}
	if err != nil {
		return fmt.Errorf("step %d: %w", l.Step()+1, err)
	}
	err = l.call(func(h Hook) func(*Loop) error {
		if h.Every > 1 && l.Step()%h.Every != 0 {
			return nil
		}
		return h.Step
	})
	if err != nil {
		return fmt.Errorf("after step %d: %w", l.Step(), err)
	}
	return nil
}

// call calls one function of each hook, in their order.
func (l *Loop) call(of func(Hook) func(*Loop) error) error {
	for _, h := range l.hooks {
		if f := of(h); f != nil {
			if err := f(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// hooksKey is the key of hooks in a context.
type hooksKey struct{}

// WithHooks returns a context in which every fit has additional hooks. It is for a
// program, or a test, that runs an experiment unchanged.
func WithHooks(ctx context.Context, hooks ...Hook) context.Context {
	return context.WithValue(ctx, hooksKey{}, append(hooksOf(ctx), hooks...))
}

func hooksOf(ctx context.Context) []Hook {
	hooks, _ := ctx.Value(hooksKey{}).([]Hook)
	return hooks[:len(hooks):len(hooks)]
}
