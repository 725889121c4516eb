package learner

import (
	"errors"
	"fmt"
	"math"

	"cmf/data"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Bump is a part of a law of the plane: a normal law about (X, Y) with the deviation SD. Parts
// weigh alike.
type Bump struct{ X, Y, SD float64 }

// NewEnergy begins to learn the law of bumps from its energy alone, by CMFMA, as the command
// energy does. Only where its walkers start differs: here that is where the energy, over a box,
// says that the law lies.
func NewEnergy(o Options, bumps []Bump) (*Learner, error) {
	o.Source = Gibbs
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Potential != layers.NetworkICNN {
		return nil, errors.New("an energy is learned by an input-convex network")
	}
	l := &Learner{Options: o, Center: []float64{0, 0}}
	e, err := l.mixture(bumps)
	if err != nil {
		return nil, err
	}
	l.recipe = recipe{
		network:  layers.Architecture{Dim: 2, Hidden: o.recipe().network.Hidden, Unit: layers.Maximum, Full: true},
		start:    layers.Start{Share: .2, Fixed: .02, Balanced: true},
		lr:       .03,
		decay:    .99,
		langevin: 2,
		energy:   true,
	}
	l.Points = e.Draw(4096, random.New(o.Seed, "exact", 0))
	return l, l.learnEnergy(e)
}

// mixture is the energy of bumps about their mean, in units of their mean deviation.
func (l *Learner) mixture(bumps []Bump) (*data.Energy, error) {
	if len(bumps) == 0 {
		return nil, errors.New("an energy needs at least one bump")
	}
	n := float64(len(bumps))
	for _, b := range bumps {
		l.Center[0] += b.X / n
		l.Center[1] += b.Y / n
	}
	var variance float64
	for _, b := range bumps {
		variance += (math.Pow(b.X-l.Center[0], 2)+math.Pow(b.Y-l.Center[1], 2))/(2*n) + b.SD*b.SD/n
	}
	l.Scale = math.Sqrt(variance)
	var parts []data.Normal
	for _, b := range bumps {
		parts = append(parts, data.Normal{Weight: 1, Mean: []float64{(b.X - l.Center[0]) / l.Scale, (b.Y - l.Center[1]) / l.Scale}, SD: b.SD / l.Scale})
	}
	return data.MixtureEnergy(parts...)
}

// learnEnergy sets up CMFMA.
func (l *Learner) learnEnergy(e *data.Energy) error {
	o := l.Options
	found, err := explore(e, random.New(o.Seed, "exploration", 0))
	if err != nil {
		return err
	}
	if err := l.begin(found); err != nil {
		return err
	}
	loop := &solvers.CMFMA{Potential: l.Evaluator, Energy: e, Box: e.Box, Langevin: l.recipe.langevin, MeanHessian: l.curvature.MeanHessian}
	if loop.Sampler, loop.Conjugate, loop.Adam, err = l.methods(); err != nil {
		return err
	}
	shares := solvers.Shares{Model: 1, Energy: 1, Box: .25}
	own, walk, _, err := shares.Split(o.Batch)
	if err != nil {
		return err
	}
	if l.state, err = l.particles(max(own, 1)); err != nil {
		return err
	}
	walkers := batch.New(walk, 2)
	rng := random.New(o.Seed, "walkers", 0)
	for i := range walk {
		copy(batch.Row(walkers, i), batch.Row(found, rng.IntN(found.Rows)))
	}
	if loop.State, err = solvers.NewCMFMAState(o.Batch, shares, l.state, walkers); err != nil {
		return err
	}
	if w := loop.State.Walkers; w != nil {
		w.Step = .1 * batch.MeanVariance(found)
	}
	l.step = func() (solvers.CMFGenInfo, error) {
		info, err := loop.Step()
		return info.CMFGenInfo, err
	}
	l.use = func(objective *losses.Objective) { loop.Objective = objective }
	return l.SetLoss(o.Loss)
}

// explore is points of the box resampled by e^{−E}.
func explore(e *data.Energy, rng *random.Stream) (blas32.General, error) {
	const points, tries = 2048, 16
	x, energy := batch.New(tries*points, 2), make([]float32, tries*points)
	for i := range x.Data {
		k := i % 2
		x.Data[i] = float32(e.Box.Lower[k] + (e.Box.Upper[k]-e.Box.Lower[k])*rng.Float64())
	}
	if err := e.Eval(x, energy, blas32.General{}); err != nil {
		return x, err
	}
	weights, err := density.NewImportance(energy, make([]float64, len(energy)))
	if err != nil {
		return x, fmt.Errorf("the energy in its box: %w", err)
	}
	return batch.Gathered(x, weights.Resample(points, rng)), nil
}
