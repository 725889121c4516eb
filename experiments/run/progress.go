package run

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	"cmf/data/file"

	"github.com/lmittmann/tint"
	progressbar "github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// ProgressOptions say what a Progress shows.
type ProgressOptions struct {
	// Total is the number of steps of the run. First is the step after which a resumed
	// run starts, 0 for a new run.
	Total, First int

	// Deadline is when training stops at the latest; zero for no limit.
	Deadline time.Time

	// Every is the time between two lines when there is no terminal; 0 means 5 s.
	Every time.Duration
}

// Status is what a progress line shows of a step; NaN is left out.
type Status struct {
	Loss       float64
	Residual   float64 // relative residual of the conjugate solve
	Acceptance float64 // share of Langevin proposals accepted
}

// Progress shows the progress of a run: on a terminal a bar with the time left,
// otherwise a line of log every few seconds. It is not safe for concurrent use.
type Progress struct {
	// Log writes messages that do not break the bar.
	Log *slog.Logger

	steps   *slog.Logger // for lines of progress
	changed func(now bool)
	done    int
	ended   bool
	options ProgressOptions
	out     io.Writer
	bar     *progressbar.ProgressBar // nil if there is no terminal
	now     func() time.Time
	start   time.Time
	shown   time.Time
}

// NewProgress shows progress on out, such as os.Stderr; with nil it is silent.
func NewProgress(out io.Writer, o ProgressOptions) *Progress {
	f, ok := out.(interface{ Fd() uintptr })
	return newProgress(out, ok && term.IsTerminal(int(f.Fd())), o, time.Now)
}

func newProgress(out io.Writer, terminal bool, o ProgressOptions, now func() time.Time) *Progress {
	o.Every = cmp.Or(o.Every, 5*time.Second)
	p := &Progress{options: o, out: out, now: now, start: now(), shown: now()}
	switch {
	case out == nil:
		p.Log = slog.New(slog.DiscardHandler)
	case terminal:
		p.options.Every = 100 * time.Millisecond
		p.bar = progressbar.NewOptions(max(o.Total, 1), progressbar.OptionSetWriter(out),
			progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false), progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionSetRenderBlankState(true),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "━", SaucerPadding: "─"}))
		// A bar redraws itself on every call; this call draws it at First.
		_ = p.bar.Set(o.First)
		p.Log = slog.New(tint.NewTextHandler(aroundBar{p.bar, out}, &tint.Options{TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != ""}))
	default:
		p.Log = slog.New(slog.NewTextHandler(out, nil))
	}
	p.steps, p.changed, p.done = p.Log, func(bool) {}, o.First
	return p
}

// aroundBar clears the bar before a message; the bar's next step draws it again.
type aroundBar struct {
	bar *progressbar.ProgressBar
	out io.Writer
}

func (a aroundBar) Write(message []byte) (int, error) {
	return len(message), errors.Join(a.bar.Clear(), file.Text(a.out, message))
}

// Step reports how many steps are done. Most calls show nothing.
func (p *Progress) Step(done int, s Status) {
	p.done = done
	p.changed(false)
	now := p.now()
	if now.Sub(p.shown) < p.options.Every {
		return
	}
	p.shown = now
	p.show(done, s, now)
}

// Finish shows the last state and ends the bar.
func (p *Progress) Finish(done int, s Status) {
	p.show(done, s, p.now())
	p.done, p.ended = done, true
	p.changed(true)
	if p.bar != nil {
		// Exit leaves the bar as it is; it is not full if a run stopped early.
		_ = p.bar.Exit()
		fmt.Fprintln(p.out)
	}
}

func (p *Progress) show(done int, s Status, now time.Time) {
	args := []any{}
	for _, v := range []struct {
		name  string
		value float64
	}{{"loss", s.Loss}, {"residual", s.Residual}, {"acceptance", s.Acceptance}} {
		if !math.IsNaN(v.value) {
			args = append(args, v.name, fmt.Sprintf("%.3g", v.value))
		}
	}
	if left, ok := p.left(done, now); ok {
		args = append(args, "left", left)
	}
	if p.bar == nil {
		p.steps.Info("step "+fmt.Sprintf("%d/%d", done, p.options.Total), args...)
		return
	}
	var text []string
	for i := 0; i < len(args); i += 2 {
		text = append(text, fmt.Sprintf("%s %s", args[i], args[i+1]))
	}
	p.bar.Describe(strings.Join(text, "  "))
	_ = p.bar.Set(min(done, max(p.options.Total, 1)))
}

// left is the time left at the mean speed so far, or until the deadline.
func (p *Progress) left(done int, now time.Time) (time.Duration, bool) {
	var left time.Duration
	ok := done > p.options.First && done < p.options.Total
	if ok {
		left = time.Duration(float64(now.Sub(p.start)) * float64(p.options.Total-done) / float64(done-p.options.First))
	}
	if d := p.options.Deadline; ok && !d.IsZero() {
		left = max(0, min(left, d.Sub(now)))
	}
	return left.Round(time.Second), ok
}
