package experiments

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/experiments/target"
	"cmf/layers"
	"cmf/solvers"
)

// EnergyConfig configures the experiment energy.
type EnergyConfig struct {
	EnergyOfConfig
	Energy   string `default:"two-moons" desc:"energy to learn: gaussian, two-gaussians, 8gaussians, banana, wave, two-moons, himmelblau or muller-brown; or a family of energies given contexts: turning-gaussian, parting-gaussians or bending-banana"`
	Features int    `default:"64" range:"0..4096" desc:"hidden features of a context, for a family"`
	Judged   int    `default:"5" range:"1..1000" desc:"contexts for which a family is judged, the same for all seeds"`
	Mixture  string `desc:"mixture of normals to learn instead, in any dimension: weight,coordinates of the mean,standard deviation of each component, separated by semicolons"`
}

// Validate checks the energy.
func (c *EnergyConfig) Validate() error {
	if c.family() != nil {
		return c.validateFamily()
	}
	_, err := c.energy()
	return err
}

// family is the family of energies named by CMF_ENERGY, or nil.
func (c *EnergyConfig) family() *data.EnergyFamily {
	if c.Mixture != "" {
		return nil
	}
	return data.NewEnergyFamily(c.Energy)
}

// validateFamily checks what a family of energies needs besides.
func (c *EnergyConfig) validateFamily() error {
	if c.Batch%solvers.ContextRows != 0 {
		return fmt.Errorf("CMF_BATCH=%d: for a family of energies it must be a multiple of %d, which share a context each", c.Batch, solvers.ContextRows)
	}
	sum, err := fit.ParseLoss(c.Loss, true)
	if err != nil {
		return err
	}
	if err := sum.CheckContexts(); err != nil {
		return fmt.Errorf("CMF_LOSS=%s: %w", c.Loss, err)
	}
	return nil
}

// EnergyOfConfig configures how any energy is learned and judged.
type EnergyOfConfig struct {
	config.Core
	config.Bank
	Own     float64 `default:"1" desc:"share of a batch drawn from the model, in any unit"`
	Walk    float64 `default:"1" desc:"share of a batch from walkers on the energy, in any unit"`
	Spread  float64 `default:"0.25" desc:"share of a batch drawn uniformly from the box of the energy, in any unit"`
	Chain   int     `default:"300" range:"20..100000" desc:"Langevin steps of the chains that generate points"`
	Samples int     `default:"2048" range:"64..16384" desc:"points in each set, between which exact distances are computed"`
	Sets    int     `default:"4" range:"1..100" desc:"sets of points to generate"`
}

// Fixed names the source: an energy is always learned with the Gibbs factor.
func (c *EnergyOfConfig) Fixed() []string { return []string{"CMF_SOURCE"} }

// Validate checks the shares and the loss.
func (c *EnergyOfConfig) Validate() error {
	// The solver would replace shares of 0 by its own choice; here they are an error.
	_, _, _, err := c.shares().Split(c.Batch)
	if err == nil && c.shares() == (solvers.Shares{}) {
		err = errors.New("at least one share must be positive")
	}
	if err != nil {
		return fmt.Errorf("CMF_OWN=%g, CMF_WALK=%g, CMF_SPREAD=%g: %w", c.Own, c.Walk, c.Spread, err)
	}
	return fit.CheckLoss(&c.Core, true)
}

// energy is CMF_MIXTURE, or the energy named by CMF_ENERGY.
func (c *EnergyConfig) energy() (*data.Energy, error) {
	if c.Mixture == "" {
		e, err := data.NewEnergy(c.Energy)
		if err != nil {
			return nil, fmt.Errorf("CMF_ENERGY=%s: %w; known families are %s", c.Energy, err, strings.Join(data.EnergyFamilyNames(), ", "))
		}
		return e, nil
	}
	e, err := data.ParseMixture(c.Mixture)
	if err != nil {
		return nil, fmt.Errorf("CMF_MIXTURE=%s: %w", c.Mixture, err)
	}
	return e, nil
}

func (c *EnergyOfConfig) shares() solvers.Shares {
	return solvers.Shares{Model: c.Own, Energy: c.Walk, Box: c.Spread}
}

