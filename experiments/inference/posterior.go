package inference

import (
	"context"
	"fmt"
	"maps"
	"math"

	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
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
	Simulations int           `default:"100000" range:"1000..10000000" desc:"pairs of parameters and outputs to learn from"`
	Observed    config.Vector `desc:"the output whose posterior is drawn, numbers separated by commas; a simulated one if empty"`
	Count       int           `default:"10000" range:"100..1000000" desc:"draws from that posterior"`
	Features    int           `default:"64" range:"0..4096" desc:"hidden features of an output"`
	Pairs       int           `default:"300" range:"20..100000" desc:"simulated pairs by which calibration is judged"`
	Ranks       int           `default:"63" range:"9..1000" desc:"draws among which the parameters of each of them are ranked"`
}

// Fixed names the variables of networks without contexts, and of other sources.
func (c *Config) Fixed() []string {
	return []string{"CMF_SOURCE", "CMF_POTENTIAL", "CMF_PIECES", "CMF_RANK", "CMF_TAU"}
}

// Validate checks the loss.
func (c *Config) Validate() error { return fit.CheckGivenContexts(&c.Core) }

// ChoiceConfig configures the experiment posterior.
type ChoiceConfig struct {
	Config
	Simulator string `default:"two-moons" oneof:"two-moons,gaussian-linear" desc:"prior and simulator"`
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
	c.Steps, c.Batch, c.Simulations, c.Count, c.Pairs, c.Mixing = 500, 256, 20000, 2000, 100, 60
}

func (c *Config) usual() {
	c.network()
	c.Steps, c.Batch = 6000, 256
}

func (c *Config) paper() {
	c.network()
	c.Steps, c.Batch, c.Simulations = 50000, 1024, 1000000
}

// network sets the default network and how it is learned.
func (c *Config) network() { c.Hidden, c.LR, c.Loss = config.Widths{64, 64}, 1e-2, "likelihood" }

// infer is Posterior for any simulator.
func (s Simulator) infer(ctx context.Context, r *run.Run, c *Config) error {
	if n := len(c.Observed); n != 0 && n != s.Outputs {
		return fmt.Errorf("CMF_OBSERVED=%v: it has %d numbers, an output of %s %d", c.Observed, n, s.Name, s.Outputs)
	}
	r.Report.Data = fmt.Sprintf("%d simulations of %s", c.Simulations, s.Name)
	r.Page.Summary = fmt.Sprintf("The posterior of the %d parameters of %s given %d numbers, learned for all outputs at once.", len(s.Parameters), s.Name, s.Outputs)
	theta, x, err := s.Pairs(c.Simulations, random.New(c.Seed, "simulations", 0))
	if err != nil {
		return err
	}
	u, z, err := learned(theta, x)
	if err != nil {
		return err
	}
	w, err := layers.New(layers.Architecture{Dim: z.Cols, Hidden: c.Hidden, Unit: c.Unit, Full: true, Context: s.Outputs, ContextHidden: c.Features})
	if err != nil {
		return err
	}
	model, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
		Potential: w, Start: layers.Start{Share: .5, Fixed: .05, Balanced: true}, Train: z, Contexts: x, Units: u,
		Particles: c.Particles, Langevin: c.Langevin, Decay: decay(c.Steps),
	})
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

// decay is that of an average over the last tenth of the steps, in which the rate is low.
func decay(steps int) float64 { return 1 - 10/float64(max(steps, 100)) }

// learned are the parameters in units of learning, in which what a regression on the outputs
// leaves has unit variance along each axis.
func learned(theta, x blas32.General) (units.Affine, blas32.General, error) {
	law, err := exact.Regress(theta, x, 0)
	if err != nil {
		return units.Affine{}, theta, err
	}
	u := units.Affine{Center: law.Law.Mean}
	residual := law.Law.Power(1)
	for k := range theta.Cols {
		u.Scale = append(u.Scale, math.Sqrt(residual.At(k, k)))
	}
	z, err := u.Learning(theta)
	return u, z, err
}

// observe draws from the posterior given the observed output.
func (s Simulator) observe(ctx context.Context, r *run.Run, c *Config, m *fit.Model) error {
	at := batch.New(1, s.Outputs)
	batch.Narrow(at.Data, c.Observed)
	if len(c.Observed) == 0 {
		_, x, err := s.Pairs(1, random.New(c.Seed, "observation", 0))
		if err != nil {
			return err
		}
		at = x
	}
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("samples.npy: draws of the parameters given the output %.4g.", batch.Row(at, 0)))
	points, d, err := draw(ctx, m, at, c.Count, c.Mixing, random.New(c.Seed, "posterior", 0))
	if err != nil {
		return err
	}
	maps.Copy(r.Report.Metrics, d.Checks)
	if err := r.SaveSamples(points); err != nil {
		return err
	}
	clouds := []figure.Cloud{{Name: "learned posterior", Points: points}}
	if s.Reference != nil {
		truth, err := s.Exact(batch.Row(at, 0), c.Count, random.New(c.Seed, "exact posterior", 0))
		if err != nil {
			return err
		}
		again, err := s.Exact(batch.Row(at, 0), c.Count, random.New(c.Seed, "exact posterior", 1))
		if err != nil {
			return err
		}
		r.Page.Headline = append(r.Page.Headline,
			report.Headline{Metric: "c2st_nn", Label: "Accuracy at which the nearest neighbour tells draws from exact ones", Goal: report.Nearer, Target: .5},
			report.Headline{Metric: "energy_distance", Label: "Energy distance to exact draws", Goal: report.Lower})
		for into, x := range map[*report.Numbers]blas32.General{&r.Report.Metrics: points, &r.Report.Floor: again} {
			if *into == nil {
				*into = report.Numbers{}
			}
			if (*into)["c2st_nn"], err = metric.NearestNeighbourAccuracy(x, truth); err != nil {
				return err
			}
			if (*into)["energy_distance"], err = metric.EnergyDistance(x, truth); err != nil {
				return err
			}
		}
		clouds = append([]figure.Cloud{{Name: "exact posterior", Points: truth}}, clouds...)
	}
	for k := range clouds {
		clouds[k].Points = batch.First(clouds[k].Points, 2000)
	}
	caption := fmt.Sprintf("Draws given the output %.4g.", batch.Row(at, 0))
	return r.Figure(ctx, report.Figure{File: "posterior.png", Caption: caption}, true, func(path string) error {
		if len(s.Parameters) == 1 {
			return figure.DrawHistogram(path, figure.Axes{X: s.Parameters[0], Y: "density"}, points.Data, 0)
		}
		return figure.DrawPairs(path, s.Parameters[:min(4, len(s.Parameters))], clouds)
	})
}

