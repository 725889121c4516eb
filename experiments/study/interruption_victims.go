package study

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/internal/outcome"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// victims are the experiments whose runs are ended, each as a run of a few seconds.
var victims = map[string][]string{
	"gaussian": {"CMF_COV=2,0,0;0,1,0;0,0,1", "CMF_STEPS=600", "CMF_HIDDEN=16", "CMF_BATCH=64", "CMF_PARTICLES=512", "CMF_POINTS=500", "CMF_CHAIN=20"},
	"toy2d":    {"CMF_PRESET=quick", "CMF_STEPS=100", "CMF_HIDDEN=32", "CMF_BATCH=128", "CMF_POINTS=5000", "CMF_SAMPLES=256"},
	"energy":   {"CMF_PRESET=quick", "CMF_STEPS=400", "CMF_HIDDEN=32", "CMF_BATCH=128", "CMF_SAMPLES=256", "CMF_CHAIN=20"},
	"samples":  {"CMF_STEPS=200", "CMF_HIDDEN=32", "CMF_BATCH=128", "CMF_LOSS=dual+amortised", "CMF_COUNT=1000"},
	"mnist": {"CMF_SPACE=pixels", "CMF_PRESET=quick", "CMF_TRAIN=1000", "CMF_STEPS=24", "CMF_HIDDEN=32", "CMF_BATCH=64", "CMF_PARTICLES=128", "CMF_SAMPLES=64",
		"CMF_MIXING=20", "CMF_LIKELIHOOD=0"},
}

// victim is the command of an experiment, with what a run of it that is left alone
// leaves.
type victim struct {
	name     string
	env      config.Environment
	command  string
	launcher []string // of its ranks; empty for one process
	ranks    int
	whole    string        // the folder of that run
	steps    int           // of its training
	rows     int           // of its metrics
	load     time.Duration // from its beginning to the first of them
	rest     time.Duration // from the last of them to its end
	writings int           // of its checkpoints
}

// newVictim builds the command and lets one run alone, in the folder whole.
func newVictim(ctx context.Context, name, scratch, whole string, c *InterruptionConfig) (*victim, error) {
	env := config.Variables("CMF_VM="+c.VM, "CMF_BLAS="+c.BLAS, "CMF_THREADS="+strconv.Itoa(c.Threads), "CMF_SEED="+strconv.FormatUint(c.Seed, 10))
	v := &victim{name: name, env: env.With(victims[name]...), command: filepath.Join(scratch, name), whole: whole, ranks: c.Ranks}
	if c.Ranks > 1 {
		v.launcher = strings.Fields(c.Launcher)
	}
	switch name {
	case "samples":
		points := filepath.Join(scratch, "points.csv")
		v.env["CMF_DATA_FILE"] = points
		if err := data.WriteCSV(points, nil, parabola(800, random.New(c.Seed, "points", 0))); err != nil {
			return nil, err
		}
	case "mnist":
		v.env["CMF_DATA_DIR"] = filepath.Join(scratch, "none") // the stand-in
	}
	if err := v.build(ctx); err != nil {
		return nil, err
	}
	begun := time.Now()
	p, err := v.start(ctx, whole, "")
	w := writings{folder: whole}
	if err == nil {
		p.await(func() bool { w.look(); return outcome.Rows(whole) > 0 })
		v.load = time.Since(begun)
		p.await(func() bool { w.look(); return false })
		err = p.wait(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s, left alone: %w", name, err)
	}
	v.writings = max(1, w.begun)
	v.rows, v.rest = outcome.Rows(whole), time.Since(outcome.LastRow(whole))
	if v.steps, err = outcome.Steps(whole); err != nil {
		return nil, err
	}
	if v.rows == 0 || v.steps == 0 {
		return nil, fmt.Errorf("%s, left alone, made %d steps and %d rows of metrics; strikes need some", name, v.steps, v.rows)
	}
	return v, nil
}

// parabola draws n points (n, 2) about y = x².
func parabola(n int, rng *random.Stream) blas32.General {
	x := blas32.General{Rows: n, Cols: 2, Stride: 2, Data: make([]float32, 2*n)}
	for i := range n {
		at := rng.NormFloat64()
		x.Data[2*i], x.Data[2*i+1] = float32(at), float32(at*at+.3*rng.NormFloat64())
	}
	return x
}

// build makes the command, which lies in this module beside the studies.
func (v *victim) build(ctx context.Context) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("the command of %s is built by the Go tool: %w", v.name, err)
	}
	source := path.Join(path.Dir(reflect.TypeFor[victim]().PkgPath()), v.name)
	build := exec.CommandContext(ctx, "go", "build", "-o", v.command, source)
	build.Cancel = func() error { return build.Process.Signal(os.Interrupt) } // it ends its own children then
	if said, err := build.CombinedOutput(); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		return fmt.Errorf("the command of %s is built from this module's source: run the study in a folder of it: go build %s: %w\n%s", v.name, source, err, said)
	}
	return nil
}

