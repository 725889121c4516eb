// Package study holds experiments on the method itself: how well it recovers a known
// potential, what makes bridges between parts of the data thin, where learning ends with a
// message instead of a model, and whether killed runs go on to the same bits. Each study
// except the last is a sweep: its cells are runs of an experiment, and its figure is drawn
// from all of them.
package study

import (
	"context"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/run"
	"cmf/experiments/target"
	"cmf/layers"
	"cmf/solvers/exact"
	"cmf/solvers/line"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// KnownConfig configures problems with a known potential.
type KnownConfig struct {
	config.Core
	Dim int `default:"2" range:"1..256" desc:"dimension of the problem"`
}

// InverseConfig configures problems with a random potential.
type InverseConfig struct {
	KnownConfig
	Points int `default:"240000" range:"1000..10000000" desc:"points of the measure to learn from"`
}

// Inverse recovers a random potential w† from samples of its measure ∇w†*♯e^{−w†}, and
// reports the UVP, see metric.UVP, of ∇w against ∇w†.
var Inverse = run.Definition[InverseConfig]{
	Name: "inverse",
	Presets: map[string]func(*InverseConfig){
		"quick": func(c *InverseConfig) { c.Steps, c.Hidden, c.Points = 200, config.Widths{128}, 30000 },
		// A wide layer finds the truth's hinges, if there are points enough to tell them from noise.
		"default": func(c *InverseConfig) { c.Steps, c.Hidden, c.LR = 1000, config.Widths{1024}, 5e-2 },
	},
	Do: func(ctx context.Context, r *run.Run, c *InverseConfig) error {
		truth, err := data.NewInverse(c.Dim, 8*c.Dim, random.New(c.Seed, "truth", uint64(c.Dim)))
		if err != nil {
			return err
		}
		train, err := truth.Sample(c.Points, random.New(c.Seed, "points", 0))
		if err != nil {
			return err
		}
		held, err := truth.Sample(5000, random.New(c.Seed, "held out", 0))
		if err != nil {
			return err
		}
		law, err := exact.FitGaussian(train, 0)
		if err != nil {
			return err
		}
		return recoverMap(r, &c.KnownConfig, truth, law, held, func(w layers.Network) (*fit.Model, error) {
			return fit.Fit(ctx, r, &c.Core, fit.Problem{
				Potential: w, Train: train,
				Start:     layers.Start{Law: law, Share: .3, Fixed: .1, Spread: 6, Balanced: true},
				Particles: 4096, Tolerance: 1e-3, Decay: .995, Precondition: true,
			})
		})
	},
}

// Product learns a rotated product of mixtures on the line from its energy, and
// reports the UVP of ∇w against the map of the fixed points on the axes.
var Product = run.Definition[KnownConfig]{
	Name: "product",
	Presets: map[string]func(*KnownConfig){
		"quick":   func(c *KnownConfig) { c.Steps = 200 },
		"default": func(c *KnownConfig) { c.Steps, c.Hidden, c.LR = 500, config.Widths{64, 64}, 1e-2 },
	},
	Do: func(ctx context.Context, r *run.Run, c *KnownConfig) error {
		laws, axes := make([]*line.Mixture, c.Dim), make([]data.Line, c.Dim)
		for k := range laws {
			// The modes of a pair are closer on each further axis.
			at := 1.5 - float64(k)/float64(c.Dim)
			law, err := line.NewMixture(
				line.Component{Weight: .6, Mean: -at, SD: .6}, line.Component{Weight: .4, Mean: at, SD: .8})
			if err != nil {
				return err
			}
			laws[k] = law
			if axes[k], err = (line.Solver{Nodes: 1001}).Conjugate(law); err != nil {
				return err
			}
		}
		truth, err := data.NewProduct(axes, random.New(c.Seed, "rotation", 0))
		if err != nil {
			return err
		}
		e, err := data.ProductEnergy(laws, random.New(c.Seed, "rotation", 0))
		if err != nil {
			return err
		}
		held := e.Draw(5000, random.New(c.Seed, "held out", 0))
		law, err := exact.FitGaussian(held, 0)
		if err != nil {
			return err
		}
		return recoverMap(r, c, truth, law, held, func(w layers.Network) (*fit.Model, error) {
			return target.Boxed{Energy: e, Box: e.Box}.Fit(ctx, r, &c.Core, fit.Problem{
				Loss: "monge-ampere", Potential: w, Start: layers.Start{Share: .2, Fixed: .02}, Particles: 4096, Langevin: 2, Decay: .99,
			})
		})
	},
}

// recoverMap learns the potential truth by fit, and reports the UVP of its gradient at
// held-out points, with that of the Gaussian law as baseline.
func recoverMap(r *run.Run, c *KnownConfig, truth potential.Potential, law *exact.Gaussian, held blas32.General, fit func(w layers.Network) (*fit.Model, error)) (err error) {
	if r.Report.Baseline["uvp_percent"], err = metric.PotentialUVP(law.ConjugateMoment(), truth, held); err != nil {
		return err
	}
	w, err := c.Network(layers.Architecture{Dim: c.Dim, Hidden: c.Hidden, Unit: c.Unit, Full: true}, layers.Architecture{})
	if err != nil {
		return err
	}
	model, err := fit(w)
	if err != nil || !model.Finished {
		return err
	}
	r.Report.Metrics["uvp_percent"], err = metric.PotentialUVP(model.Evaluator, truth, held)
	return err
}
