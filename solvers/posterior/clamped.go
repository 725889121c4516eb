package posterior

import (
	"context"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// Clamped draws the hidden coordinates of ρ = ∇w*♯𝔓_v given the observed ones o
// by moving between the noise and the data,
//
//	y = ∇w(x),  y′ = a Langevin step on v,  x = ∇w*(y′),  x_k = o_k + σ_t·ξ_k where observed,
//
// with σ_t falling from From to To. It needs no Hessian, and one conjugate solve for
// each step. With the preconditioner of exact.Conditional.ClampedPreconditioner it is
// as exact for Gaussians as the Langevin step is; for other laws it is the more accurate
// the less ∇²w varies.
type Clamped struct {
	Potential potential.Potential

	// Noise is v. nil means Potential, the conjugate moment measure.
	Noise potential.Potential

	Observed blas32.General // o, (n, d); hidden coordinates may hold anything
	Mask     []bool         // true where observed, length d

	// Sampler makes the Langevin steps. Its Preconditioner should move y so that x moves
	// only in its hidden coordinates. Give it a large Runaway, as for a Noise.
	Sampler sampling.Langevin

	// From and To are the deviations, in units of x, of the error with which observed
	// coordinates are put back at the first and at the last step.
	From, To float64

	// Conjugate solves for x, starting from the last solution, preconditioned by
	// Preconditioner; nil means LBFGS to a relative residual of 1e-3.
	Conjugate      conjugate.Solver
	Preconditioner *potential.Preconditioner

	chains *sampling.Chains
}

// ClampedInfo describes one call of Clamped.Run.
type ClampedInfo struct {
	Acceptance  float64            // mean over the Langevin steps
	Unconverged int                // conjugate solves that missed their tolerance, over all steps
	Status      []potential.Status // of the last solve of each row; holds until the next Run
}

// Run makes steps steps from the points x, (n, d), in place. It calls after, if not nil,
// at the end of each step. An error of after, or the end of ctx, ends the run.
func (c *Clamped) Run(ctx context.Context, x blas32.General, steps int, rng *random.Stream, after func(step int) error) (info ClampedInfo, err error) {
	if err := c.check(x, steps); err != nil {
		return info, err
	}
	noise := c.Noise
	if noise == nil {
		noise = c.Potential
	}
	if c.Conjugate == nil {
		c.Conjugate = &conjugate.LBFGS{}
	}
	if c.chains == nil || c.chains.Y.Rows != x.Rows {
		if c.chains, err = sampling.NewChains(x); err != nil {
			return info, err
		}
	}
	xi := make([]float32, x.Cols)
	for t := range steps {
		if err := c.Potential.Eval(x, nil, c.chains.Y); err != nil {
			return info, err
		}
		c.chains.Fresh = false
		move, err := c.Sampler.Run(ctx, noise, c.chains, 1, rng)
		if err != nil {
			return info, err
		}
		info.Acceptance += move.Acceptance / float64(steps)
		solved, err := c.Conjugate.Solve(ctx, c.Potential, c.chains.Y, x, c.Preconditioner)
		if err != nil {
			return info, err
		}
		info.Status = solved.Status
		sigma := c.deviation(t, steps)
		for i, status := range solved.Status {
			if status != potential.Converged {
				info.Unconverged++
			}
			rng.Normals(xi)
			to, o := batch.Row(x, i), batch.Row(c.Observed, i)
			for k, seen := range c.Mask {
				if seen {
					to[k] = o[k] + sigma*xi[k]
				}
			}
		}
		if after == nil {
			continue
		}
		if err := after(t); err != nil {
			return info, err
		}
	}
	return info, nil
}

// deviation is σ_t, geometric from From to To if both are positive.
func (c *Clamped) deviation(t, steps int) float32 {
	if !(c.From > 0 && c.To > 0) || steps < 2 {
		return float32(c.To)
	}
	share := float64(t) / float64(steps-1)
	return float32(c.From * math.Pow(c.To/c.From, share))
}

func (c *Clamped) check(x blas32.General, steps int) error {
	switch d := c.Potential.Dim(); {
	case len(c.Mask) != d:
		return fmt.Errorf("posterior: a mask of length %d in dimension %d; they must agree", len(c.Mask), d)
	case c.Observed.Rows != x.Rows || c.Observed.Cols != d || x.Cols != d:
		return fmt.Errorf("posterior: points of shape (%d, %d) in dimension %d with observations of shape (%d, %d); the shapes must agree",
			x.Rows, x.Cols, d, c.Observed.Rows, c.Observed.Cols)
	case steps < 1:
		return fmt.Errorf("posterior: %d steps; there must be 1 or more", steps)
	case !(c.From >= 0 && c.To >= 0):
		return fmt.Errorf("posterior: observed coordinates put back with deviations from %g to %g; both must be at least 0", c.From, c.To)
	}
	return batch.Check("the observations", c.Observed)
}
