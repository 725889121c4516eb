// Package plane is a small experiment on a set in the plane, for tests of what all
// experiments share.
package plane

import (
	"bytes"
	"context"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/outcome"
	"cmf/experiments/metric"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers/exact"
	"cmf/solvers/random"
)

// Moons is a small experiment on two moons, for tests of what all experiments share.
var Moons = run.Definition[Config]{
	Name: "moons",
	Presets: map[string]func(*Config){
		"default": func(c *Config) { c.Steps, c.Batch, c.Hidden, c.LR = 400, 128, config.Widths{32, 32}, 1e-2 },
	},
	Do: func(ctx context.Context, r *run.Run, c *Config) error {
		set, err := data.Toy(c.Dataset)
		if err != nil {
			return err
		}
		points := set.Sample(random.New(c.Seed, "points", 0), 5000)
		law, err := exact.FitGaussian(points, 0)
		if err != nil {
			return err
		}
		w, err := c.Network(layers.Architecture{Dim: 2, Hidden: c.Hidden, Unit: c.Unit, DiagonalSkips: true, Rank: 1}, layers.Architecture{Pieces: 8})
		if err != nil {
			return err
		}
		model, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
			Potential: w, Start: layers.Start{Law: law}, Train: points,
			Precondition: true, Decay: .98, Terms: []losses.Term{},
		})
		if err != nil || !model.Finished {
			return err
		}
		draw, err := model.Draw(ctx, 500, 100, random.New(c.Seed, "generation", 0))
		if err != nil {
			return err
		}
		for name, v := range draw.Checks {
			r.Report.Metrics[name] = v
		}
		held := set.Sample(random.New(c.Seed, "held out", 0), 2000)
		r.Report.Metrics["energy_distance"], err = metric.EnergyDistance(draw.Points, held)
		return err
	},
}

type Config struct {
	config.Core
	Dataset string `default:"moons" desc:"2-D set"`
}

// At is a hook that does something after a step.
func At(step int, do func()) fit.Hook {
	return fit.Hook{Step: func(l *fit.Loop) error {
		if l.Step() == step {
			do()
		}
		return nil
	}}
}

// Run runs Moons with variables such as CMF_STEPS=20.
func Run(t *testing.T, variables ...string) (*run.Run, error) {
	t.Helper()
	env := config.Variables("CMF_OUT=" + t.TempDir()).With(variables...)
	return run.Execute(t.Context(), Moons, env, nil, &bytes.Buffer{})
}

// StepIn sums the steps of the checkpoints of a run's fits.
func StepIn(t *testing.T, folder string) int {
	t.Helper()
	steps, err := outcome.Steps(folder)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}
