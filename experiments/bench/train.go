package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/data"
	"cmf/data/images"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/picture"
	"cmf/experiments/ranks"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// trainedSteps is the number of iterations after which the weights of a trained case are taken.
const trainedSteps = 500

// benchData are the points that a trained case learns, in the units of learning, and the
// settings of training, as in the experiment on such points.
type benchData struct {
	name  string
	train blas32.General
	core  config.Core
	fit.Problem
}

// trained is the state after steps iterations of CMFGen: the potential, a batch of the points
// that it learned, and a batch of particles, which are samples of its Gibbs factor. Its
// quadratic is that of all cases, ¼|x|².
func (s benchSize) trained(ctx context.Context, set benchData, steps int) (*bench, error) {
	m, w, err := s.training(set, nil, 0)
	if err != nil {
		return nil, err
	}
	for step := range steps {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := m.Advance(); err != nil {
			return nil, fmt.Errorf("step %d of training on %s: %w", step+1, set.name, err)
		}
	}
	x := batch.New(s.n, s.d)
	for i, k := range picture.SpreadRows(set.train.Rows, s.n) {
		copy(batch.Row(x, i), batch.Row(set.train, k))
	}
	y := batch.New(s.n, s.d)
	for i, k := range picture.SpreadRows(m.State.Bank.Y.Rows, s.n) {
		copy(batch.Row(y, i), batch.Row(m.State.Bank.Y, k))
	}
	return newBenchAt(w, x, y)
}

// training is CMFGen on set before its first step, by the ranks g or by this process alone. Its
// minibatches have the given number of rows in all, or, for 0, those of the experiment.
func (s benchSize) training(set benchData, g *ranks.Group, rows int) (*fit.Model, *layers.ICNN, error) {
	w, err := s.network()
	if err != nil {
		return nil, nil, err
	}
	p, core := set.Problem, set.core
	core.Steps, core.Seed, core.Loss, core.Source, core.Sampler = trainedSteps, 1, "dual", config.SourceGibbs, sampling.ByMALA
	core.Batch = cmp.Or(rows, core.Batch)
	p.Potential, p.Train, p.Precondition = w, set.train, true
	p.Particles = max(p.Particles, s.n, rows)
	if p.Start.Law, p.Start.Share, err = lawOfQuadratic(set.train); err != nil {
		return nil, nil, err
	}
	p.Start.Fixed, p.Start.Balanced = 1, true
	m, err := p.Prepare(&core, g)
	return m, w, err
}

// lawOfQuadratic is the Gaussian N(0, vI), where v is the mean variance of the points, and the
// ratio of ½ to the curvature v^{-1/3} of its closed form. If that is more than nine tenths, v
// is lowered until it is nine tenths.
func lawOfQuadratic(x blas32.General) (law *exact.Gaussian, share float64, err error) {
	v := batch.TotalVariance(x, batch.Means(x)) / float64(x.Cols)
	if !(v > 0) || math.IsInf(v, 0) {
		return nil, 0, fmt.Errorf("the points have the variance %g; it must be positive and finite", v)
	}
	share = min(benchCurvature*math.Cbrt(v), .9)
	law = exact.StandardGaussian(x.Cols)
	for k := range law.Values {
		law.Values[k] = math.Pow(share/benchCurvature, 3)
	}
	return law, share, nil
}

// planePoints are moons, learned as toy2d does.
func planePoints() (benchData, error) {
	set, err := data.Toy("moons")
	return benchData{
		name:  set.Name(),
		train: set.Sample(random.New(1, "points", 0), 100000),
		core:  config.Core{Batch: 512, LR: 5e-2, Conjugate: conjugate.ByBarzilaiBorwein},
		Problem: fit.Problem{
			Start: layers.Start{Spread: 30}, Particles: 8192, Langevin: 5, Tolerance: 1e-3,
		},
	}, err
}

// digitPoints are digits in centred logit units with smoothing noise, learned as in mnist: the
// first n of MNIST if it is in the folder, else of the built-in stand-in.
func digitPoints(ctx context.Context, folder string, n int) (benchData, error) {
	const seed, alpha, noise = 1, .005, .65
	set, err := images.MNIST(ctx, images.MNISTOptions{Dir: folder, Offline: true})
	if errors.Is(err, images.ErrNoMNIST) {
		set, err = images.StandIn(seed, n, 64), nil
	}
	if err != nil {
		return benchData{}, fmt.Errorf("CMF_DATA_DIR=%s: %w", folder, err)
	}
	d := picture.DigitData{Set: set, Units: units.Pixels{Alpha: alpha}}
	x, err := d.Dequantised(batch.Rows(set.Train, 0, min(n, set.Train.Rows)), random.New(seed, "dequantisation", 0))
	if err != nil {
		return benchData{}, err
	}
	x = batch.Shifted(x, batch.Means(x))
	picture.AddNoise(x, noise, random.New(seed, "smoothing", 0))
	return benchData{
		name:  set.Name,
		train: x,
		core:  config.Core{Batch: 128, LR: 2e-2, Conjugate: conjugate.ByLBFGS},
		Problem: fit.Problem{
			Start: layers.Start{Spread: 6, Directions: picture.Strokes(x)}, Particles: 512, Langevin: 3, Tolerance: 1e-2,
		},
	}, nil
}
