package sampling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Hamiltonian samples the Gibbs factor 𝔓_v ∝ e^{−v} by trajectories of y and a
// momentum p ~ N(0, I), in the preconditioner P = L·Lᵀ,
//
//	p ← p − (ε/2)Lᵀ∇v(y),  y ← y + εLp,  p ← p − (ε/2)Lᵀ∇v(y),
//
// repeated Leaps times, with a Metropolis test of each row's trajectory on
// v(y) + ½‖p‖². One leap is a step of Langevin with γ = ε²/2. More leaps move a particle
// in proportion to their number, where Langevin steps move it by the root. A row is
// never put on another one.
//
// R. M. Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte
// Carlo, 2011, chapter 5.
type Hamiltonian struct {
	// Leaps is the number of gradients in a trajectory. 0 means 6.
	Leaps int

	// Step is ε at the start; it adapts in Chains.Step unless Freeze is set. 0 means .2.
	Step float64

	// Preconditioner is P; the inverse of a typical Hessian is best. nil means the identity.
	Preconditioner *potential.Preconditioner

	// Target is the mean acceptance at which the step aims. 0 means .7.
	Target float64

	// Freeze keeps the step as it is.
	Freeze bool
}

// HamiltonianInfo describes one call of Hamiltonian.Run.
type HamiltonianInfo struct {
	Acceptance float64 // mean of min(1, α) over rows and trajectories
	Step       float64 // ε at the end
}

// Run makes steps trajectories from the state c; every row is a separate chain. A
// proposal that is not finite is rejected. A start that is not finite is an error, and
// so is the end of ctx, which is checked before each leap. After an error c is not
// fresh.
func (h Hamiltonian) Run(ctx context.Context, v potential.Potential, c *Chains, steps int, rng *random.Stream) (info HamiltonianInfo, err error) {
	if err := h.check(v, c, steps); err != nil {
		return info, err
	}
	if !c.Fresh {
		if err := c.Refresh(v); err != nil {
			return info, err
		}
	}
	for i, e := range c.Value {
		if !batch.Finite(float64(e)) || !batch.Finite(batch.Norm(batch.Row(c.Grad, i))) {
			return info, fmt.Errorf("sampling: the potential is not finite at particle %d, where a trajectory starts", i)
		}
	}
	defer func() { c.Fresh = err == nil }()
	if c.Step == 0 {
		c.Step = cmp.Or(h.Step, .2)
	}
	c.makeRoom()
	path := batch.New(c.Y.Rows, c.Y.Cols)
	for range steps {
		mean, err := h.trajectory(ctx, v, c, path, rng)
		if err != nil {
			return info, err
		}
		info.Acceptance += mean / float64(steps)
		if !h.Freeze {
			c.Adaptations++
			c.Step *= math.Exp(math.Pow(float64(c.Adaptations), -.5) * (mean - cmp.Or(h.Target, .7)))
		}
	}
	info.Step = c.Step
	return info, nil
}

// trajectory proposes one trajectory and decides on it, row by row.
func (h Hamiltonian) trajectory(ctx context.Context, v potential.Potential, c *Chains, path blas32.General, rng *random.Stream) (acceptance float64, err error) {
	// A step of random length keeps trajectories from becoming closed orbits.
	epsilon := c.Step * (.8 + .4*rng.Float64())
	momentum := c.move
	rng.Normals(momentum.Data)
	energy := make([]float64, c.Y.Rows)
	for i, e := range c.Value {
		energy[i] = float64(e) + batch.Inner(batch.Row(momentum, i), batch.Row(momentum, i))/2
	}
	batch.Copy(c.next.Y, c.Y)
	h.Preconditioner.RootT(c.pull, c.Grad)
	batch.AddScaled(momentum.Data, -epsilon/2, c.pull.Data)
	leaps := int(cmp.Or(float64(h.Leaps), 6))
	for k := range leaps {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("sampling: %w", err)
		}
		h.Preconditioner.Root(path, momentum)
		batch.AddScaled(c.next.Y.Data, epsilon, path.Data)
		if err := v.Eval(c.next.Y, c.next.Value, c.next.Grad); err != nil {
			return 0, fmt.Errorf("sampling: evaluating the potential along a trajectory: %w", err)
		}
		h.Preconditioner.RootT(c.nextPull, c.next.Grad)
		kick := epsilon
		if k == leaps-1 {
			kick /= 2
		}
		batch.AddScaled(momentum.Data, -kick, c.nextPull.Data)
	}
	for i := range energy {
		gain := energy[i] - float64(c.next.Value[i]) - batch.Inner(batch.Row(momentum, i), batch.Row(momentum, i))/2
		if !batch.Finite(gain) {
			continue
		}
		probability := math.Exp(min(0, gain))
		acceptance += probability / float64(c.Y.Rows)
		if rng.Float64() < probability {
			c.accept(i)
		}
	}
	return acceptance, nil
}

func (h Hamiltonian) check(v potential.Potential, c *Chains, steps int) error {
	if err := errors.Join(c.check(v), potential.CheckPreconditioner(h.Preconditioner, c.Y.Cols)); err != nil {
		return err
	}
	switch {
	case steps < 0 || h.Leaps < 0:
		return fmt.Errorf("sampling: %d trajectories of %d leaps; both must be 0 or more", steps, h.Leaps)
	case !(h.Step >= 0) || math.IsInf(h.Step, 1):
		return fmt.Errorf("sampling: Hamiltonian.Step is %g; it must be at least 0 and finite", h.Step)
	case !(h.Target >= 0 && h.Target < 1):
		return fmt.Errorf("sampling: Hamiltonian.Target is %g; it must be at least 0 and less than 1", h.Target)
	}
	return nil
}
