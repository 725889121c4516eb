package sweep

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"

	"gonum.org/v1/gonum/blas/blas32"
)

// Ablation is an experiment carried out for all variants × data sets × seeds,
// each a cell with a process and a folder of its own, as a value.
type Ablation struct {
	// Name is the folder of the command and of the results; "ablation" when empty.
	Name string

	// Of is the experiment.
	Of run.Experiment

	Variants []Variant

	// Sets are values of the variable Over, "DATASET" when that is empty; without
	// any, the data is what the experiment's own settings make it.
	Sets []string
	Over string

	// Seeds is the number of seeds, which count from CMF_SEED; 0 means 3.
	Seeds int

	// Base are settings of all cells. The user's variables come before them, and a
	// variant's settings before both.
	Base Settings

	// Metrics are those that are tabulated, the most important first.
	Metrics []report.Headline

	// Baseline is what the tables call the experiment's; "baseline" when empty.
	Baseline string

	// Points are points (n, 2) of a set for the page's pictures; none for an empty
	// batch. nil for none at all.
	Points func(set string) blas32.General

	// Draw draws figures of one's own from all cells into the folder of the results, for
	// the page; nil for none. It is called with what has finished, however much that is.
	Draw func(folder string, cells []Cell) ([]report.Figure, error)

	// Presets change a copy of the ablation, by name; Of has a preset of each.
	Presets map[string]func(*Ablation)
}

// Variant is one way to carry the experiment out.
type Variant struct {
	Name     string
	Settings Settings
}

// Settings are values of variables, by their names without CMF_: "LOSS": "dual".
type Settings map[string]string

// MainAblation runs an ablation as a command does. Cells run side by side as
// processes of this command, as many as there are cores, with one thread each
// unless CMF_THREADS is set. Means over seeds are left in the folder CMF_OUT, by
// default runs/NAME/TIMESTAMP, as index.html, ablation.md and report.json, the
// cells' numbers in ablation.csv, and their folders in cells/VARIANT/SET/SEED.
//
// Where CMF_OUT has cells of the same settings, a finished one is not run again,
// not even by a program that has changed since, and one that was interrupted goes
// on from its checkpoint; one of other settings is replaced. A cell that fails is
// reported and leaves the others alone. An interrupt ends all cells, which leave
// checkpoints; a second one ends the command without waiting for them.
func MainAblation(a Ablation) {
	env := config.OS()
	if _, cell := env[cellVariable]; cell {
		os.Exit(runCell(a.Of, env, os.Stdin, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() { <-ctx.Done(); stop() }()
	if _, err := a.Execute(ctx, env, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmp.Or(a.Name, "ablation"), err)
		os.Exit(1)
	}
}

// Settings is the configuration of the plan, without its cells.
func (a Ablation) Settings(env config.Environment, args []string, out io.Writer) ([]config.Setting, error) {
	p, err := a.plan(env, args, out)
	if err != nil {
		return nil, err
	}
	return p.settings, nil
}

// Cell is one run of an ablation: its variant, its data, its seed, its folder and all
// its settings.
type Cell struct {
	Variant, Set string
	Seed         uint64
	Folder       string
	Config       map[string]string

	Report  *report.Report // nil until it has finished
	Failure string         // why it has not; empty where it may still run
}

// Cells are the runs that Execute would make, in their order.
func (a Ablation) Cells(env config.Environment, args []string, out io.Writer) ([]Cell, error) {
	p, err := a.plan(env, args, out)
	if err != nil {
		return nil, err
	}
	return p.list(), nil
}

// Execute runs the cells that are not finished yet and writes the tables.
func (a Ablation) Execute(ctx context.Context, env config.Environment, args []string, out io.Writer) (*plan, error) {
	started := time.Now()
	p, err := a.plan(env, args, out)
	if err != nil {
		return nil, err
	}
	if err := report.WriteConfig(p.folder, p.settings); err != nil {
		return nil, err
	}
	if err := p.runCells(ctx, out); err != nil {
		return nil, err
	}
	return p, p.write(started)
}
