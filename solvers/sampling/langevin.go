// Package sampling draws from a Gibbs factor e^{−w}. Langevin (MALA and ULA) and
// Hamiltonian move Chains, a batch of particles together with the sampler's state.
// SplitRHat and EffectiveSampleSize judge the draws.
package sampling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/order"
	"cmf/solvers/potential"
	"cmf/solvers/random"
)

// Langevin samples the Gibbs factor 𝔓_w ∝ e^{−w} by Euler steps of the
// overdamped Langevin diffusion in the preconditioner P = L·Lᵀ,
//
//	y' = y − γ P∇w(y) + √(2γ) L ξ,  ξ ~ N(0, I).
//
// Unadjusted (ULA), it samples N(0, λ) with variance λ/(1 − γ/(2λ)); a Metropolis
// test for each row (MALA) removes the bias. The zero value is ULA with the identity
// as preconditioner and the largest safe step. Roberts and Tweedie,
// "Exponential convergence of Langevin distributions and their discrete
// approximations", Bernoulli 2(4), 1996, pages 341–363.
type Langevin struct {
	// Adjusted turns the Metropolis test on.
	Adjusted bool

	// Step is γ. ULA takes the smaller of Step and 1/λmax(P∇²w). MALA starts with
	// Step and then adapts it. 0 means 1/λmax.
	Step float64

	// MaxCurvature is λmax(P∇²w) if it is known. 0 means that ULA estimates it
	// whenever the potential has changed, and MALA once if Step is 0.
	MaxCurvature float64

	// Preconditioner is P. Nil means the identity.
	Preconditioner *potential.Preconditioner

	// Target is the mean acceptance at which MALA aims its step. 0 means .574,
	// the optimum in high dimension (Roberts and Rosenthal, J. R. Stat. Soc. B
	// 60(1), 1998, pages 255–268).
	Target float64

	// Gain and Decay are g and κ of MALA's adaptation after step t = 1, 2, …
	// (Robbins and Monro), log γ ← log γ + g·t^{−κ}·(acceptance − Target). A Gain of 0
	// means 1. A Decay of 0 follows a potential that is being learnt; .6 settles. Rows
	// that start far out in a light tail may stick there: all their proposals are
	// rejected while the others raise the step. Start them with ULA.
	Gain, Decay float64

	// Freeze keeps γ as it is in the state: after a warm-up the step must not adapt,
	// or MALA is not exact.
	Freeze bool

	// Runaway is r in the limit median + r·max(√d, s) on the energy of a particle at
	// the end of a run; s is the median distance of energies from their median. 0
	// means 50. Under a log-concave law the energy has standard deviation at most √d
	// and exponential tails; s allows for a bank that is not at that law yet.
	Runaway float64
}

// Method names a sampler.
type Method string

const (
	ByMALA Method = "mala" // Langevin steps with the Metropolis test
	ByULA  Method = "ula"  // Langevin steps without it
)

// Known lists the methods that NewLangevin accepts.
func (Method) Known() []string { return []string{string(ByMALA), string(ByULA)} }

// NewLangevin returns the sampler of a method, with its other options zero.
func NewLangevin(method Method) (Langevin, error) {
	switch method {
	case ByULA:
		return Langevin{}, nil
	case ByMALA:
		return Langevin{Adjusted: true}, nil
	}
	return Langevin{}, fmt.Errorf("sampling: unknown method %q; known are %s", method, strings.Join(method.Known(), ", "))
}

// Info describes one call of Langevin.Run.
type Info struct {
	Acceptance float64 // mean of min(1, α) over rows and steps; under ULA, what a Metropolis test would accept
	Step       float64 // γ at the end
	MeanEnergy float64 // mean of w(y) at the end

	// Virial is the estimate Σ⟨y − ȳ, ∇w(y)⟩/((n − 1)d) at the end. It is 1 at
	// equilibrium and large in a bank that runs away as a whole, which no comparison
	// of its particles can show. It is NaN for n < 2.
	Virial float64

	Rejected  int // proposals that MALA rejected because they were not finite
	Restarted int // particles that were not finite or over the energy limit, and were put on another one
}

// Run makes steps steps from the state c; every row is a separate chain. It evaluates w
// at the start if c is not fresh, and once more for each step.
//
// A particle that is not finite at the start, becomes so under ULA, or ends over the
// energy limit is put on a healthy one drawn at random. It is an error if none is left,
// and so is the end of ctx, which is checked before each step. After an error c is not
// fresh.
func (l Langevin) Run(ctx context.Context, w potential.Potential, c *Chains, steps int, rng *random.Stream) (info Info, err error) {
	if err := l.check(w, c, steps); err != nil {
		return info, err
	}
	if c.Y.Rows == 0 {
		return Info{Acceptance: math.NaN(), Step: c.Step, MeanEnergy: math.NaN(), Virial: math.NaN()}, nil
	}
	defer func() { c.Fresh = err == nil }()

	stale := !c.Fresh
	if stale {
		if err := c.Refresh(w); err != nil {
			return info, err
		}
	}
	c.makeRoom()
	l.Preconditioner.RootT(c.pull, c.Grad)
	if err := c.restart(c.Unhealthy(math.Inf(1)), rng, &info); err != nil {
		return info, err
	}
	if err := l.setStep(w, c, stale, rng); err != nil {
		return info, err
	}

	for range steps {
		if err := ctx.Err(); err != nil {
			return info, fmt.Errorf("sampling: %w", err)
		}
		l.propose(c, rng)
		// ∇w at a proposal is near ∇w where it came from.
		if err := potential.EvalFrom(w, c.next.Y, c.Grad, c.next.Value, c.next.Grad); err != nil {
			return info, fmt.Errorf("sampling: evaluating the potential at a Langevin proposal: %w", err)
		}
		l.Preconditioner.RootT(c.nextPull, c.next.Grad)
		acceptance, err := l.decide(c, rng, &info)
		if err != nil {
			return info, err
		}
		info.Acceptance += acceptance / float64(steps)
		l.adapt(c, acceptance)
	}

	if err := c.restart(c.Unhealthy(l.energyLimit(c)), rng, &info); err != nil {
		return info, err
	}
	info.Step = c.Step
	info.MeanEnergy, info.Virial = c.moments()
	return info, nil
}

