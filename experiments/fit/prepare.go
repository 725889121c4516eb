package fit

import (
	"cmp"
	"fmt"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/ranks"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// Prepare initialises the potential and everything that changes during training by the ranks
// g, nil for this process alone.
func (p Problem) Prepare(core *config.Core, g *ranks.Group) (*Model, error) {
	spec := cmp.Or(p.Loss, core.Loss)
	sum, err := ParseLoss(spec, p.ofEnergy(), p.Terms...)
	if err != nil {
		return nil, err
	}
	if p.From.Rows > 0 {
		if err := sum.CheckTables(); err != nil {
			return nil, fmt.Errorf("CMF_LOSS=%s: %w", spec, err)
		}
		if p.OnSource {
			p.From, p.Train = p.Train, p.From
			p.Start.Source, p.Start.Law = p.Start.Law, p.Start.Source
		}
	}
	if err := p.checkContexts(); err != nil {
		return nil, err
	}
	p.Start.Gaussian = core.Source == config.SourceGaussian
	if p.Contexts.Cols > 0 {
		if p.Start, err = p.startGiven(core.Init); err != nil {
			return nil, err
		}
	} else {
		p.Start.Law = startLaw(core.Init, p.Start.Law)
	}
	if p.Start.Source != nil {
		p.Start.Source = startLaw(core.Init, p.Start.Source)
	}
	if err := p.Start.Init(p.Potential, someRows(p.Train), random.New(core.Seed, "initial weights", 0)); err != nil {
		return nil, err
	}
	if core, err = g.Share(core, &p.Particles, &p.Train, &p.Contexts, &p.From); err != nil {
		return nil, err
	}
	m := &Model{loss: sum, params: p.Potential.Params(), average: &optim.Average{Decay: p.Decay}, ranks: g, seed: core.Seed}
	if m.Evaluator, err = layers.NewEvaluator(p.Potential); err != nil {
		return nil, err
	}
	m.Noise = m.Evaluator
	if p.Contexts.Cols == 0 {
		if m.Curvature, err = layers.NewCurvature(p.Potential); err != nil {
			return nil, err
		}
	}
	if m.objective, err = losses.NewObjective(p.Potential, sum, core.Batch); err != nil {
		return nil, fmt.Errorf("CMF_LOSS=%s: %w", spec, err)
	}
	if p.ofEnergy() {
		return m, p.learnEnergy(core, m)
	}
	return m, p.learnSamples(core, m)
}

// someRows are rows enough to place the first hinges: all, or every k-th.
func someRows(x blas32.General) blas32.General {
	const enough = 1 << 17
	if x.Rows <= enough {
		return x
	}
	by := (x.Rows + enough - 1) / enough
	x.Rows, x.Stride = (x.Rows+by-1)/by, x.Stride*by
	return x
}

// ParseLoss reads a sum of loss terms for a fit to an energy or to samples.
func ParseLoss(spec string, energy bool, terms ...losses.Term) (losses.Sum, error) {
	sum, err := losses.Parse(spec, terms...)
	if err == nil {
		err = sum.CheckGoal(energy)
	}
	if err != nil {
		return nil, fmt.Errorf("CMF_LOSS=%s: %w", spec, err)
	}
	return sum, nil
}

// CheckLoss reads CMF_LOSS, a sum of known terms, so that an error is reported before
// data is read.
func CheckLoss(c *config.Core, energy bool) error {
	_, err := ParseLoss(c.Loss, energy)
	return err
}

// CheckGivenLoss is CheckLoss for a fit from a given source.
func CheckGivenLoss(c *config.Core) error {
	sum, err := ParseLoss(c.Loss, false)
	if err != nil {
		return err
	}
	if err := sum.CheckTables(); err != nil {
		return fmt.Errorf("CMF_LOSS=%s: %w", c.Loss, err)
	}
	return nil
}

// learnSamples sets up CMFGen.
func (p Problem) learnSamples(core *config.Core, m *Model) (err error) {
	loop := &solvers.CMFGen{
		Potential: m.Evaluator,
		Objective: m.objective,
		Guess:     m.objective.Guess(),
		Langevin:  p.Langevin,
		Still:     p.From.Rows > 0,
		Ranks:     m.ranks.Solvers(),
	}
	seeds := random.New(core.Seed, "minibatches", m.ranks.Rank())
	if m.epochs, err = data.NewEpochs(p.pairs(), random.Seeded(seeds.Uint64(), seeds.Uint64())); err != nil {
		return err
	}
	loop.Data = m.epochs
	if loop.Sampler, loop.Conjugate, loop.Adam, err = p.methods(core); err != nil {
		return err
	}
	if p.Contexts.Cols > 0 {
		loop.Conditional, loop.Visits = m.Evaluator, p.Visits
		m.State, err = p.particlesGiven(core, core.Batch, m)
	} else {
		m.State, err = p.particles(core, core.Batch, m.ranks.Rank())
	}
	if err != nil {
		return err
	}
	loop.State = m.State
	if p.Precondition && p.Contexts.Cols == 0 {
		loop.MeanHessian = m.Curvature.MeanHessian
	}
	switch {
	case loop.Still:
		m.Noise = nil
	case core.Source == config.SourceGaussian:
		loop.Noise = potential.Normal{D: p.Potential.Dim()}
	case p.Carry != nil:
		if loop.Noise, err = potential.NewCarried(m.Evaluator, p.Carry); err != nil {
			return err
		}
	}
	if loop.Noise != nil {
		m.Noise = loop.Noise
	}
	m.step = func() (stepInfo, error) {
		info, err := loop.Step()
		return stepInfo{CMFGenInfo: info}, err
	}
	return nil
}

// methods are the sampler, the conjugate solver and the optimiser, for both loops.
func (p Problem) methods(core *config.Core) (sampler sampling.Langevin, solver conjugate.Solver, adam optim.Adam, err error) {
	if sampler, err = sampling.NewLangevin(core.Sampler); err != nil {
		return sampler, nil, adam, fmt.Errorf("CMF_SAMPLER=%s: %w", core.Sampler, err)
	}
	if solver, err = conjugate.New(core.Conjugate, p.Tolerance, 60); err != nil {
		return sampler, nil, adam, fmt.Errorf("CMF_CONJUGATE=%s: %w", core.Conjugate, err)
	}
	schedule, err := optim.NewSchedule("cosine", .05, max(core.Steps, 21), 20)
	return sampler, solver, optim.Adam{LR: core.LR, Schedule: schedule}, err
}

// particles is the bank of a rank for minibatches of n: From, or draws of the closed form's noise.
func (p Problem) particles(core *config.Core, n int, rank uint64) (*solvers.CMFGenState, error) {
	if p.From.Rows > 0 {
		partners, err := p.Start.Conjugates(p.From)
		if err != nil {
			return nil, err
		}
		return solvers.NewStillState(p.From, partners, n, random.New(core.Seed, "source", rank))
	}
	count := (max(p.Particles, n) + n - 1) / n * n
	y, partners := p.Start.Particles(count, random.New(core.Seed, "particles", rank))
	return solvers.NewCMFGenState(y, partners, n, random.New(core.Seed, "Langevin", rank))
}

// startLaw is the Gaussian from which the potential starts, for data with the given law.
func startLaw(init config.Init, law *exact.Gaussian) *exact.Gaussian {
	if init == config.InitIdentity {
		return exact.StandardGaussian(law.Dim())
	}
	return law
}