// process is a run of a command.
type process struct {
	*exec.Cmd
	ranks int
	pids  string // the file to which ranks write their numbers
	said  bytes.Buffer
	ended chan struct{}
	err   error // how it ended, once it has
}

// start begins a run with its results in the folder out, from a checkpoint unless that
// is empty. The run is killed when the context ends.
func (v *victim) start(ctx context.Context, out, resume string) (*process, error) {
	words := []string{v.command}
	pids := v.command + ".pids"
	if v.ranks > 1 {
		if err := os.RemoveAll(pids); err != nil {
			return nil, err
		}
		words = slices.Concat(v.launcher, []string{"-n", strconv.Itoa(v.ranks), "sh", "-c", `echo $$ >>"$0"; exec "$1"`, pids, v.command})
	}
	p := &process{Cmd: exec.CommandContext(ctx, words[0], words[1:]...), ranks: v.ranks, pids: pids, ended: make(chan struct{})}
	if v.ranks > 1 {
		p.Cancel = func() error { return p.Process.Signal(os.Interrupt) } // it ends its ranks then
		p.WaitDelay = 5 * time.Second
	}
	p.Env = append(v.env.With("CMF_OUT="+out, "CMF_RESUME="+resume).Process(), "HTTPS_PROXY=http://127.0.0.1:1") // nothing is downloaded
	p.Stderr = &p.said
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.Wait()
		close(p.ended)
	}()
	return p, nil
}

// target is what a strike hits: one of the ranks at random, once all have begun.
func (p *process) target(rng *random.Stream) *os.Process {
	if p.ranks == 1 {
		return p.Process
	}
	p.await(func() bool { return len(p.running()) == p.ranks })
	all := p.running()
	if len(all) == 0 {
		return p.Process
	}
	return all[rng.IntN(len(all))]
}

// running are the ranks that have begun.
func (p *process) running() (ranks []*os.Process) {
	text, _ := os.ReadFile(p.pids) // without it none has
	for line := range strings.Lines(string(text)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			continue // it is being written
		}
		if rank, err := os.FindProcess(pid); err == nil {
			ranks = append(ranks, rank)
		}
	}
	return ranks
}

// buried waits until no rank is left: a launcher may end before those that it kills.
func (p *process) buried() {
	for _, rank := range p.running() {
		for range 500 {
			if rank.Signal(syscall.Signal(0)) != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// wait waits for the end, and says how it came if not by itself and well.
func (p *process) wait(ctx context.Context) error {
	<-p.ended
	if p.ranks > 1 {
		p.buried()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p.err != nil {
		return fmt.Errorf("%w\n%s", p.err, &p.said)
	}
	return nil
}

// await waits until something is so, or the process has ended.
func (p *process) await(so func() bool) {
	for !so() && p.pause(100*time.Microsecond) {
	}
}

// pause waits so long, and tells whether the process still runs.
func (p *process) pause(d time.Duration) bool {
	select {
	case <-p.ended:
		return false
	case <-time.After(d):
		return true
	}
}
