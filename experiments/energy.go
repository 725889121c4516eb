package experiments

import (
	"context"
	"errors"
	"fmt"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers"
)

// EnergyConfig configures the experiment energy.
type EnergyConfig struct {
	config.Core
	Energy    string  `default:"two-moons" desc:"energy to learn: gaussian, two-gaussians, 8gaussians, banana, wave, two-moons, himmelblau or muller-brown"`
	Mixture   string  `desc:"mixture of normals to learn instead, in any dimension: weight,coordinates of the mean,deviation of each component, separated by semicolons"`
	Particles int     `default:"4096" desc:"particles in the bank; rounded up to a multiple of the model's points in a batch"`
	Langevin  int     `default:"2" desc:"Langevin steps of particles and of walkers in each iteration"`
	Own       float64 `default:"1" desc:"share of a batch that the model draws, in any unit"`
	Walk      float64 `default:"1" desc:"share of a batch that walkers on the energy give, in any unit"`
	Spread    float64 `default:"0.25" desc:"share of a batch spread evenly over the box of the energy, in any unit"`
	Chain     int     `default:"300" desc:"Langevin steps of the chains that generate"`
	Samples   int     `default:"2048" desc:"points in a set, by which exact distances judge"`
	Sets      int     `default:"4" desc:"sets of points to generate"`
}

// Validate checks the experiment's own variables.
func (c *EnergyConfig) Validate() error {
	if _, err := c.energy(); err != nil {
		return err
	}
	// The solver takes shares of 0 for its own choice; here they are a mistake.
	_, _, _, err := c.shares().Split(c.Batch)
	if err == nil && c.shares() == (solvers.Shares{}) {
		err = errors.New("at least one share must be positive")
	}
	if err != nil {
		return fmt.Errorf("CMF_OWN=%g, CMF_WALK=%g, CMF_SPREAD=%g: %w", c.Own, c.Walk, c.Spread, err)
	}
	if err := config.OneOf("CMF_SOURCE", c.Source, "gibbs"); err != nil {
		return fmt.Errorf("%w: an energy is learned with the Gibbs factor", err)
	}
	if err := fit.CheckLoss(&c.Core, true); err != nil {
		return err
	}
	return config.Allowed(
		config.Want(c.Particles >= 1 && c.Particles <= 1000000, "PARTICLES", c.Particles, "allowed are 1 to 1000000"),
		config.Want(c.Langevin >= 1 && c.Langevin <= 10000, "LANGEVIN", c.Langevin, "allowed are 1 to 10000 steps"),
		config.Want(c.Chain >= 20 && c.Chain <= 100000, "CHAIN", c.Chain, "allowed are 20 to 100000"),
		config.Want(c.Samples >= 64 && c.Samples <= 16384, "SAMPLES", c.Samples, "allowed are 64 to 16384"),
		config.Want(c.Sets >= 1 && c.Sets <= 100, "SETS", c.Sets, "allowed are 1 to 100"),
	)
}

// energy is CMF_MIXTURE, or the energy named by CMF_ENERGY.
func (c *EnergyConfig) energy() (*data.Energy, error) {
	if c.Mixture == "" {
		e, err := data.NewEnergy(c.Energy)
		if err != nil {
			return nil, fmt.Errorf("CMF_ENERGY=%s: %w", c.Energy, err)
		}
		return e, nil
	}
	e, err := data.ParseMixture(c.Mixture)
	if err != nil {
		return nil, fmt.Errorf("CMF_MIXTURE=%s: %w", c.Mixture, err)
	}
	return e, nil
}

func (c *EnergyConfig) shares() solvers.Shares {
	return solvers.Shares{Model: c.Own, Energy: c.Walk, Box: c.Spread}
}

// Energy is Figure 3's experiment: CMFMA on an energy, its density, weights and
// samples held against quadrature, and against MALA at as many evaluations.
var Energy = run.Definition[EnergyConfig]{
	Name: "energy",
	Presets: map[string]func(*EnergyConfig){
		"quick": func(c *EnergyConfig) { c.Steps, c.Chain, c.Samples, c.Sets = 1500, 200, 1024, 1 },
		"default": func(c *EnergyConfig) {
			c.Steps, c.Batch, c.Hidden, c.LR, c.Loss = 4000, 512, config.Widths{64, 64}, 1e-2, "monge-ampere"
		},
		"paper": func(c *EnergyConfig) { c.Steps, c.Batch, c.Hidden = 50000, 1024, config.Widths{64, 64, 64, 64} },
	},
	Do: func(ctx context.Context, r *run.Run, c *EnergyConfig) error {
		e, err := c.energy()
		if err != nil {
			return err
		}
		return learnEnergy(ctx, r, c, e)
	},
}

// EnergyOf is the experiment Energy on an energy of one's own, under the name of
// its folder of results; CMF_ENERGY and CMF_MIXTURE go unused.
func EnergyOf(name string, e solvers.Energy) run.Definition[EnergyConfig] {
	d := Energy
	d.Name = name
	d.Do = func(ctx context.Context, r *run.Run, c *EnergyConfig) error { return learnEnergy(ctx, r, c, e) }
	return d
}

func learnEnergy(ctx context.Context, r *run.Run, c *EnergyConfig, e solvers.Energy) error {
	t, err := newEnergyTarget(r, e)
	if err != nil {
		return err
	}
	potential, err := layers.NewICNN(layers.Architecture{Dim: e.Dim(), Hidden: c.Hidden, Full: true})
	if err != nil {
		return err
	}
	model, err := t.fit(ctx, r, &c.Core, fit.Problem{
		Potential: potential,
		// Valleys between modes are flat, so that little curvature is fixed.
		Start:     layers.Start{Share: .2, Fixed: .02},
		Shares:    c.shares(),
		Particles: c.Particles,
		Langevin:  c.Langevin,
		Decay:     .99,
	})
	if err != nil || !model.Finished {
		return err
	}
	found, err := t.judge(ctx, r, c, model)
	if err != nil {
		return err
	}
	if err := r.SaveSamples(found.draw.Points); err != nil {
		return err
	}
	energyPage(r, t)
	return t.drawFigure3(ctx, r, found)
}
