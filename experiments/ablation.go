package experiments

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

	"gonum.org/v1/gonum/blas/blas32"
)

// Ablation is an experiment carried out for all variants × data sets × seeds,
// each a cell with a process and a folder of its own, as a value.
type Ablation struct {
	// Name is the folder of the command and of the results; "ablation" when empty.
	Name string

	// Of is the experiment.
	Of Experiment

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
	Metrics []Headline

	// Baseline is what the tables call the experiment's; "baseline" when empty.
	Baseline string

	// Points are points (n, 2) of a set for the page's pictures; none for an empty
	// batch. nil for none at all.
	Points func(set string) blas32.General

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

// Experiment is a Definition of any configuration.
type Experiment interface {
	name() string
	presets() []string
	load(args []string, out io.Writer) ([]Setting, error)
	execute(ctx context.Context, out io.Writer) (*Run, error)
}

func (d Definition[T]) name() string      { return d.Name }
func (d Definition[T]) presets() []string { return presetNames(d.Presets) }

func (d Definition[T]) load(args []string, out io.Writer) ([]Setting, error) {
	return Load(new(T), d.Presets, args, out)
}

func (d Definition[T]) execute(ctx context.Context, out io.Writer) (*Run, error) {
	return Execute(ctx, d, nil, out)
}

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
	if _, cell := os.LookupEnv(cellVariable); cell {
		os.Exit(runCell(a.Of, os.Stdin, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() { <-ctx.Done(); stop() }()
	if _, err := a.execute(ctx, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmp.Or(a.Name, "ablation"), err)
		os.Exit(1)
	}
}

// load is the configuration of the plan, without its cells.
func (a Ablation) load(args []string, out io.Writer) ([]Setting, error) {
	p, err := a.plan(args, out)
	if err != nil {
		return nil, err
	}
	return p.settings, nil
}

// execute runs the cells that are not finished yet and writes the tables.
func (a Ablation) execute(ctx context.Context, args []string, out io.Writer) (*plan, error) {
	started := time.Now()
	p, err := a.plan(args, out)
	if err != nil {
		return nil, err
	}
	if err := WriteConfig(p.folder, p.settings); err != nil {
		return nil, err
	}
	if err := p.runCells(ctx, out); err != nil {
		return nil, err
	}
	return p, p.write(started)
}
