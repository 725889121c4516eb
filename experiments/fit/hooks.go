package fit

import (
	"fmt"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
)

// averaging keeps the moving average of weights, and begins it again where the weights
// of which it was are gone. A decay of 0 keeps none.
func averaging(decay float64) Hook {
	update := func(l *Loop, restored bool) error {
		m := l.Model
		if restored {
			m.average.Mean = nil
		}
		if decay == 0 {
			return nil
		}
		return m.average.Update(m.objective.Weights())
	}
	return Hook{
		Step: func(l *Loop) error { return update(l, l.Info.Restored) },
		End: func(l *Loop) error {
			if l.stop.Reason != report.Diverged {
				return nil
			}
			return update(l, true) // to the last good weights
		},
	}
}

// counting sums up what steps say.
func counting() Hook {
	return Hook{Step: func(l *Loop) error {
		l.Model.tally.add(l.Info)
		return nil
	}}
}

// showing shows the progress of training, and notes when it went back to the last good
// weights.
func showing(r *run.Run, core *config.Core) Hook {
	var status run.Status
	return Hook{
		Start: func(l *Loop) error {
			options := run.ProgressOptions{Total: l.Of, First: l.Step()}
			if core.Minutes > 0 {
				options.Deadline = time.Now().Add(minutes(core.Minutes))
			}
			r.Progress = run.NewProgress(r.Out, options)
			return nil
		},
		Step: func(l *Loop) error {
			if l.Info.Restored {
				r.Note("At step %d of %d training went wrong again and again: back to the last good weights, at a lower learning rate.", l.Step(), l.Of)
			}
			status = run.Status{Loss: l.Info.Loss, Residual: l.Info.Conjugate.MaxResidual(), Acceptance: l.Info.Langevin.Acceptance}
			r.Progress.Step(l.Step(), status)
			return nil
		},
		End: func(l *Loop) error {
			r.Progress.Finish(l.Step(), status)
			return nil
		},
	}
}

// logging writes a line of metrics at two hundred steps, and at the last.
func logging(log *report.MetricsLog) Hook {
	return Hook{Step: func(l *Loop) error {
		if l.Step()%max(1, l.Of/200) != 0 && l.Step() != l.Of {
			return nil
		}
		return log.Append(l.Step(), l.Model.tally.numbers(l.Info))
	}}
}

// watching logs what a problem's Watch sees, but for the last step, after which the
// experiment measures more.
func watching(p Problem, log *report.MetricsLog) Hook {
	if p.Watch == nil || p.WatchEvery <= 0 {
		return Hook{}
	}
	return Hook{Every: p.WatchEvery, Step: func(l *Loop) error {
		if l.Step() == l.Of {
			return nil
		}
		numbers, err := p.Watch(l.Model)
		if err != nil {
			return err
		}
		return log.Append(l.Step(), numbers)
	}}
}

// deadline ends training after so many minutes; 0 for no limit.
func deadline(limit float64) Hook {
	if limit == 0 {
		return Hook{}
	}
	var at time.Time
	return Hook{
		Start: func(*Loop) error {
			at = time.Now().Add(minutes(limit))
			return nil
		},
		Step: func(l *Loop) error {
			if time.Now().After(at) && l.Step() < l.Of {
				l.end(report.Deadline, fmt.Sprintf("CMF_MINUTES=%g at step %d of %d: not repeatable", limit, l.Step(), l.Of))
			}
			return nil
		},
	}
}

func minutes(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
