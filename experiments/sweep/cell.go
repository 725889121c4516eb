package sweep

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
)

// cell is a run of one variant on one set with one seed.
type cell struct {
	Variant, Set string
	Seed         uint64
	folder       string
	variables    config.Environment // environment of its process
	config       map[string]string  // all variables, as its report must have them

	report  *report.Report // nil until it is finished
	failure string
}

// cellVariable tells the command that its process runs a cell.
const cellVariable = "CMF_ABLATION_CELL"

// runCell runs the experiment in its own process until it is done or input ends. Input
// ends with the parent process, however that ends.
func runCell(of run.Experiment, env config.Environment, input io.Reader, out io.Writer) (exit int) {
	env = env.With()
	delete(env, cellVariable)
	// A terminal sends an interrupt, or its end, to both processes; the parent decides what
	// it means.
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	go func() {
		_, _ = io.Copy(io.Discard, input)
		stop()
	}()
	if _, err := of.Execute(ctx, env, out); err != nil {
		fmt.Fprintf(out, "%s: %v\n", of.Command(), err)
		return 1
	}
	return 0
}

// runCells runs the cells that are not finished, some at a time, until all have
// run or the context ends, and tells the board.
func (r *plan) runCells(ctx context.Context, out io.Writer, b *board) error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the file of this command, which cells run: %w", err)
	}
	var todo []*cell
	for _, c := range r.cells {
		if !c.finished() {
			todo = append(todo, c)
		}
	}
	b.begin()
	done := len(r.cells) - len(todo)
	progress := run.NewProgress(out, run.ProgressOptions{Total: len(r.cells), First: done})
	if b.server != nil {
		progress.Log.Info("a browser can follow", "at", b.server.URL())
	}
	progress.Log.Info("start", "ablation", r.Name, "of", r.Of.Command(), "cells", len(r.cells), "finished before", done, "at once", r.parallel, "out", r.folder)
	quiet := run.Status{Loss: math.NaN(), Residual: math.NaN(), Acceptance: math.NaN()}
	next, ran := make(chan *cell), make(chan *cell)
	var workers sync.WaitGroup
	for range r.parallel {
		workers.Go(func() {
			for c := range next {
				b.start(c)
				c.run(ctx, executable)
				ran <- c
			}
		})
	}
	go func() {
		defer close(ran)
		defer workers.Wait()
		defer close(next)
		for _, c := range todo {
			select {
			case next <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	for c := range ran {
		b.settle(c)
		c.log(progress.Log, r.Metrics[0].Metric)
		if c.report != nil || c.failure != "" {
			done++
		}
		progress.Step(done, quiet)
	}
	progress.Finish(done, quiet)
	return nil
}

// log reports how a cell ended.
func (c *cell) log(log *slog.Logger, metric string) {
	args := []any{"variant", c.Variant, "set", c.Set, "seed", c.Seed}
	switch {
	case c.failure != "":
		log.Error("failed", append(args, "message", c.failure, "log", c.path("log.txt"))...)
	case c.report == nil:
		log.Info("interrupted", args...)
	default:
		log.Info("cell", append(args, metric, report.ShownNumber(c.report.Metrics, metric), "seconds", int(c.report.Seconds))...)
	}
}

// run runs the cell in a process. It starts from the cell's checkpoint if there is one
// with its settings.
func (c *cell) run(ctx context.Context, executable string) {
	if ctx.Err() != nil {
		return
	}
	variables := c.variables.With(cellVariable + "=1")
	if c.resumable() {
		variables["CMF_RESUME"] = c.path("checkpoint.safetensors")
	} else if err := os.RemoveAll(c.folder); err != nil {
		c.failure = err.Error()
		return
	}
	err := c.process(ctx, executable, variables)
	if c.finished() || err == nil && ctx.Err() != nil {
		return
	}
	c.failure = c.explain(err)
}

// process runs the executable until it ends by itself, or until the context ends: then it
// is asked to end, and leaves a checkpoint. Its output goes to log.txt.
func (c *cell) process(ctx context.Context, executable string, variables config.Environment) error {
	if err := os.MkdirAll(c.folder, 0o777); err != nil {
		return err
	}
	log, err := os.OpenFile(c.path("log.txt"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(executable)
	command.Stdout, command.Stderr = log, log
	command.Env = variables.Process()
	input, err := command.StdinPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { input.Close() })()
	return command.Wait()
}

// explain says, from the last lines of its output, why a process ended with err.
func (c *cell) explain(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || !exit.Exited()) {
		return err.Error() // killed, or not started
	}
	last := "it ended without a report"
	log, err := os.Open(c.path("log.txt"))
	if err != nil {
		return last
	}
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return line
		}
		if line != "" {
			last = line
		}
	}
	return last
}

// finished says whether the folder holds a whole report with the cell's settings, and
// reads it.
func (c *cell) finished() bool {
	text, err := os.ReadFile(c.path("report.json"))
	if err != nil {
		return false
	}
	var r report.Report
	if json.Unmarshal(text, &r) != nil || !r.Stop.Complete() || !c.same(r.Config, r.Resolved) {
		return false
	}
	c.report = &r
	return true
}

// resumable says whether the folder holds a checkpoint with the cell's settings, of a run
// that did not diverge: that would diverge again.
func (c *cell) resumable() bool {
	text, err := os.ReadFile(c.path("report.json"))
	var r report.Report
	if err == nil && (json.Unmarshal(text, &r) != nil || r.Stop.Reason == report.Diverged) {
		return false
	}
	checkpoint, err := graph.LoadCheckpoint(c.path("checkpoint.safetensors"))
	if err != nil {
		return false
	}
	var config map[string]string
	return json.Unmarshal([]byte(checkpoint.Texts["config"]), &config) == nil && c.same(config, r.Resolved)
}

// same says whether a run had the cell's settings. The places of its files and results
// do not count, nor do variables for which the run found values itself.
func (c *cell) same(config map[string]string, resolved []string) bool {
	places := []string{"CMF_OUT", "CMF_RESUME", "CMF_DATA_DIR"}
	without := func(name, _ string) bool { return slices.Contains(places, name) || slices.Contains(resolved, name) }
	have, want := maps.Clone(config), maps.Clone(c.config)
	maps.DeleteFunc(have, without)
	maps.DeleteFunc(want, without)
	return maps.Equal(have, want)
}

func (c *cell) path(name string) string { return filepath.Join(c.folder, name) }
