package run

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cmf/experiments/figure"
	"cmf/experiments/report"
	"cmf/experiments/watch"

	"github.com/lmittmann/tint"
)

// Watch lets browsers follow what is done, at the address of CMF_WATCH; without an address
// the server is nil.
func Watch(address string) (*watch.Server, error) {
	if address == "" {
		return nil, nil
	}
	server, err := watch.Listen(address)
	if err != nil {
		if known, ok := errors.AsType[*net.OpError](err); ok {
			err = known.Err
		}
		return nil, fmt.Errorf("CMF_WATCH=%s: %w; name an address of this computer with a port that is free, or port 0", address, err)
	}
	return server, nil
}

// live is what a run keeps for those who follow it.
type live struct {
	server  *watch.Server // nil if nobody may follow
	doing   string
	shown   time.Time
	glimpse *report.Glimpse
}

// Track begins to show the progress of steps, on the terminal and to browsers. doing says
// in a word or two what is done.
func (r *Run) Track(doing string, o ProgressOptions) {
	r.live.doing = doing
	r.Progress = NewProgress(r.Out, o)
	r.Progress.Log = slog.New(slog.NewMultiHandler(r.Progress.Log.Handler(), r.log.handler()))
	r.Progress.changed = r.show
	r.show(true)
}

// Watched says whether browsers may follow the run.
func (r *Run) Watched() bool { return r.live.server != nil }

// Glimpse shows a picture of the model in training to those who follow the run; it leaves no
// file. The picture must not change any more.
func (r *Run) Glimpse(picture image.Image, caption string) {
	if picture == nil || r.live.glimpse != nil && r.live.glimpse.Of(picture) {
		return
	}
	r.live.glimpse = report.NewGlimpse(picture, caption)
}

// often is how much time passes, at the least, between two states of training that browsers
// may see.
const often = 500 * time.Millisecond

// show lets browsers see how far the run is: a copy, since they look from other goroutines.
func (r *Run) show(now bool) {
	if r.live.server == nil || !now && time.Since(r.live.shown) < often {
		return
	}
	r.live.shown = time.Now()
	page := r.pageNow()
	page.Report.Seconds = time.Since(r.Started).Seconds()
	page.Live = &report.Live{Doing: r.live.doing, Glimpse: r.live.glimpse}
	r.Progress.describe(page.Live)
	r.live.server.Show(watch.Site{Folder: r.Folder, Files: r.files(), Page: sync.OnceValues(func() ([]byte, error) { return page.HTML(r.Folder) })})
}

// showEnd lets browsers see the page that the run leaves.
func (r *Run) showEnd() {
	if r.live.server == nil {
		return
	}
	page := r.pageNow()
	r.live.server.Show(watch.Site{Folder: r.Folder, Files: r.files(), Done: true, Page: sync.OnceValues(func() ([]byte, error) { return page.HTML(r.Folder) })})
}

// unwatch ends the server.
func (r *Run) unwatch(ctx context.Context) error {
	if r.live.server == nil {
		return nil
	}
	return r.live.server.Close(ctx)
}

// pageNow is the page with copies of what the run may still change.
func (r *Run) pageNow() report.Page {
	page, all := r.Page, r.Report
	all.Truth, all.Config = nil, nil // the page does not show them
	all.Metrics, all.Floor, all.Baseline = maps.Clone(all.Metrics), maps.Clone(all.Floor), maps.Clone(all.Baseline)
	all.Notes, all.Warnings, all.Beside = slices.Clone(all.Notes), slices.Clone(all.Warnings), slices.Clone(all.Beside)
	for k := range all.Beside {
		all.Beside[k].Metrics = maps.Clone(all.Beside[k].Metrics)
	}
	all.Data, page.Summary = report.Plain(all.Data), report.Plain(page.Summary)
	page.Report, page.Settings, page.Log = &all, slices.Clone(r.settings), r.log.all()
	page.Headline, page.Tables = slices.Clone(page.Headline), slices.Clone(page.Tables)
	page.Figures, page.Curves = slices.Clone(page.Figures), slices.Clone(page.Curves)
	return page
}

// files are the names of what the run has written so far, with vector figures beside others.
func (r *Run) files() map[string]bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	all := map[string]bool{}
	for name := range r.own {
		name = filepath.ToSlash(filepath.Clean(name))
		all[name] = true
		if strings.HasSuffix(name, ".png") {
			all[figure.VectorPath(name)] = true
		}
	}
	return all
}

// written are the names of the files, but for the page itself, that are there.
func (r *Run) written() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(r.files())) {
		info, err := os.Lstat(filepath.Join(r.Folder, filepath.FromSlash(name)))
		if err == nil && info.Mode().IsRegular() && name != "index.html" {
			names = append(names, name)
		}
	}
	return names
}

// lines are the last lines of a log.
type lines struct {
	lock  sync.Mutex
	texts []string
}

// mostLines is how many lines of its log a page shows.
const mostLines = 300

func (l *lines) handler() slog.Handler {
	return tint.NewTextHandler(l, &tint.Options{TimeFormat: time.TimeOnly, NoColor: true})
}

// Write takes one message.
func (l *lines) Write(message []byte) (int, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.texts = append(l.texts, strings.TrimRight(string(message), "\n"))
	if len(l.texts) >= 2*mostLines {
		l.texts = slices.Clone(l.texts[len(l.texts)-mostLines:])
	}
	return len(message), nil
}

func (l *lines) all() []string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return slices.Clone(l.texts[max(0, len(l.texts)-mostLines):])
}

// describe says how far the steps are.
func (p *Progress) describe(to *report.Live) {
	if p == nil || p.options.Total == 0 {
		return
	}
	if p.ended {
		to.Doing = "after " + to.Doing
		return
	}
	to.Step, to.Of = p.done, p.options.Total
	now := p.now()
	if made := p.done - p.options.First; made > 0 {
		to.Rate = float64(made) / max(now.Sub(p.start).Seconds(), 1e-3)
	}
	to.Left, _ = p.left(p.done, now)
}
