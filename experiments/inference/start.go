package inference

import (
	"context"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/layers"
	"cmf/solvers/random"
)

// start is the start of learning a posterior by networks of the architecture.
//
// The first that is tried has a quadratic of nearly all of the curvature of the regression of the
// parameters on the outputs. If no pairs held out become likelier from there within a tenth of the
// steps, the posterior is as good as that regression, and it stays: other starts are worse, and
// from few pairs learning does not make that up. What the trial learns is thrown away.
//
// Otherwise hinges bend more: at once in the plane, as a posterior may have separate parts, and
// less in more dimensions, where a hinge sees a blurred projection.
func start(ctx context.Context, core *config.Core, p fit.Problem, a layers.Architecture) (layers.Start, error) {
	p.Start = layers.Start{Share: .97, Fixed: .05, Balanced: true}
	stays, err := staysLikeliest(ctx, core, p, a)
	switch {
	case err != nil || stays:
		return p.Start, err
	case a.Dim <= 2:
		return layers.Start{Share: .5, Fixed: .01, Balanced: true}, nil
	default:
		return layers.Start{Share: .8, Fixed: .05, Spread: 6, Balanced: true}, nil
	}
}

// staysLikeliest reports whether the pairs of p.Validation are likeliest at the start of p, among
// two later states within a tenth of the steps.
func staysLikeliest(ctx context.Context, core *config.Core, p fit.Problem, a layers.Architecture) (bool, error) {
	var err error
	if p.Potential, err = core.Network(a, layers.Architecture{}); err != nil {
		return false, err
	}
	m, err := p.Prepare(core, nil)
	if err != nil {
		return false, err
	}
	score := func() (float64, error) { return p.Validation.Score(ctx, m, random.New(core.Seed, "trial", 0)) }
	first, err := score()
	if err != nil {
		return false, err
	}
	const later = 2
	for range later {
		for range core.Steps / 10 / later {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			if m.Advance() != nil {
				return true, nil // learning from there diverges
			}
		}
		if s, err := score(); err != nil || s < first {
			return false, err
		}
	}
	return true, nil
}
