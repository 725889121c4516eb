package fit

import (
	"context"
	"errors"
	"fmt"

	"cmf/experiments/report"
	"cmf/solvers"
)

// Hook is what happens beside the steps of training: at the start, after a step, at
// the end. Functions that are nil are passed over. An error ends training by that
// error, and no hook is called after it.
type Hook struct {
	Start func(*Loop) error // before the first step
	Step  func(*Loop) error // after every step, or only those that Every divides
	End   func(*Loop) error // after the last step, by when Stopped says why it was

	Every int // 0 for every step
}

// Loop is training under way, as hooks see it.
type Loop struct {
	Model *Model
	Of    int               // steps in all, CMF_STEPS
	Info  solvers.CMFMAInfo // of the last step; CMFMA's own part is 0 under CMFGen

	hooks   []Hook
	stop    report.Stop // its Reason is empty while training goes on
	failure error       // of the step that diverged
}

// Step is the number of steps made so far, those before a resumption among them.
func (l *Loop) Step() int { return l.Model.State.Step }

// Halt asks training to end after this step, in words that say why, such as "the
// distance to held-out points no longer falls". What follows training is made.
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

// goesOn tells whether there is a further step to make.
func (l *Loop) goesOn(ctx context.Context) bool {
	if l.Step() >= l.Of {
		l.end(report.Finished, "")
	}
	if ctx.Err() != nil {
		l.end(report.Interrupted, "")
	}
	return l.stop.Reason == ""
}

// end is the first reason to end; others come too late.
func (l *Loop) end(reason report.Reason, text string) {
	if l.stop.Reason == "" {
		l.stop = report.Stop{Reason: reason, Step: l.Step(), Of: l.Of, Text: text}
	}
}

// step makes a step and calls the hooks whose turn it is; after divergence there is
// nothing for them to see.
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

// hooksKey is the key of the hooks of a context.
type hooksKey struct{}

// WithHooks is a context under which every fit has further hooks: those of a program,
// or of a test, that carries out an experiment as it is.
func WithHooks(ctx context.Context, hooks ...Hook) context.Context {
	return context.WithValue(ctx, hooksKey{}, append(hooksOf(ctx), hooks...))
}

func hooksOf(ctx context.Context) []Hook {
	hooks, _ := ctx.Value(hooksKey{}).([]Hook)
	return hooks[:len(hooks):len(hooks)]
}
