package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/experiments/figure"
	"cmf/experiments/report"
)

// ErrFailed is the error of a run that ended but learned nothing usable: see Run.Fail.
var ErrFailed = errors.New("nothing usable was learned")

// Warn adds a warning to the log, to the head of the page, and to the notes of the report,
// before those of Note: a result that must not be taken for a good one.
func (r *Run) Warn(format string, args ...any) {
	text := report.Plain(fmt.Sprintf(format, args...))
	r.Report.Notes = slices.Insert(r.Report.Notes, len(r.Report.Warnings), text)
	r.Report.Warnings = append(r.Report.Warnings, text)
	r.Progress.Log.Warn(text)
	r.show(true)
}

// Fail records that nothing usable was learned, as a warning and as the run's stop. The run
// goes on, so that its page shows what was found; in the end it has the error ErrFailed, and
// a command the exit status 1. Only the first reason counts for the stop.
func (r *Run) Fail(format string, args ...any) {
	r.Warn(format, args...)
	if r.Report.Stop.Reason != report.Failed {
		stop := r.Report.Stop
		r.Report.Stop = report.Stop{Reason: report.Failed, Step: stop.Step, Of: stop.Of, Text: fmt.Sprintf(format, args...)}
	}
}

// Bound says which values of a metric mean that a fit is poor, or useless.
type Bound struct {
	Metric string // of Report.Metrics
	Label  string // the metric in words; its name if empty
	Goal   report.Goal
	Target float64 // for report.Nearer

	// Values worse than these are poor, and useless; 0 for no such value.
	Poor, Useless float64

	// Baseline is what the baseline of the report is, in words; values worse than it by more
	// than Margin are poor. Empty if the baseline does not matter.
	Baseline string
	Margin   float64

	Remedy string // what to change, a sentence; it ends the warning of a value that is poor
}

// Judge warns of metrics that are poor by their bounds, and fails the run for those that are
// useless or not finite. Metrics that the report does not have are passed over.
func (r *Run) Judge(bounds ...Bound) {
	for _, b := range bounds {
		v, ok := r.Report.Metrics[b.Metric]
		if !ok {
			continue
		}
		name, remedy := cmp.Or(b.Label, b.Metric), ""
		if b.Remedy != "" {
			remedy = " " + b.Remedy
		}
		h := report.Headline{Metric: b.Metric, Goal: b.Goal, Target: b.Target}
		baseline, known := r.Report.Baseline[b.Metric]
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			r.Fail("The %s is not finite: the fit failed.", name)
		case b.Useless != 0 && h.Loss(v) > h.Loss(b.Useless):
			r.Fail("The %s is %.4g, where anything worse than %.4g is useless: the fit failed.", name, v, b.Useless)
		case b.Baseline != "" && known && h.Loss(v) > h.Loss(baseline)+b.Margin:
			r.Warn("The %s is %.4g, worse than the %.4g of %s: do not rely on this fit.%s", name, v, baseline, b.Baseline, remedy)
		case b.Poor != 0 && h.Loss(v) > h.Loss(b.Poor):
			r.Warn("The %s is %.4g, where anything worse than %.4g is poor: do not rely on this fit.%s", name, v, b.Poor, remedy)
		}
	}
}

// JudgeLikelihood warns if held-out points are less likely under the model than under the
// baseline of the report.
func (r *Run) JudgeLikelihood(baseline string) {
	r.Judge(Bound{
		Metric: "log_likelihood", Label: "log-likelihood of held-out points", Goal: report.Higher,
		Baseline: baseline, Margin: 3 * r.Report.Metrics["log_likelihood_se"],
		Remedy: "Learn longer (CMF_STEPS), at a lower rate (CMF_LR), or from more points.",
	})
}

// Figure draws a figure of the folder and puts it on the page, at the head if lead. A figure
// that fails is a warning. The error is that of ctx, if it has ended.
func (r *Run) Figure(ctx context.Context, f report.Figure, lead bool, draw func(path string) error) error {
	err := ctx.Err()
	if err == nil && r.Root() {
		r.World.Apart(func() { err = draw(r.Path(f.File)) }) // other ranks do not draw
	}
	switch ended := ctx.Err(); {
	case err == nil && lead:
		r.LeadFigure(f.File, f.Caption)
	case err == nil:
		r.AddFigure(f.File, f.Caption)
	case ended != nil:
		return ended
	default:
		r.lose(f.File, err)
	}
	return nil
}

// lose warns that a figure could not be drawn.
func (r *Run) lose(file string, err error) {
	if known := (*figure.Error)(nil); errors.As(err, &known) {
		err = known.Err
	}
	r.Warn("The figure %s could not be drawn: %v.", file, err)
}
