package experiments

import (
	"bytes"
	"context"
	"os"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/exact"
	"cmf/solvers/line"
	"cmf/solvers/random"
)

// product learns the potential of a rotated product of mixtures from its energy.
var product = run.Definition[knownConfig]{
	Name: "product",
	Presets: map[string]func(*knownConfig){
		"default": func(c *knownConfig) { c.Steps, c.Hidden, c.LR = 500, config.Widths{64, 64}, 1e-2 },
	},
	Do: func(ctx context.Context, r *run.Run, c *knownConfig) error {
		laws, axes := make([]*line.Mixture, c.Dim), make([]data.Line, c.Dim)
		for k := range laws {
			// Pairs of modes, closer from axis to axis.
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
		return recoverMap(r, c, truth, law, held, func(w *layers.ICNN) (*fit.Model, error) {
			return (&energyTarget{energy: e, box: e.Box}).fit(ctx, r, &c.Core, fit.Problem{
				Loss: "monge-ampere", Potential: w, Start: layers.Start{Share: .2, Fixed: .02}, Particles: 4096, Langevin: 2, Decay: .99,
			})
		})
	},
}

// The map of a rotated product is learned from its energy. PRODUCT_STUDY=8, say,
// tells of 4000 steps in that dimension.
func TestEnergyOfRotatedProduct(t *testing.T) {
	env := config.Variables("CMF_OUT=" + t.TempDir())
	bound := .5
	if d := os.Getenv("PRODUCT_STUDY"); d != "" {
		env = env.With("CMF_DIM="+d, "CMF_STEPS=4000")
		bound = 2
	}
	r, err := run.Execute(t.Context(), product, env, nil, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	uvp, gaussian := r.Report.Metrics["uvp_percent"], r.Report.Baseline["uvp_percent"]
	if !(uvp < bound) || !(gaussian > 5*uvp) {
		t.Errorf("UVP %.3f %%, of the Gaussian with the same moments %.3f %%", uvp, gaussian)
	}
	t.Logf("UVP %.3f %%, of the Gaussian with the same moments %.3f %%", uvp, gaussian)
}
