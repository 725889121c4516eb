package sweep

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"cmf/data/file"
	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"

	"gonum.org/v1/gonum/blas/blas32"
)

// Ablation is an experiment that is run for all variants × data sets × seeds, as a value.
// Each cell has its own process and folder.
type Ablation struct {
	// Name is the folder of the command and of the results; "ablation" if empty.
	Name string

	// Of is the experiment.
	Of run.Experiment

	Variants []Variant

	// Sets are values of the variable Over ("DATASET" if Over is empty). Without sets,
	// the experiment's own settings choose the data.
	Sets []string
	Over string

	// Seeds is the number of seeds, which count from CMF_SEED; 0 means 3.
	Seeds int

	// Base are settings of all cells. The user's variables override them, and a
	// variant's settings override both.
	Base Settings

	// Metrics are the metrics in the tables, the most important first.
	Metrics []report.Headline

	// Baseline is the name of the experiment's baseline in the tables; "baseline" if empty.
	Baseline string

	// Points are points (n, 2) of a set for the page's pictures. An empty batch means
	// no picture for that set; a nil Points means no pictures.
	Points func(set string) blas32.General

	// Draw draws additional figures from all cells into the folder of the results, for
	// the page; nil for none. It is called even if only some cells have finished.
	Draw func(folder string, cells []Cell) ([]report.Figure, error)

	// Presets change a copy of the ablation, by name; Of has a preset of each name.
	Presets map[string]func(*Ablation)
}

// Variant is one way to run the experiment.
type Variant struct {
	Name     string
	Settings Settings
}

// Settings are values of variables by their names without CMF_, such as "LOSS": "dual".
type Settings map[string]string

// MainAblation runs an ablation as a command. Cells run side by side as processes of this
// command, as many as there are cores, with one thread each unless CMF_THREADS is set.
// Means over seeds are written to the folder CMF_OUT, by default runs/NAME/TIMESTAMP, as
// index.html, ablation.md and report.json; the numbers of the cells to ablation.csv, and
// their folders to cells/VARIANT/SET/SEED.
//
// If CMF_OUT has cells with the same settings, a finished one is not run again, even if
// the program has changed since, and an interrupted one goes on from its checkpoint. A
// cell with other settings is replaced. A cell that fails is reported and does not affect
// the others.
//
// Several processes that share CMF_OUT share the cells: ranks that mpirun or srun started, tasks
// of a job array of Slurm or of an Indexed Job of Kubernetes, or such as CMF_PART names. Each cell
// runs whole in one of them; a cell of a process that is gone goes to another, and who comes
// last writes the tables. An interrupt, SIGTERM or SIGHUP ends all cells, which leave checkpoints; a
// second one ends the command without waiting for them. See run.Main for the exit status.
func MainAblation(a Ablation) {
	env := config.OS()
	if _, cell := env[cellVariable]; cell {
		os.Exit(runCell(a.Of, env, os.Stdin, os.Stderr))
	}
	name := cmp.Or(a.Name, "ablation")
	ctx, status := run.Interruptible(name)
	err := a.Execute(ctx, env, os.Args[1:], os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, report.Plain(err.Error()))
		os.Exit(cmp.Or(status(), 1))
	}
	os.Exit(status())
}

// Settings is the configuration of the plan, without its cells.
func (a Ablation) Settings(env config.Environment, args []string, out io.Writer) ([]config.Setting, error) {
	p, err := a.plan(env, args, out)
	if err != nil {
		return nil, err
	}
	return p.settings, nil
}

// Cell is one run of an ablation: its variant, data, seed, folder and all its settings.
type Cell struct {
	Variant, Set string
	Seed         uint64
	Folder       string
	Config       map[string]string

	Report  *report.Report // nil until it has finished
	Failure string         // why it has not finished; empty if it may still run
}

// Cells are the runs that Execute would make, in order.
func (a Ablation) Cells(env config.Environment, args []string, out io.Writer) ([]Cell, error) {
	p, err := a.plan(env, args, out)
	if err != nil {
		return nil, err
	}
	return p.list(), nil
}

// Execute runs the cells that are not finished yet and writes the tables.
func (a Ablation) Execute(ctx context.Context, env config.Environment, args []string, out io.Writer) (err error) {
	started := time.Now()
	p, err := a.plan(env, args, out)
	if err != nil {
		return err
	}
	b := &board{plan: p, started: started, settled: make([]cell, len(p.cells)), running: map[*cell]bool{}}
	if p.part.is <= 1 {
		if b.server, err = run.Watch(p.watch); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	w, err := p.newWork(b, out)
	if err != nil {
		return err
	}
	if err := report.WriteConfig(p.folder, p.settings); err != nil {
		return err
	}
	return w.do(ctx)
}

// lock takes the folder for this process, or for the processes that share the sweep. Where the
// file system has no locks, claims keep them apart.
func (p *plan) lock() (unlock func() error, err error) {
	take := file.Lock
	if !p.part.alone() {
		take = file.LockShared
	}
	unlock, err = take(p.folder)
	switch {
	case errors.Is(err, file.ErrLocked):
		return nil, fmt.Errorf("CMF_OUT=%s: %w: wait for its end, or name another folder", p.folder, err)
	case err != nil:
		return func() error { return nil }, nil
	}
	p.locked = true
	return unlock, nil
}
