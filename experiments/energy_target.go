package experiments

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// energyTarget is an energy with what is known of its law ρ.
type energyTarget struct {
	name   string
	energy solvers.Energy
	box    solvers.Box
	logZ   float64                                        // log ∫e^{−E}; NaN where unknown
	grid   *data.Quadrature                               // in up to two dimensions, else nil
	sample func(n int, rng *random.Stream) blas32.General // exact points of ρ; nil where there is no way
}

// newEnergyTarget refuses an energy that is not integrable, and integrates it where
// that can be done.
func newEnergyTarget(r *run.Run, e solvers.Energy) (*energyTarget, error) {
	t := &energyTarget{name: r.Report.Experiment, energy: e, logZ: math.NaN()}
	var err error
	if known, ok := e.(*data.Energy); ok {
		t.name, t.box, t.logZ, t.sample = cmp.Or(known.Name, t.name), known.Box, known.LogZ, known.Draw
	}
	if t.box.Lower != nil {
		err = data.CheckIntegrable(e)
	} else {
		t.box, err = data.FindBox(e)
	}
	if err != nil {
		return nil, err
	}
	r.Report.Data = fmt.Sprintf("the energy %s on ℝ^%d", t.name, e.Dim())
	if e.Dim() <= 2 {
		if t.grid, err = data.NewQuadrature(e, t.box, 0); err != nil {
			return nil, err
		}
		t.logZ, t.sample = t.grid.LogZ, t.grid.Sample
		if t.grid.NaNs > 0 {
			r.Note("The energy is not a number at %d of %d points of its box; they count as points without mass.", t.grid.NaNs, len(t.grid.LogDensity))
		}
		if t.grid.Edge > 1e-3 {
			r.Note("The cells along the edge of the box hold %.2g of the mass: the box is too small.", t.grid.Edge)
		}
	}
	r.Report.Truth = map[string]any{"log_z": t.logZ, "box": [][]float64{t.box.Lower, t.box.Upper}}
	return t, nil
}

// fit is Fit of p by CMFMA, p's law, hinges and walkers starting from a first look at
// E that knows no more than its box.
func (t *energyTarget) fit(ctx context.Context, r *run.Run, core *config.Core, p fit.Problem) (*fit.Model, error) {
	const points, evaluations = 2048, 100 * 2048
	first, err := t.explore(ctx, points, evaluations, random.New(core.Seed, "exploration", 0))
	if err != nil {
		return nil, err
	}
	law, err := exact.FitGaussian(first.points, 0)
	if err != nil {
		return nil, err
	}
	p.Start.Law = law
	p.Train, p.Energy, p.Box = first.points, t.energy, t.box
	p.Tolerance, p.Precondition = 1e-3, true
	model, err := fit.Fit(ctx, r, core, p)
	if err != nil {
		return nil, err
	}
	r.Report.Metrics[p.Prefixed("energy_evaluations")] = float64(first.evaluations + model.Energy.Evaluations)
	return model, nil
}

// explored are points of MALA on E from a start in its box, with the number of
// points at which that evaluated E.
type explored struct {
	points      blas32.General
	evaluations int
}

// explore runs n chains so that E is evaluated at about so many points.
func (t *energyTarget) explore(ctx context.Context, n, evaluations int, rng *random.Stream) (explored, error) {
	start, err := t.start(n, rng)
	if err != nil {
		return explored{}, err
	}
	chains, err := sampling.NewChains(start)
	if err != nil {
		return explored{}, err
	}
	_, cov := batch.Moments(start)
	sampler := sampling.Langevin{Adjusted: true, Step: .1 * mat.Trace(cov) / float64(start.Cols), Decay: .6}
	steps := max(1, evaluations/n-startTries)
	if _, err := sampler.Run(ctx, t.energy, chains, steps, rng); err != nil {
		return explored{}, fmt.Errorf("MALA on the energy: %w", err)
	}
	return explored{chains.Y, n * (startTries + steps)}, nil
}

// startTries are the points of the box for each that start keeps.
const startTries = 32

// start is n points of the box resampled by e^{−βE}, with β the largest of 1, ½,
// ¼, … for which they do not stand for fewer than n/8: modes get their share where
// dimension allows it.
func (t *energyTarget) start(n int, rng *random.Stream) (blas32.General, error) {
	x, energy := batch.New(startTries*n, t.energy.Dim()), make([]float32, startTries*n)
	for i := range x.Rows {
		for k, lower := range t.box.Lower {
			batch.Row(x, i)[k] = float32(lower + (t.box.Upper[k]-lower)*rng.Float64())
		}
	}
	if err := t.energy.Eval(x, energy, blas32.General{}); err != nil {
		return x, fmt.Errorf("the energy in its box: %w", err)
	}
	for {
		weights, err := density.NewImportance(energy, make([]float64, len(energy)))
		if err != nil {
			return x, fmt.Errorf("the energy in its box: %w", err)
		}
		usable := float64(len(energy) - weights.Failed())
		if weights.Size*float64(len(energy)) >= min(float64(n)/8, usable/2) {
			return batch.Gathered(x, weights.Resample(n, rng)), nil
		}
		for i := range energy {
			energy[i] /= 2
		}
	}
}
