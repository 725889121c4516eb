// Package train is a loop of training steps with hooks: progress, logs, checkpoints and
// early ends hang on it. It trains potentials as well as autoencoders.
package train

import (
	"context"
	"errors"
	"fmt"

	"cmf/experiments/report"
	"cmf/solvers"
)

// Trainee is what a loop trains.
type Trainee interface {
	Steps() int     // made so far, including those before the run was resumed
	Advance() error // makes a step
}

// Hook is a set of functions that training calls at the start, after a step, and at the
// end. Functions that are nil are skipped. If one returns an error, training ends with
// that error, and no hook is called after it.
type Hook[M Trainee] struct {
	Start func(*Loop[M]) error // before the first step
	Step  func(*Loop[M]) error // after every step that is a multiple of Every
	End   func(*Loop[M]) error // after the last step; Stopped says why it was the last

	Every int // 0 for every step
}

// Loop is the state of training that hooks see.
type Loop[M Trainee] struct {
	Model M
	Of    int // steps in all

	hooks   []Hook[M]
	stop    report.Stop // its Reason is empty while training goes on
	failure error       // of the step that diverged
}

// NewLoop trains model for steps in all.
func NewLoop[M Trainee](model M, steps int) *Loop[M] { return &Loop[M]{Model: model, Of: steps} }

// Step is the number of steps made so far, including those before the run was resumed.
func (l *Loop[M]) Step() int { return l.Model.Steps() }

// Halt asks training to end after this step. why gives the reason in words, such as "the
// distance to held-out points no longer falls". The work after training is still done.
func (l *Loop[M]) Halt(why string) {
	if l.Step() < l.Of {
		l.End(report.Halted, fmt.Sprintf("halted at step %d of %d: %s", l.Step(), l.Of, why))
	}
}

// Stopped is how training ended; its Reason is empty while it goes on.
func (l *Loop[M]) Stopped() report.Stop { return l.stop }

// Failure is the error of the step that diverged, nil if none did.
func (l *Loop[M]) Failure() error { return l.failure }

// Run makes the steps and calls the hooks.
func (l *Loop[M]) Run(ctx context.Context, hooks ...Hook[M]) error {
	l.hooks = hooks
	if err := l.call(func(h Hook[M]) func(*Loop[M]) error { return h.Start }); err != nil {
		return err
	}
	for l.goesOn(ctx) {
		if err := l.step(); err != nil {
			return err
		}
	}
	return l.call(func(h Hook[M]) func(*Loop[M]) error { return h.End })
}

// goesOn says whether another step is to be made.
func (l *Loop[M]) goesOn(ctx context.Context) bool {
	if l.Step() >= l.Of {
		l.End(report.Finished, "")
	}
	if ctx.Err() != nil {
		l.End(report.Interrupted, "")
	}
	return l.stop.Reason == ""
}

// End ends training after this step. Only the first reason counts.
func (l *Loop[M]) End(reason report.Reason, text string) {
	if l.stop.Reason == "" {
		l.stop = report.Stop{Reason: reason, Step: l.Step(), Of: l.Of, Text: text}
	}
}

// step makes a step and calls the hooks for that step. After divergence no hook is
// called.
func (l *Loop[M]) step() error {
	err := l.Model.Advance()
	if errors.Is(err, solvers.ErrDiverged) {
		l.failure = err
		l.End(report.Diverged, "")
		return nil
	}
	if err != nil {
		return fmt.Errorf("step %d: %w", l.Step()+1, err)
	}
	err = l.call(func(h Hook[M]) func(*Loop[M]) error {
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

// hooksKey is the key of hooks in a context.
type hooksKey[M Trainee] struct{}

// WithHooks returns a context in which every training of an M has additional hooks. It is
// for a program, or a test, that runs an experiment unchanged.
func WithHooks[M Trainee](ctx context.Context, hooks ...Hook[M]) context.Context {
	return context.WithValue(ctx, hooksKey[M]{}, append(HooksOf[M](ctx), hooks...))
}

// HooksOf are the hooks of WithHooks.
func HooksOf[M Trainee](ctx context.Context) []Hook[M] {
	hooks, _ := ctx.Value(hooksKey[M]{}).([]Hook[M])
	return hooks[:len(hooks):len(hooks)]
}

// call calls one function of each hook, in their order.
func (l *Loop[M]) call(of func(Hook[M]) func(*Loop[M]) error) error {
	for _, h := range l.hooks {
		if f := of(h); f != nil {
			if err := f(l); err != nil {
				return err
			}
		}
	}
	return nil
}
