package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"cmf/experiments/report"
	"cmf/experiments/run"
)

// work is what this process does for a sweep: it claims cells, runs them and, if it comes
// last, writes the tables.
type work struct {
	*plan
	session    *session
	board      *board
	out        io.Writer
	progress   *run.Progress
	executable string
	identity   string
	mine       map[*cell]bool // cells that run here
	elsewhere  []note         // claims on cells that run in other processes that live
	unknown    int            // cells of processes that may be dead
	over       bool           // others have written the tables
}

// tablesClaim is the name of claims on writing the tables.
const tablesClaim = "tables"

func (p *plan) newWork(b *board, out io.Writer) (w *work, err error) {
	w = &work{plan: p, board: b, out: out, mine: map[*cell]bool{}}
	if w.executable, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("the file of this command, which cells run: %w", err)
	}
	if w.identity, err = identity(report.ConfigOf(p.settings)); err != nil {
		return nil, err
	}
	if p.part.alone() && p.locked {
		// Nobody else is there, and failures of earlier sessions count no more.
		if err := (&session{folder: filepath.Join(p.folder, claimsFolder)}).retire(); err != nil {
			return nil, err
		}
	}
	w.session, err = openSession(p.folder, w.identity, p.timing)
	return w, err
}

// do does the work until there is none for this process, or the context ends.
func (w *work) do(ctx context.Context) error {
	if err := w.runCells(ctx); err != nil {
		return err
	}
	log := w.progress.Log
	switch {
	case w.over:
		log.Info("all cells have ended, and another process has written the tables")
	case w.done() == len(w.cells):
		return w.writeTables(ctx)
	case len(w.elsewhere) > 0 && ctx.Err() == nil:
		log.Info("the other cells run in other processes, of which the last writes the tables", "cells", len(w.elsewhere), "such as", w.elsewhere[0].String())
	case !w.part.alone():
		log.Warn("interrupted; the same command goes on")
	default:
		if err := w.write(w.board.started); err != nil {
			return err
		}
		w.board.end()
		return w.session.retire()
	}
	return nil
}

// done is the number of cells that have come to an end.
func (w *work) done() (n int) {
	for _, c := range w.cells {
		if c.settled() {
			n++
		}
	}
	return n
}

// runCells runs open cells, some at a time, until there are none or the context ends, and
// tells the board.
func (w *work) runCells(ctx context.Context) (err error) {
	for _, c := range w.cells {
		c.finished()
	}
	w.board.begin()
	before := w.done()
	w.progress = run.NewProgress(w.out, run.ProgressOptions{Total: len(w.cells), First: before})
	if w.board.server != nil {
		w.progress.Log.Info("a browser can follow", "at", w.board.server.URL())
	}
	about := []any{"ablation", w.Name, "of", w.Of.Command(), "cells", len(w.cells), "finished before", before, "at once", w.parallel, "out", w.folder}
	if !w.part.alone() {
		about = append(about, "part", w.part)
	}
	w.progress.Log.Info("start", about...)
	quiet := run.Status{Loss: math.NaN(), Residual: math.NaN(), Acceptance: math.NaN()}
	ran := make(chan ending)
	look := time.NewTicker(w.session.poll)
	defer look.Stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := ctx.Done()
	for {
		if ctx.Err() == nil {
			if err = w.begin(ctx, ran); err != nil {
				cancel()
			}
		}
		w.progress.Step(w.done(), quiet)
		if len(w.mine) == 0 && (w.over || w.unknown == 0 || ctx.Err() != nil) {
			break
		}
		select {
		case e := <-ran:
			if failed := w.end(e); failed != nil {
				err = errors.Join(err, failed)
				cancel()
			}
		case <-look.C:
		case <-stopped:
			stopped = nil // what runs ends by itself
		}
	}
	w.progress.Finish(w.done(), quiet)
	return err
}

// ending is a cell that has run, with what it left, its claim, and whether that was lost
// meanwhile.
type ending struct {
	cell    *cell
	report  *report.Report
	failure string
	claim   *claim
	lost    bool
}