// Energy is Figure 3's experiment: CMFMA on an energy. It compares the density, weights and
// samples with quadrature, and with MALA at as many evaluations.
var Energy = run.Definition[EnergyConfig]{
	Name: "energy",
	Presets: map[string]func(*EnergyConfig){
		"quick":   func(c *EnergyConfig) { energyPresets["quick"](&c.EnergyOfConfig) },
		"default": func(c *EnergyConfig) { energyPresets["default"](&c.EnergyOfConfig) },
		"paper":   func(c *EnergyConfig) { energyPresets["paper"](&c.EnergyOfConfig) },
	},
	Do: func(ctx context.Context, r *run.Run, c *EnergyConfig) error {
		if f := c.family(); f != nil {
			return learnFamily(ctx, r, c, f)
		}
		for _, name := range []string{"CMF_FEATURES", "CMF_JUDGED"} {
			if err := r.Idle(name, "contexts: name a family of energies in CMF_ENERGY, such as turning-gaussian"); err != nil {
				return err
			}
		}
		e, err := c.energy()
		if err != nil {
			return err
		}
		return learnEnergy(ctx, r, &c.EnergyOfConfig, e)
	},
}

var energyPresets = map[string]func(*EnergyOfConfig){
	"quick": func(c *EnergyOfConfig) { c.Steps, c.Chain, c.Samples, c.Sets = 1500, 200, 1024, 1 },
	"default": func(c *EnergyOfConfig) {
		c.Steps, c.Batch, c.Hidden, c.LR, c.Loss, c.Langevin = 4000, 512, config.Widths{64, 64, 64}, 3e-2, "monge-ampere", 2
		c.Unit = layers.Maximum
	},
	"paper": func(c *EnergyOfConfig) { c.Steps, c.Batch, c.Hidden = 50000, 1024, config.Widths{64, 64, 64, 64} },
}

// EnergyOf is the experiment Energy on your own energy; name is that of its folder of
// results.
func EnergyOf(name string, e solvers.Energy) run.Definition[EnergyOfConfig] {
	return run.Definition[EnergyOfConfig]{
		Name: name, Presets: energyPresets,
		Do: func(ctx context.Context, r *run.Run, c *EnergyOfConfig) error { return learnEnergy(ctx, r, c, e) },
	}
}

// problem is how w is learned from an energy, or from a family of energies.
func (c *EnergyOfConfig) problem(w layers.Network) fit.Problem {
	return fit.Problem{
		Potential: w,
		// Valleys between modes are flat, so little curvature is fixed.
		Start:     layers.Start{Share: .2, Fixed: .02, Balanced: true},
		Shares:    c.shares(),
		Particles: c.Particles,
		Langevin:  c.Langevin,
		Decay:     .99,
	}
}

// learnFamily learns E(·; c) for all contexts at once.
func learnFamily(ctx context.Context, r *run.Run, c *EnergyConfig, f *data.EnergyFamily) error {
	// At a higher rate stretches of some contexts may run away.
	if err := run.Suit(r, "CMF_LR", &c.LR, .01); err != nil {
		return err
	}
	potential, err := layers.NewICNN(layers.Architecture{Dim: f.Dim(), Hidden: c.Hidden, Unit: c.Unit, Full: true, Context: f.Contexts(), ContextHidden: c.Features})
	if err != nil {
		return err
	}
	t := target.NewFamily(r, f)
	model, err := t.Fit(ctx, r, &c.Core, c.problem(potential))
	if err != nil || !model.Finished {
		return err
	}
	return t.Judge(ctx, r, target.Judging{Seed: c.Seed, Chain: c.Chain, Samples: c.Samples}, c.Judged, model)
}

func learnEnergy(ctx context.Context, r *run.Run, c *EnergyOfConfig, e solvers.Energy) error {
	t, err := target.NewEnergy(ctx, r, e)
	if err != nil {
		return err
	}
	potential, err := c.Network(layers.Architecture{Dim: e.Dim(), Hidden: c.Hidden, Unit: c.Unit, Full: true}, layers.Architecture{})
	if err != nil {
		return err
	}
	p := c.problem(potential)
	p.Units = target.ForProblem(t.Units)
	model, err := t.Fit(ctx, r, &c.Core, p)
	if err != nil || !model.Finished {
		return err
	}
	r.Report.Metrics["energy_evaluations"] += float64(t.Placed)
	found, err := t.Judge(ctx, r, target.Judging{Seed: c.Seed, Chain: c.Chain, Samples: c.Samples, Sets: c.Sets}, model)
	if err != nil {
		return err
	}
	t.Page(r)
	return t.Draw(ctx, r, found)
}