// propose draws z = √(2γ)ξ − γLᵀ∇w(y) and sets the proposals to y + Lz.
func (l Langevin) propose(c *Chains, rng *random.Stream) {
	gamma, scale := float32(c.Step), float32(math.Sqrt(2*c.Step))
	rng.Normals(c.move.Data)
	kernel.Affine(c.move.Data, scale, c.move.Data, 0)
	kernel.Axpy(c.move.Data, -gamma, c.pull.Data)
	l.Preconditioner.Root(c.next.Y, c.move)
	if n := len(c.next.Y.Data); c.Y.Stride == c.Y.Cols {
		kernel.Add(c.next.Y.Data, c.next.Y.Data, c.Y.Data[:n])
		return
	}
	for i := range c.Y.Rows {
		to := batch.Row(c.next.Y, i)
		kernel.Add(to, to, batch.Row(c.Y, i))
	}
}

// decide moves each row to its proposal (under MALA with probability min(1, α)) and
// returns the mean of min(1, α).
func (l Langevin) decide(c *Chains, rng *random.Stream, info *Info) (float64, error) {
	var sum float64
	var lost []int
	for i := range c.Y.Rows {
		ratio := c.logRatio(i)
		finite := batch.Finite(ratio)
		probability := 0.0
		if finite {
			probability = math.Exp(min(0, ratio))
		}
		sum += probability
		switch {
		case !finite && l.Adjusted:
			info.Rejected++
		case !finite:
			lost = append(lost, i)
		case !l.Adjusted || rng.Float64() < probability:
			c.accept(i)
		}
	}
	return sum / float64(c.Y.Rows), c.restart(lost, rng, info)
}

// adapt moves log γ towards the target acceptance.
func (l Langevin) adapt(c *Chains, acceptance float64) {
	if !l.Adjusted || l.Freeze {
		return
	}
	c.Adaptations++
	gain := cmp.Or(l.Gain, 1) * math.Pow(float64(c.Adaptations), -l.Decay)
	c.Step *= math.Exp(gain * (acceptance - cmp.Or(l.Target, .574)))
}

// setStep sets γ in the state before the first step of a run.
func (l Langevin) setStep(w potential.Potential, c *Chains, stale bool, rng *random.Stream) error {
	if c.Step > 0 && (l.Freeze || l.Adjusted) {
		return nil
	}
	if l.Adjusted && l.Step > 0 {
		c.Step = l.Step
		return nil
	}
	switch {
	case l.MaxCurvature > 0:
		c.Curvature = l.MaxCurvature
	case stale || c.Curvature == 0:
		estimate, err := c.curvature(w, l.Preconditioner, rng)
		if err != nil {
			return err
		}
		// A few particles may miss the sharpest place, so the estimate falls slowly.
		c.Curvature = max(estimate, .9*c.Curvature)
	}
	c.Step = 1 / c.Curvature
	if l.Step > 0 {
		c.Step = min(l.Step, c.Step)
	}
	if math.IsInf(c.Step, 1) {
		return fmt.Errorf("sampling: %w: the potential shows no curvature at the particles, so the Langevin step has no default; set Step", potential.ErrCurvature)
	}
	return nil
}

// energyLimit is the energy above which a particle has run away.
func (l Langevin) energyLimit(c *Chains) float64 {
	copy(c.energies, c.Value)
	middle := order.Median(c.energies)
	for i, e := range c.Value {
		c.energies[i] = float32(math.Abs(float64(e) - middle))
	}
	return middle + cmp.Or(l.Runaway, 50)*max(math.Sqrt(float64(c.Y.Cols)), order.Median(c.energies))
}

// check reports options and shapes that Run cannot work with.
func (l Langevin) check(w potential.Potential, c *Chains, steps int) error {
	if err := errors.Join(c.check(w), potential.CheckPreconditioner(l.Preconditioner, c.Y.Cols)); err != nil {
		return err
	}
	if steps < 0 {
		return fmt.Errorf("sampling: %d Langevin steps; there must be 0 or more", steps)
	}
	for _, o := range []struct {
		name         string
		value, below float64
	}{
		{"Step", l.Step, math.Inf(1)}, {"MaxCurvature", l.MaxCurvature, math.Inf(1)}, {"Target", l.Target, 1},
		{"Gain", l.Gain, math.Inf(1)}, {"Decay", l.Decay, math.Inf(1)}, {"Runaway", l.Runaway, math.Inf(1)},
	} {
		if !(o.value >= 0 && o.value < o.below) {
			return fmt.Errorf("sampling: Langevin.%s is %g; it must be at least 0 and less than %g", o.name, o.value, o.below)
		}
	}
	return nil
}