// begin begins open cells while there is room for more. If others have ended the session, it
// begins one of its own for what is open.
func (w *work) begin(ctx context.Context, ran chan<- ending) error {
	for len(w.mine) < w.parallel {
		within, lose := context.WithCancel(ctx)
		c, own, err := w.next(lose)
		if errors.Is(err, fs.ErrNotExist) && !w.tabulated() {
			w.session, err = openSession(w.folder, w.identity, w.timing)
			if err == nil {
				c, own, err = w.next(lose)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			w.over, err = true, nil
		}
		if err != nil || c == nil {
			lose()
			return err
		}
		w.mine[c] = true
		w.board.start(c)
		go func() {
			defer lose()
			r, failure := c.run(within, w.executable)
			ran <- ending{c, r, failure, own, within.Err() != nil && ctx.Err() == nil}
		}()
	}
	return nil
}

// next claims the first open cell, from that of the part on, or returns nil. It takes in what
// other processes have done.
func (w *work) next(lost func()) (*cell, *claim, error) {
	numbers, err := w.session.latest()
	if err != nil {
		return nil, nil, err
	}
	w.elsewhere, w.unknown = nil, 0
	from := w.part.from(len(w.cells))
	for k := range w.cells {
		c := w.cells[(from+k)%len(w.cells)]
		if c.settled() || w.mine[c] {
			continue
		}
		how, n := w.session.look(c.claim, numbers[c.claim])
		switch {
		case how == alive:
			w.elsewhere = append(w.elsewhere, n)
			continue
		case how == unknown:
			w.unknown++
			continue
		case how == done && (n.Failure != "" || c.finished()):
			c.failure = n.Failure
			w.board.settle(c)
			continue
		}
		own, err := w.session.claim(c.claim, c.String(), numbers[c.claim]+1, lost)
		if err != nil {
			return nil, nil, err
		}
		if own == nil {
			w.unknown++ // another process was faster
			continue
		}
		if !c.finished() {
			return c, own, nil
		}
		w.board.settle(c)
		if err := own.close(ended, ""); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// end takes in a cell that has run here.
func (w *work) end(e ending) error {
	c := e.cell
	c.report, c.failure = e.report, e.failure
	delete(w.mine, c)
	if e.lost {
		w.progress.Log.Warn("another process took this one for dead and has the cell now", "cell", c.String())
		c.failure = ""
	}
	w.board.settle(c)
	if !e.lost {
		c.log(w.progress.Log, w.Metrics[0].Metric)
	}
	if c.settled() {
		return e.claim.close(ended, c.failure)
	}
	return e.claim.close(left, "")
}

// writeTables writes the tables, unless another process does or has done so, and ends the
// session.
func (w *work) writeTables(ctx context.Context) error {
	for {
		numbers, err := w.session.latest()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // they are written
		}
		if err != nil {
			return err
		}
		if !w.part.alone() && len(numbers) == 0 && w.tabulated() {
			w.progress.Log.Info("all cells have ended, and the tables are written", "page", filepath.Join(w.folder, "index.html"))
			return w.session.retire()
		}
		how, n := w.session.look(tablesClaim, numbers[tablesClaim])
		if how == alive || how == done {
			w.progress.Log.Info("all cells have ended; the tables are written by another process", "process", n.String())
			return nil
		}
		if how == open {
			own, err := w.session.claim(tablesClaim, "the tables", numbers[tablesClaim]+1, func() {})
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if own != nil {
				return w.tabulateUnder(own)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(w.session.poll):
		}
	}
}

// tabulateUnder writes the tables under a claim of this process.
func (w *work) tabulateUnder(own *claim) error {
	if err := w.write(w.board.started); err != nil {
		return errors.Join(err, own.close(left, ""))
	}
	w.board.end()
	w.progress.Log.Info("done", "page", filepath.Join(w.folder, "index.html"))
	return errors.Join(own.close(ended, ""), w.session.retire())
}

// tabulated says whether the tables in the folder are those of this sweep, with all cells.
func (w *work) tabulated() bool {
	text, err := os.ReadFile(filepath.Join(w.folder, "report.json"))
	if err != nil {
		return false
	}
	var r report.Report
	if json.Unmarshal(text, &r) != nil || r.Stop.Reason != report.Finished {
		return false
	}
	of, err := identity(r.Config)
	return err == nil && of == w.identity
}
