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
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"cmf/data/file"
	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/solvers/mpi"
)

// cell is a run of one variant on one set with one seed.
type cell struct {
	Variant, Set string
	Seed         uint64
	claim        string // the name of claims on it
	folder       string
	variables    config.Environment // environment of its process
	config       map[string]string  // all variables, as its report must have them

	report  *report.Report // nil until it is finished
	failure string
}

// settled says whether the cell has come to an end.
func (c *cell) settled() bool { return c.report != nil || c.failure != "" }

func (c *cell) String() string {
	return fmt.Sprintf("%s on %s, seed %d", c.Variant, c.Set, c.Seed)
}

// cellVariable tells the command that its process runs a cell.
const cellVariable = "CMF_ABLATION_CELL"

// runCell runs the experiment in its own process until it is done or input ends. Input
// ends with the parent process, however that ends.
func runCell(of run.Experiment, env config.Environment, input io.Reader, out io.Writer) (exit int) {
	env = env.With()
	delete(env, cellVariable)
	// Terminals and clusters send a signal to both processes; the parent decides what it means.
	signal.Ignore(os.Interrupt, syscall.SIGHUP, syscall.SIGTERM)
	ctx, stop := context.WithCancel(context.Background())
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

// run runs the cell in a process, and returns its report, or why there is none; neither if
// the context ended. It starts from the cell's checkpoint if there is one with its settings.
// It changes nothing of the cell, which others look at meanwhile.
func (c *cell) run(ctx context.Context, executable string) (r *report.Report, failure string) {
	c.awaitEarlier(ctx)
	if ctx.Err() != nil {
		return nil, ""
	}
	variables := c.variables.With(cellVariable + "=1")
	if c.resumable() {
		variables["CMF_RESUME"] = c.path("checkpoint.safetensors")
	} else if err := os.RemoveAll(c.folder); err != nil {
		return nil, err.Error()
	}
	err := c.process(ctx, executable, variables)
	if r = c.whole(); r != nil || err == nil && ctx.Err() != nil {
		return r, ""
	}
	return nil, c.explain(err)
}

// awaitEarlier waits for a process that runs the cell for a parent that was killed, and that is
// about to leave its checkpoint.
func (c *cell) awaitEarlier(ctx context.Context) {
	if unlock, err := file.LockContext(ctx, c.folder); err == nil { // else there is no folder, or no locks
		_ = unlock()
	}
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
	command.Env = mpi.Unlaunched(variables.Process())
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

// finished says whether the folder holds a whole report of the cell, and takes it in.
func (c *cell) finished() bool {
	r := c.whole()
	if r != nil {
		c.report = r
	}
	return r != nil
}

// whole reads a report with the cell's settings from the folder; nil if none is whole.
func (c *cell) whole() *report.Report {
	text, err := os.ReadFile(c.path("report.json"))
	if err != nil {
		return nil
	}
	r := new(report.Report)
	if json.Unmarshal(text, r) != nil || !r.Stop.Complete() || !c.same(r.Config, r.Resolved) {
		return nil
	}
	return r
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
