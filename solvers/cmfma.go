package solvers

import (
	"cmf/solvers/conjugate"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Energy is E(x) = −log ρ(x) up to a constant. It is evaluated on whole batches, as a
// Potential is, but need not be convex.
type Energy interface {
	// Dim is d.
	Dim() int

	// Eval writes E(x_i) into value and ∇E(x_i) into the rows of grad, if wanted, as
	// Potential.Eval does. Where ρ vanishes, E is +Inf.
	Eval(x blas32.General, value []float32, grad blas32.General) error
}

// ConditionalEnergy is a family of energies E(·; c) on ℝᵈ, one for each context c ∈ ℝᵏ:
// ρ(x | c) ∝ e^{−E(x; c)}. Each is known up to a constant of its own.
type ConditionalEnergy interface {
	// Dim is d.
	Dim() int

	// Contexts is k.
	Contexts() int

	// Given is E(·; c_i) for row i of batches of as many rows as c, (n, k). c must not
	// change while it is in use.
	Given(c blas32.General) (Energy, error)
}

// ContextRows is how many rows of a batch of CMFMA share a context, because the residual is
// constant for each context alone.
const ContextRows = 16

// CMFMA learns the potential w of the conjugate moment measure ρ = ∇w*♯𝔓_w from
// the energy E of ρ ∝ e^{−E}, by regression on the Monge–Ampère equation: the
// residual
//
//	r(x) = E(x) − w(∇w(x)) + log det ∇²w(x)
//
// is constant wherever ρ has mass. Each Step
//
//  1. moves particles y by Langevin steps on w and solves x̂ = ∇w*(y),
//  2. moves walkers by MALA on E,
//  3. evaluates E at points x: some of the x̂, some of the walkers, some of a box,
//  4. steps the weights along the gradient of the loss, and projects them.
//
// The equation holds at every point: where the points come from decides only
// where it is solved most accurately. So x̂ may be rough, and walkers that do not
// cross between modes still show where the modes are. Particles that run away and
// batches that go wrong are treated as in CMFGen.
//
// With Conditional it learns the laws ρ(x | c) of a ConditionalEnergy. Every particle and
// every walker has a context for good, and a batch consists of groups of ContextRows points
// that share one. Particles start anew at the walkers' images ∇w(x; c) at every other visit.
//
// Reference: Vesseron, Béthune, Cuturi, "Sample and Map from a Single Convex
// Potential: Generation using Conjugate Moment Measures", NeurIPS 2025.
type CMFMA struct {
	Potential potential.Potential
	Objective Objective
	Energy    Energy
	Box       Box // of its share of the points; a higher energy gives a point a lower weight
	Sampler   sampling.Langevin
	Conjugate conjugate.Solver
	Adam      optim.Adam

	// Langevin steps of particles and of walkers in each iteration; 0 means 2.
	Langevin int

	// Cut is how far energies may lie above the median of the walkers (or of the batch,
	// if there are no walkers) and still count in full. Above it they grow as a
	// logarithm: so a far-off point does not outweigh the batch, and no two energies
	// become equal, which would hide them from the loss. 0 means 20·√d.
	Cut float64

	// Conditional and EnergyGiven are w(x; c) and E(x; c), for a State whose particles have
	// contexts. Potential and Energy are then set in every step, to those of the contexts of
	// the minibatch, and the preconditioner is always the mean Hessian over its points.
	Conditional potential.Conditional
	EnergyGiven ConditionalEnergy

	// MeanHessian and Renew are as in CMFGen.
	MeanHessian func(x blas32.General) (*mat.SymDense, error)
	Renew       int

	// Ranks are as in CMFGen.
	Ranks *Ranks

	State *CMFMAState
}

// CMFMAInfo describes one iteration. Langevin is the info of the particles; Masked is
// the number of points at which E is not finite.
type CMFMAInfo struct {
	CMFGenInfo
	Walkers sampling.Info
	Clipped int // points beyond Cut
}

// Step makes one iteration. Its errors are like those of CMFGen.Step.
func (c *CMFMA) Step() (info CMFMAInfo, err error) {
	weights := c.Objective.Weights()
	c.State.remember(weights)
	info.Numbers = c.State.made.begin()

	err = c.makeBatches(&info) // 1. to 3.
	// 4. θ ← project(Adam(∇L))
	err = c.State.descend(err, c.Objective, c.Adam, c.Ranks, &info.CMFGenInfo)

	err = c.State.settle(err, c.Sampler.Adjusted, weights, &info.CMFGenInfo)
	return info, err
}

func (c *CMFMA) makeBatches(info *CMFMAInfo) error {
	index := c.State.minibatch()
	if err := c.meetContexts(index); err != nil {
		return err
	}
	if err := c.takeWalkers(index); err != nil {
		return err
	}
	// 1. x̂ = ∇w*(y), y ~ 𝔓_w
	if err := c.moveParticles(index, info); err != nil {
		return err
	}
	// 2. walkers on E
	if err := c.moveWalkers(index, info); err != nil {
		return err
	}
	// 3. E(x), and whatever else the loss asks for
	if err := c.place(); err != nil {
		return err
	}
	if err := c.evaluate(info); err != nil {
		return err
	}
	return c.makeInputs()
}
