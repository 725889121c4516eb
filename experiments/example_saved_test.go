package experiments_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// execute runs an experiment with some variables in a folder that exists until use returns.
func execute[T any](d run.Definition[T], use func(r *run.Run) error, variables ...string) error {
	out, err := os.MkdirTemp("", d.Name)
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	r, err := run.Execute(context.Background(), d, config.Variables("CMF_OUT="+out).With(variables...), nil, io.Discard)
	if err != nil {
		return err
	}
	return use(r)
}

// The checkpoint of a run holds its model, fitted to two moons. The model generates points,
// the same for the same seed, and has a density.
func ExampleLoadModel() {
	ctx := context.Background()
	err := execute(Moons, func(r *run.Run) error {
		model, err := fit.LoadModel(filepath.Join(r.Folder, "checkpoint.safetensors"))
		if err != nil {
			return err
		}
		draw, err := model.Draw(ctx, 500, 100, random.New(7, "generation", 0))
		if err != nil {
			return err
		}
		again, err := model.Draw(ctx, 500, 100, random.New(7, "generation", 0))
		if err != nil {
			return err
		}
		fmt.Println("the same seed gives the same points:", slices.Equal(draw.Points.Data, again.Points.Data))

		moons, err := data.Toy("moons")
		if err != nil {
			return err
		}
		fresh := moons.Sample(random.New(7, "moons", 0), 1000)
		logPDF, info, err := model.LogPDF(ctx, fresh, random.New(7, "log Z", 0))
		if err != nil {
			return err
		}
		law, err := exact.FitGaussian(fresh, 0)
		if err != nil {
			return err
		}
		gaussian, err := law.LogPDF(fresh)
		if err != nil {
			return err
		}
		fmt.Println("fresh points are more likely than under a Gaussian fit:", stat.Mean(logPDF, nil) > stat.Mean(gaussian, nil)+.1)
		fmt.Println("log Z is known to 0.05 nats:", info.Error < .05)
		return nil
	}, "CMF_STEPS=150")
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// the same seed gives the same points: true
	// fresh points are more likely than under a Gaussian fit: true
	// log Z is known to 0.05 nats: true
}

// Valley learns the law ρ ∝ e^{−E} of a curved valley from its energy alone.
var Valley = run.Definition[MoonsConfig]{
	Name: "valley",
	Presets: map[string]func(*MoonsConfig){
		"default": func(c *MoonsConfig) {
			c.Steps, c.Batch, c.Hidden, c.LR, c.Loss = 300, 128, config.Widths{32, 32}, 1e-2, "monge-ampere"
		},
	},
	Do: func(ctx context.Context, r *run.Run, c *MoonsConfig) error {
		valley, err := data.EnergyFunc(2, func(x mat.Vector) float64 {
			a, b := x.AtVec(0), x.AtVec(1)-.5*x.AtVec(0)*x.AtVec(0)+.5
			return a*a/2 + 2*b*b
		}, nil)
		if err != nil {
			return err
		}
		box, err := data.FindBox(valley)
		if err != nil {
			return err
		}
		w, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: c.Hidden})
		if err != nil {
			return err
		}
		law := exact.StandardGaussian(2)
		model, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
			Energy: valley, Box: box, Shares: solvers.Shares{Model: 2, Energy: 2, Box: 1},
			Potential: w, Start: layers.Start{Law: law}, Train: law.Sample(2000, random.New(c.Seed, "start", 0)),
			Tolerance: 1e-2, Precondition: true, Decay: .98,
		})
		if err != nil || !model.Finished {
			return err
		}
		draw, err := model.Draw(ctx, 2000, 100, random.New(c.Seed, "generation", 0))
		if err != nil {
			return err
		}
		logPDF, _, err := model.LogPDF(ctx, draw.Points, random.New(c.Seed, "log Z", 0))
		if err != nil {
			return err
		}
		energy := make([]float32, len(logPDF))
		if err := valley.Eval(draw.Points, energy, blas32.General{}); err != nil {
			return err
		}
		weights, err := density.NewImportance(energy, logPDF)
		if err != nil {
			return err
		}
		r.Report.Metrics["ess"] = weights.Size
		return nil
	},
}

// An energy replaces the data: the weights ρ/q of the model's own points show how well it
// was learned.
func ExampleFit_energy() {
	err := execute(Valley, func(r *run.Run) error {
		fmt.Println("effective sample size above 60 %:", r.Report.Metrics["ess"] > .6)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// effective sample size above 60 %: true
}
