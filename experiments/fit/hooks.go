package fit

import (
	"fmt"
	"math"
	"strings"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/ranks"
	"cmf/experiments/report"
	"cmf/experiments/run"
)

// averaging keeps the moving average of weights. It starts the average again when the
// weights go back to earlier ones. A decay of 0 keeps none.
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
		Step: func(l *Loop) error { return update(l, l.Model.Info.Restored) },
		End: func(l *Loop) error {
			if l.Stopped().Reason != report.Diverged {
				return nil
			}
			return update(l, true) // the average starts again from the last good weights
		},
	}
}

// counting adds up what the info of steps reports.
func counting() Hook {
	return Hook{Step: func(l *Loop) error {
		l.Model.tally.add(l.Model.Info)
		return nil
	}}
}

// showing shows the progress of training, and adds a note when training has gone back to
// the last good weights.
func showing(r *run.Run, core *config.Core, name string) Hook {
	var status run.Status
	return Hook{
		Start: func(l *Loop) error {
			options := run.ProgressOptions{Total: l.Of, First: l.Step()}
			if core.Minutes > 0 {
				options.Deadline = time.Now().Add(minutes(core.Minutes))
			}
			r.Track(strings.TrimSpace("training "+name), options)
			return nil
		},
		Step: func(l *Loop) error {
			if l.Model.Info.Restored {
				r.Note("At step %d of %d training had failed several times in a row. It went back to the last good weights, at a lower learning rate.", l.Step(), l.Of)
			}
			status = run.Status{Loss: l.Model.Info.Loss, Residual: l.Model.Info.Conjugate.MaxResidual(), Acceptance: l.Model.Info.Langevin.Acceptance}
			if l.Model.Noise == nil {
				status.Acceptance = math.NaN() // no particle moves
			}
			r.Progress.Step(l.Step(), status)
			return nil
		},
		End: func(l *Loop) error {
			r.Progress.Finish(l.Step(), status)
			return nil
		},
	}
}

// logging writes a line of metrics at two hundred steps of the run, and at the last one.
func logging(log *report.MetricsLog) Hook {
	return Hook{Step: func(l *Loop) error {
		if l.Step()%max(1, l.Of/200) != 0 && l.Step() != l.Of {
			return nil
		}
		if !l.Model.Info.Skipped {
			l.Model.ranks.Average(l.Model.Info.Terms)
		}
		numbers := l.Model.tally.numbers(l.Model.Info)
		if l.Model.Noise == nil {
			for _, name := range []string{"acceptance", "langevin_step", "virial", "restarted", "runaways"} {
				delete(numbers, name) // no particle moves
			}
		}
		return log.Append(l.Step(), numbers)
	}}
}

// watching logs the numbers of a problem's Watch, except at the last step, after which
// the experiment measures more.
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

// deadline ends training after limit minutes, by the clock of rank 0; 0 means no limit.
func deadline(limit float64, g *ranks.Group) Hook {
	if limit == 0 {
		return Hook{}
	}
	var at time.Time
	over := g.Decide(ranks.ToEnd, func() bool { return time.Now().After(at) })
	return Hook{
		Start: func(*Loop) error {
			at = time.Now().Add(minutes(limit))
			return nil
		},
		Step: func(l *Loop) error {
			if over() && l.Step() < l.Of {
				l.End(report.Deadline, fmt.Sprintf("CMF_MINUTES=%g at step %d of %d: not repeatable", limit, l.Step(), l.Of))
			}
			return nil
		},
	}
}

func minutes(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
