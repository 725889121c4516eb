package target

import (
	"context"
	"fmt"

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

// Boxed is an energy E to learn from, with a box that holds nearly all of the mass of
// e^{−E}.
type Boxed struct {
	Energy solvers.Energy
	Box    solvers.Box
}

// Fit is Fit of p by CMFMA. The law, hinges and walkers of p start from a first
// exploration of E, which uses only its box.
func (t Boxed) Fit(ctx context.Context, r *run.Run, core *config.Core, p fit.Problem) (*fit.Model, error) {
	const points, evaluations = 2048, 100 * 2048
	first, err := t.Explore(ctx, points, evaluations, random.New(core.Seed, "exploration", 0))
	if err != nil {
		return nil, err
	}
	law, err := exact.FitGaussian(first.Points, 0)
	if err != nil {
		return nil, err
	}
	p.Start.Law = law
	p.Train, p.Energy, p.Box = first.Points, t.Energy, t.Box
	p.Tolerance, p.Precondition = 1e-3, true
	model, err := fit.Fit(ctx, r, core, p)
	if err != nil {
		return nil, err
	}
	r.Report.Metrics[p.Prefixed("energy_evaluations")] = float64(first.Evaluations + model.Energy.Evaluations)
	return model, nil
}

// Explored holds points found by MALA on E from a start in its box, with the number of
// points at which E was evaluated.
type Explored struct {
	Points      blas32.General
	Evaluations int
}

// Explore runs n chains and evaluates E at about evaluations points.
func (t Boxed) Explore(ctx context.Context, n, evaluations int, rng *random.Stream) (Explored, error) {
	start, err := t.start(n, rng)
	if err != nil {
		return Explored{}, err
	}
	chains, err := sampling.NewChains(start)
	if err != nil {
		return Explored{}, err
	}
	_, cov := batch.Moments(start)
	sampler := sampling.Langevin{Adjusted: true, Step: .1 * mat.Trace(cov) / float64(start.Cols), Decay: .6}
	steps := max(1, evaluations/n-startTries)
	if _, err := sampler.Run(ctx, t.Energy, chains, steps, rng); err != nil {
		return Explored{}, fmt.Errorf("MALA on the energy: %w", err)
	}
	return Explored{chains.Y, n * (startTries + steps)}, nil
}

// startTries is how many points of the box are tried for each point of a start.
const startTries = 32

// start is n points of the box resampled by e^{−βE}. β is the largest of 1, ½, ¼, … at
// which the effective sample size is at least n/8: so modes get their share where the
// dimension allows it.
func (t Boxed) start(n int, rng *random.Stream) (blas32.General, error) {
	x, energy := batch.New(startTries*n, t.Energy.Dim()), make([]float32, startTries*n)
	for i := range x.Rows {
		for k, lower := range t.Box.Lower {
			batch.Row(x, i)[k] = float32(lower + (t.Box.Upper[k]-lower)*rng.Float64())
		}
	}
	if err := t.Energy.Eval(x, energy, blas32.General{}); err != nil {
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
