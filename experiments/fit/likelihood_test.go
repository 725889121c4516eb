package fit

import (
	"bytes"
	"context"
	"math"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// square is a grid of cells over [−half, half]², and the area of a cell.
func square(half float64, cells int) (blas32.General, float64) {
	x := batch.New(cells*cells, 2)
	side := 2 * half / float64(cells)
	for i := range x.Rows {
		x.Data[2*i] = float32(-half + side*(float64(i%cells)+.5))
		x.Data[2*i+1] = float32(-half + side*(float64(i/cells)+.5))
	}
	return x, side * side
}

// A network trained on moons has a density of mass 1 with either source. At held-out
// points its density is higher than that of the Gaussian fit.
func TestHeldOutDensityOfATrainedNetwork(t *testing.T) {
	for _, source := range []string{"gibbs", "gaussian"} {
		moons := run.Definition[struct{ config.Core }]{
			Name: "moons",
			Presets: map[string]func(*struct{ config.Core }){
				"default": func(c *struct{ config.Core }) {
					c.Steps, c.Batch, c.Hidden, c.LR = 200, 256, config.Widths{48, 48}, 1e-2
				},
			},
			Do: func(ctx context.Context, r *run.Run, c *struct{ config.Core }) error {
				set, err := data.Toy("moons")
				if err != nil {
					return err
				}
				train := set.Sample(random.New(1, "train", 0), 5000)
				held := set.Sample(random.New(1, "held out", 0), 1000)
				law, err := exact.FitGaussian(train, 0)
				if err != nil {
					return err
				}
				w, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: c.Hidden})
				if err != nil {
					return err
				}
				model, err := Fit(ctx, r, &c.Core, Problem{Potential: w, Start: layers.Start{Law: law}, Train: train, Decay: .99, Precondition: true})
				if err != nil {
					return err
				}
				grid, area := square(12, 480)
				onGrid, err := HeldOutDensity(ctx, model, grid, random.New(1, "log Z", 0))
				if err != nil {
					return err
				}
				var mass float64
				for _, v := range onGrid.LogPDF {
					mass += math.Exp(v) * area
				}
				r.Report.Metrics["mass"] = mass
				atHeld, err := HeldOutDensity(ctx, model, held, random.New(1, "log Z", 1))
				if err != nil {
					return err
				}
				atHeld.Report(r.Report.Metrics)
				gaussian, err := law.LogPDF(held)
				r.Report.Baseline["log_likelihood"], _, _ = FiniteMean(gaussian)
				return err
			},
		}
		r, err := run.Execute(t.Context(), moons, config.Variables("CMF_OUT="+t.TempDir(), "CMF_SOURCE="+source), nil, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		m := r.Report.Metrics
		t.Logf("%s: mass %.4f, log likelihood %.3f ± %.3f, Gaussian fit %.3f, log Z %.4f ± %.4f",
			source, m["mass"], m["log_likelihood"], m["log_likelihood_se"], r.Report.Baseline["log_likelihood"], m["log_z"], m["log_z_se"])
		if !(math.Abs(m["mass"]-1) < .01) {
			t.Errorf("%s: the density has the mass %g", source, m["mass"])
		}
		if !(m["log_likelihood"] > r.Report.Baseline["log_likelihood"]+.1) || m["log_likelihood_failed"] > 0 {
			t.Errorf("%s: log likelihood %g, of the Gaussian fit %g; %g points failed", source, m["log_likelihood"], r.Report.Baseline["log_likelihood"], m["log_likelihood_failed"])
		}
	}
}
