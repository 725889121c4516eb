package experiments_test

import (
	"context"
	"fmt"
	"io"
	"os"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/exact"
	"cmf/solvers/random"
)

// MoonsConfig adds nothing to the variables that all learning experiments have.
type MoonsConfig struct{ config.Core }

// Moons is an experiment of your own: it learns two moons from samples.
var Moons = run.Definition[MoonsConfig]{
	Name: "moons",
	Presets: map[string]func(*MoonsConfig){
		"default": func(c *MoonsConfig) { c.Steps, c.Batch, c.Hidden, c.LR = 300, 256, config.Widths{64, 64}, 1e-2 },
	},
	Do: func(ctx context.Context, r *run.Run, c *MoonsConfig) error {
		moons, err := data.Toy("moons")
		if err != nil {
			return err
		}
		points := moons.Sample(random.New(c.Seed, "moons", 0), 20000)
		law, err := exact.FitGaussian(points, 0)
		if err != nil {
			return err
		}
		w, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: c.Hidden})
		if err != nil {
			return err
		}
		model, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
			Potential: w, Start: layers.Start{Law: law}, Train: points, Precondition: true, Decay: .99,
		})
		if err != nil || !model.Finished {
			return err
		}
		draw, err := model.Draw(ctx, 1000, 200, random.New(c.Seed, "generation", 0))
		if err != nil {
			return err
		}
		r.Report.Metrics["conjugate_converged"] = draw.Converged
		r.Report.Metrics["energy_distance"], err = metric.EnergyDistance(draw.Points, points)
		if err != nil {
			return err
		}
		return r.SaveSamples(draw.Points)
	},
}

// An experiment of your own is a value. Its command is one line:
//
//	func main() { run.Main(Moons) }
func ExampleDefinition() {
	out, err := os.MkdirTemp("", "moons")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(out)
	run, err := run.Execute(context.Background(), Moons, config.Variables("CMF_OUT="+out), nil, io.Discard)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("energy distance to the data below 0.02:", run.Report.Metrics["energy_distance"] < .02)
	fmt.Println("conjugates solved:", run.Report.Metrics["conjugate_converged"])
	// Output:
	// energy distance to the data below 0.02: true
	// conjugates solved: 1
}