// density evaluates the mean log density of fresh pairs.
func (s Simulator) density(ctx context.Context, r *run.Run, c *Config, m *fit.Model) error {
	theta, x, err := s.Pairs(min(c.Pairs, 200), random.New(c.Seed, "held-out pairs", 0))
	if err != nil {
		return err
	}
	z, err := m.Units().Learning(theta)
	if err != nil {
		return err
	}
	l, err := m.LogPDFGiven(ctx, z, x, 0, random.New(c.Seed, "log Z", 0))
	if err != nil {
		return err
	}
	volume, err := m.Units().LogVolume(z, theta)
	if err != nil {
		return err
	}
	for i, v := range volume {
		l.LogPDF[i] += v
	}
	var failed int
	r.Report.Metrics["log_posterior"], r.Report.Metrics["log_posterior_se"], failed = fit.FiniteMean(l.LogPDF)
	r.Report.Metrics["log_posterior_failed"] = float64(failed)
	return nil
}

// calibrate judges the posteriors of fresh pairs by ranks.
func (s Simulator) calibrate(ctx context.Context, r *run.Run, c *Config, m *fit.Model) error {
	theta, x, err := s.Pairs(c.Pairs, random.New(c.Seed, "calibration", 0))
	if err != nil {
		return err
	}
	ranks, err := Calibrate(ctx, m, theta, x, c.Ranks, c.Mixing, random.New(c.Seed, "ranks", 0))
	if err != nil {
		return err
	}
	least := 1.
	for k := range s.Parameters {
		least = min(least, ranks.PValue(k, 10))
	}
	r.Report.Metrics["ranks_p_value"] = min(1, least*float64(len(s.Parameters)))
	r.Page.Headline = append(r.Page.Headline, report.Headline{Metric: "coverage_error_90", Label: "Largest error of the coverage of 90 % intervals", Goal: report.Lower})
	for _, level := range []int{50, 90} {
		r.Report.Metrics[fmt.Sprintf("coverage_error_%d", level)] = ranks.WorstCoverage(float64(level) / 100)
	}
	return s.drawCalibration(ctx, r, ranks)
}

// drawCalibration draws the cumulated ranks and the coverage of central intervals.
func (s Simulator) drawCalibration(ctx context.Context, r *run.Run, c *Calibration) error {
	const n = 50
	ideal := figure.Series{Name: "uniform"}
	var ranks, coverage []figure.Series
	for k, name := range s.Parameters[:min(5, len(s.Parameters))] {
		cumulated, covered := figure.Series{Name: name}, figure.Series{Name: name}
		for i := range n + 1 {
			level := float64(i) / n
			below := 0
			for _, rank := range c.Ranks[k] {
				if (float64(rank)+.5)/float64(c.Draws+1) <= level {
					below++
				}
			}
			cumulated.X, cumulated.Y = append(cumulated.X, level), append(cumulated.Y, float64(below)/float64(len(c.Ranks[k]))-level)
			covered.X, covered.Y = append(covered.X, level), append(covered.Y, c.Coverage(k, level))
			if k == 0 {
				ideal.X, ideal.Y = append(ideal.X, level), append(ideal.Y, level)
			}
		}
		ranks, coverage = append(ranks, cumulated), append(coverage, covered)
	}
	err := r.Figure(ctx, report.Figure{File: "ranks.png", Caption: fmt.Sprintf("Share of %d pairs whose rank is below a share of the draws, minus that share: 0 for exact posteriors.", len(c.Ranks[0]))}, false, func(path string) error {
		return figure.DrawCurves(path, figure.Axes{X: "rank", Y: "cumulated share − rank"}, ranks...)
	})
	if err != nil {
		return err
	}
	return r.Figure(ctx, report.Figure{File: "coverage.png", Caption: "Share of pairs whose parameter lies in the central interval of a level: the level itself for exact posteriors."}, false, func(path string) error {
		return figure.DrawCurves(path, figure.Axes{X: "level", Y: "coverage"}, append([]figure.Series{ideal}, coverage...)...)
	})
}
