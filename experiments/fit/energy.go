package fit

import (
	"fmt"

	"cmf/experiments/config"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

func (p Problem) ofEnergy() bool { return p.Energy != nil || p.EnergyGiven != nil }

// learnEnergy sets up CMFMA.
func (p Problem) learnEnergy(core *config.Core, m *Model) (err error) {
	if core.Source == config.SourceGaussian {
		return fmt.Errorf("CMF_SOURCE=gaussian: for a fit to an energy, allowed is gibbs")
	}
	loop := &solvers.CMFMA{
		Potential: m.Evaluator,
		Objective: m.objective,
		Energy:    p.Energy,
		Box:       p.Box,
		Langevin:  p.Langevin,
		Ranks:     m.ranks.Solvers(),
	}
	if loop.Sampler, loop.Conjugate, loop.Adam, err = p.methods(core); err != nil {
		return err
	}
	var walkers blas32.General
	if p.EnergyGiven != nil {
		loop.Conditional, loop.EnergyGiven = m.Evaluator, p.EnergyGiven
		walkers, err = p.groups(core, m)
	} else {
		walkers, err = p.walkers(core, m)
	}
	if err != nil {
		return err
	}
	if m.Energy, err = solvers.NewCMFMAState(core.Batch, p.Shares, m.State, walkers); err != nil {
		return err
	}
	if w := m.Energy.Walkers; w != nil {
		w.Step = .1 * batch.MeanVariance(p.Train) // a guess, which MALA adapts within a few steps
	}
	loop.State = m.Energy
	if p.Precondition && p.EnergyGiven == nil {
		loop.MeanHessian = m.Curvature.MeanHessian
	}
	m.step = loop.Step
	return nil
}

// walkers sets the particles, and starts walkers at points of Train.
func (p Problem) walkers(core *config.Core, m *Model) (walkers blas32.General, err error) {
	own, walk, _, err := p.Shares.Split(core.Batch)
	if err != nil {
		return walkers, err
	}
	if m.State, err = p.particles(core, max(own, 1), m.ranks.Rank()); err != nil {
		return walkers, err
	}
	walkers = batch.New(walk, p.Train.Cols)
	rng := random.New(core.Seed, "walkers", m.ranks.Rank())
	for i := range walk {
		copy(batch.Row(walkers, i), batch.Row(p.Train, rng.IntN(p.Train.Rows)))
	}
	return walkers, nil
}

// groups is walkers for energies with contexts: each context of Train has a group of particles
// and one of walkers, which start at its points. If a batch has not as many groups as there are
// contexts, or a divisor, the first contexts have several.
func (p Problem) groups(core *config.Core, m *Model) (walkers blas32.General, err error) {
	if core.Batch%solvers.ContextRows != 0 {
		return walkers, fmt.Errorf("CMF_BATCH=%d: with contexts it must be a multiple of %d, which share a context each", core.Batch, solvers.ContextRows)
	}
	own, walk, _, err := p.Shares.Split(solvers.ContextRows)
	if err != nil {
		return walkers, err
	}
	own = max(own, 1)
	of, inBatch := batch.EqualRows(p.Contexts), core.Batch/solvers.ContextRows
	count := (len(of) + inBatch - 1) / inBatch * inBatch
	var particles, starts []int // rows of Train
	for g := range count {
		rows := of[g%len(of)]
		for i := range own {
			particles = append(particles, rows[i%len(rows)])
		}
		for i := range walk {
			starts = append(starts, rows[i%len(rows)])
		}
	}
	contexts, rank := batch.Gathered(p.Contexts, particles), m.ranks.Rank()
	y, partners, err := p.Start.ParticlesGiven(contexts, random.New(core.Seed, "particles", rank))
	if err != nil {
		return walkers, err
	}
	m.State, err = solvers.NewConditionalState(batch.Gathered(p.Train, particles), contexts, y, partners, inBatch*own, random.New(core.Seed, "Langevin", rank))
	return batch.Gathered(p.Train, starts), err
}
