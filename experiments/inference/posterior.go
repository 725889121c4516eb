package inference

import (
	"context"
	"fmt"
	"math"
	"slices"

	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Config configures how posteriors are learned and judged.
type Config struct {
	config.Core
	config.Bank
	config.Generation
	Simulations  int           `default:"100000" range:"1000..10000000" desc:"pairs of parameters and outputs to learn from; a tenth of them, at most 1024, chooses the state of learning"`
	Observed     config.Vector `desc:"the output whose posterior is drawn, numbers separated by commas; a simulated one if empty"`
	Observations int           `default:"3" range:"1..100" desc:"outputs whose posteriors are compared with exact ones, the same for all seeds; the observed one is the first"`
	Count        int           `default:"10000" range:"250..1000000" desc:"draws from each of these posteriors"`
	Features     int           `default:"32" range:"0..4096" desc:"hidden features of an output"`
	Pairs        int           `default:"300" range:"20..100000" desc:"simulated pairs by which calibration is judged"`
	Ranks        int           `default:"63" range:"9..1000" desc:"draws among which the parameters of each of them are ranked"`
}

// Fixed names the source.
func (c *Config) Fixed() []string { return []string{"CMF_SOURCE"} }

// Validate checks the loss.
func (c *Config) Validate() error { return fit.CheckGivenContexts(&c.Core) }

// ChoiceConfig configures the experiment posterior.
type ChoiceConfig struct {
	Config
	Simulator string `default:"two-moons" oneof:"two-moons,gaussian-linear,slcp" desc:"prior and simulator"`
}

// Posterior learns p(θ | x) of a simulator for all outputs x at once, and judges it: draws and
// densities given one output beside the exact posterior, and calibration over simulated pairs.
var Posterior = run.Definition[ChoiceConfig]{
	Name: "posterior",
	Presets: map[string]func(*ChoiceConfig){
		"quick":   func(c *ChoiceConfig) { c.quick() },
		"default": func(c *ChoiceConfig) { c.usual() },
		"paper":   func(c *ChoiceConfig) { c.paper() },
	},
	Do: func(ctx context.Context, r *run.Run, c *ChoiceConfig) error {
		s, err := Known(c.Simulator)
		if err != nil {
			return err
		}
		return s.infer(ctx, r, &c.Config)
	},
}

// Definition is the experiment for a simulator of one's own.
func (s Simulator) Definition() run.Definition[Config] {
	return run.Definition[Config]{
		Name:    s.Name,
		Presets: map[string]func(*Config){"quick": (*Config).quick, "default": (*Config).usual, "paper": (*Config).paper},
		Do:      s.infer,
	}
}

func (c *Config) quick() {
	c.network()
	c.Hidden, c.Steps, c.Batch, c.Simulations = config.Widths{32, 32}, 400, 256, 4000
	c.Observations, c.Count, c.Pairs, c.Mixing = 1, 2000, 100, 60
}

func (c *Config) usual() {
	c.network()
	c.Steps, c.Batch = 6000, 256
}

func (c *Config) paper() {
	c.network()
	c.Steps, c.Batch, c.Simulations = 50000, 1024, 1000000
}

// network sets the default network and how it is learned. Its units are maxima, as posteriors of
// simulators have sharp edges and separate parts.
func (c *Config) network() {
	c.Unit, c.Hidden, c.LR, c.Loss = layers.Maximum, config.Widths{64, 64, 64}, .02, "likelihood"
}

// infer is Posterior for any simulator.
func (s Simulator) infer(ctx context.Context, r *run.Run, c *Config) error {
	if n := len(c.Observed); n != 0 && n != s.Outputs {
		return fmt.Errorf("CMF_OBSERVED=%v: it has %d numbers, an output of %s %d", c.Observed, n, s.Name, s.Outputs)
	}
	if len(c.Observed) > 0 && s.Reference != nil {
		at, err := s.observations(c)
		if err != nil {
			return err
		}
		if _, err := s.Exact(batch.Row(at, 0), 1, random.New(c.Seed, "possible", 0)); err != nil {
			return fmt.Errorf("CMF_OBSERVED=%v: %w", c.Observed, err)
		}
	}
	r.Report.Data = fmt.Sprintf("%d simulations of %s", c.Simulations, s.Name)
	r.Page.Summary = fmt.Sprintf("The posterior of the %d parameters of %s given %d numbers, learned for all outputs at once.", len(s.Parameters), s.Name, s.Outputs)
	theta, x, err := s.Pairs(c.Simulations, random.New(c.Seed, "simulations", 0))
	if err != nil {
		return err
	}
	u, z, err := s.learned(theta, x)
	if err != nil {
		return err
	}
	chosen := min(z.Rows/10, mostValidation)
	if c.Potential == layers.NetworkQuadratics {
		chosen = min(chosen, mostSolved)
		if err := run.Suit(r, "CMF_LR", &c.LR, .01); err != nil {
			return err
		}
	}
	if err := r.LimitSteps(&c.Core, z.Rows-chosen, mostPasses, 500); err != nil {
		return err
	}
	choice := fit.Validation{X: batch.First(z, chosen), Contexts: batch.First(x, chosen)}
	if !r.Given("CMF_STEPS") {
		choice.Patience = patience
	}
	p := fit.Problem{
		Units: u, Train: batch.Rows(z, chosen, z.Rows), Contexts: batch.Rows(x, chosen, x.Rows), Validation: choice,
		Particles: c.Particles, Langevin: c.Langevin, Decay: decay(c.Steps),
	}
	network := layers.Architecture{Dim: z.Cols, Hidden: c.Hidden, Unit: c.Unit, Full: true, Context: s.Outputs, ContextHidden: c.Features}
	if c.Potential == layers.NetworkICNN {
		if p.Start, err = start(ctx, &c.Core, p, network); err != nil {
			return err
		}
		r.Report.Metrics["start_share"] = p.Start.Share
	}
	if p.Potential, err = c.Network(network, layers.Architecture{}); err != nil {
		return err
	}
	model, err := fit.Fit(ctx, r, &c.Core, p)
	if err != nil || !model.Finished {
		return err
	}
	if err := s.observe(ctx, r, c, model); err != nil {
		return err
	}
	if err := s.density(ctx, r, c, model); err != nil {
		return err
	}
	return s.calibrate(ctx, r, c, model)
}

// mostValidation limits the pairs by which the best state of learning is chosen, mostSolved those
// of a network whose values are solves, of which log Z takes hundreds for each pair, patience is
// after how many scores that are no better learning ends, and mostPasses limits how often it sees
// a pair, so that the learning rate is low before few pairs are fitted too closely.
const (
	mostValidation = 1024
	mostSolved     = 128
	patience       = 8
	mostPasses     = 200
)

// decay is that of an average over the last tenth of the steps, in which the rate is low.
func decay(steps int) float64 { return 1 - 10/float64(max(steps, 100)) }

// learned are the parameters in units of learning, in which what a regression on the outputs
// leaves has unit variance along each axis. Those in a box are learned by their normal scores, unless
// they are Plain.
func (s Simulator) learned(theta, x blas32.General) (units.Units, blas32.General, error) {
	var box units.Box
	scores := theta
	boxed := s.Lower != nil && !s.Plain
	if boxed {
		zeros, ones := make([]float64, theta.Cols), slices.Repeat([]float64{1}, theta.Cols)
		box = units.Box{Lower: s.Lower, Upper: s.Upper, Center: zeros, Scale: ones}
		var err error
		if scores, err = box.Learning(theta); err != nil {
			return nil, theta, fmt.Errorf("the prior of %s is not on its box: %w", s.Name, err)
		}
	}
	law, err := exact.Regress(scores, x, 0)
	if err != nil {
		return nil, theta, err
	}
	affine := units.Affine{Center: law.Law.Mean}
	residual := law.Law.Power(1)
	for k := range theta.Cols {
		affine.Scale = append(affine.Scale, math.Sqrt(residual.At(k, k)))
	}
	z, err := affine.Learning(scores)
	if !boxed {
		return affine, z, err
	}
	box.Center, box.Scale = affine.Center, affine.Scale
	return box, z, err
}
