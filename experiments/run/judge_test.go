package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/report"
)

type judgedConfig struct{ config.Command }

// judged runs a definition that does the given, and returns its page, its report and its log.
func judged(t *testing.T, do func(ctx context.Context, r *Run) error) (page string, rep report.Report, log string, err error) {
	t.Helper()
	out := t.TempDir()
	var text bytes.Buffer
	d := Definition[judgedConfig]{
		Name: "judged", Presets: map[string]func(*judgedConfig){"quick": nil, "default": nil, "paper": nil},
		Do: func(ctx context.Context, r *Run, _ *judgedConfig) error { return do(ctx, r) },
	}
	for name := range d.Presets {
		d.Presets[name] = func(*judgedConfig) {}
	}
	_, err = Execute(t.Context(), d, config.Variables("CMF_OUT="+out), nil, &text)
	html, failed := os.ReadFile(filepath.Join(out, "index.html"))
	if failed != nil {
		t.Fatal(failed)
	}
	raw, failed := os.ReadFile(filepath.Join(out, "report.json"))
	if failed == nil {
		failed = json.Unmarshal(raw, &rep)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	return string(html), rep, text.String(), err
}

func TestJudge(t *testing.T) {
	ess := Bound{Metric: "ess", Label: "effective sample size", Goal: report.Higher, Poor: .05, Useless: .001, Remedy: "Do it again."}
	likelihood := Bound{Metric: "log_likelihood", Goal: report.Higher, Baseline: "the Gaussian", Margin: .1}
	for name, c := range map[string]struct {
		metrics report.Numbers
		reason  report.Reason
		warning string // the first; empty for none
	}{
		"good":         {report.Numbers{"ess": .9, "log_likelihood": -.95}, report.Finished, ""},
		"poor":         {report.Numbers{"ess": .01}, report.Finished, "The effective sample size is 0.01, where anything worse than 0.05 is poor: do not rely on this fit. Do it again."},
		"useless":      {report.Numbers{"ess": 1e-4}, report.Failed, "The effective sample size is 0.0001"},
		"not finite":   {report.Numbers{"ess": math.NaN()}, report.Failed, "The effective sample size is not finite"},
		"worse":        {report.Numbers{"ess": .9, "log_likelihood": -1.2}, report.Finished, "The log_likelihood is -1.2, worse than the -1 of the Gaussian"},
		"not measured": {report.Numbers{}, report.Finished, ""},
	} {
		page, rep, log, err := judged(t, func(_ context.Context, r *Run) error {
			r.Note("a remark")
			r.Report.Metrics = c.metrics
			r.Report.Baseline["log_likelihood"] = -1
			r.Judge(ess, likelihood)
			return nil
		})
		if failed := c.reason == report.Failed; failed != errors.Is(err, ErrFailed) || !failed && err != nil {
			t.Errorf("%s: error %v", name, err)
		}
		if rep.Stop.Reason != c.reason || len(rep.Warnings) > 0 != (c.warning != "") {
			t.Errorf("%s: stop %+v, warnings %q", name, rep.Stop, rep.Warnings)
			continue
		}
		if c.warning == "" {
			continue
		}
		if !strings.HasPrefix(rep.Notes[0], c.warning) || rep.Notes[1] != "a remark" || !strings.Contains(log, "level=WARN msg=\""+c.warning) {
			t.Errorf("%s: notes %q, log\n%s", name, rep.Notes, log)
		}
		page, logged, _ := strings.Cut(page, "<summary>Log")
		at := strings.Index(page, c.warning)
		if at < 0 || at > strings.Index(page, "</header>") || strings.Count(page, c.warning) != 1 || strings.Count(logged, c.warning) != 1 {
			t.Errorf("%s: the warning is at byte %d of the page; want it once in the head, and once in the log", name, at)
		}
	}
}

// A figure that fails is a warning that names it, by Figure or as an error of the run; the
// end of the context is not.
func TestFigureThatFails(t *testing.T) {
	broken := func(path string) error { return figure.DrawCurves(path, figure.Axes{}) }
	for name, do := range map[string]func(ctx context.Context, r *Run) error{
		"Figure": func(ctx context.Context, r *Run) error {
			return r.Figure(ctx, report.Figure{File: "a.png"}, true, broken)
		},
		"error": func(_ context.Context, r *Run) error { return broken(r.Path("a.png")) },
	} {
		page, rep, _, err := judged(t, do)
		if err != nil || len(rep.Warnings) != 1 || !strings.HasPrefix(rep.Warnings[0], "The figure a.png could not be drawn: no finite point") || !strings.Contains(page, "a.png") {
			t.Errorf("%s: error %v, warnings %q", name, err, rep.Warnings)
		}
	}
	_, rep, _, err := judged(t, func(ctx context.Context, r *Run) error {
		return r.Figure(ctx, report.Figure{File: "a.png", Caption: "a line"}, true, func(path string) error {
			return figure.DrawCurves(path, figure.Axes{}, figure.Series{X: []float64{0, 1}, Y: []float64{0, 1}})
		})
	})
	if err != nil || len(rep.Warnings) > 0 {
		t.Errorf("a figure that can be drawn: error %v, warnings %q", err, rep.Warnings)
	}
	r := &Run{Progress: NewProgress(nil, ProgressOptions{})}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := r.Figure(ended, report.Figure{File: "a.png"}, true, broken); !errors.Is(err, context.Canceled) || len(r.Report.Warnings) > 0 {
		t.Errorf("after the end of the context: %v, warnings %q", err, r.Report.Warnings)
	}
}
