package experiments

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/target"
	"cmf/layers"
	"cmf/solvers/exact"
	"cmf/solvers/line"
	"cmf/solvers/random"
)

// Mixture1DConfig configures the experiment mixture1d.
type Mixture1DConfig struct {
	config.Core
	config.Bank
	Mixture components `default:"0.5,-2,0.5;0.5,2,0.5" desc:"mixture of normals on the line: weight,mean,standard deviation of each component, separated by semicolons"`
	At      places     `default:"-2,-1,0,0.5,1,2" desc:"points at which the report gives the exact slope w'"`
	Points  int        `default:"100000" range:"100..10000000" desc:"points of the mixture to train on"`
	Samples int        `default:"2000" range:"8..1000000" desc:"points to generate"`
}

// Fixed names the source: the truth is that of the Gibbs factor.
func (c *Mixture1DConfig) Fixed() []string { return []string{"CMF_SOURCE"} }

// Validate checks the loss.
func (c *Mixture1DConfig) Validate() error { return fit.CheckLoss(&c.Core, false) }

// components are the components of a mixture, written weight,mean,deviation;….
type components []line.Component

// Decode reads components, for envconfig, and refuses those that do not make a mixture.
func (c *components) Decode(list string) error {
	*c = nil
	for part := range strings.SplitSeq(strings.TrimSpace(list), ";") {
		numbers, err := decodeNumbers(part)
		if err == nil && len(numbers) != 3 {
			err = fmt.Errorf("it has %d numbers", len(numbers))
		}
		if err != nil {
			return fmt.Errorf("component %d is %q: %w; give weight,mean,deviation such as 0.5,-2,0.5", len(*c)+1, part, err)
		}
		*c = append(*c, line.Component{Weight: numbers[0], Mean: numbers[1], SD: numbers[2]})
	}
	var parts []data.Normal
	for _, k := range *c {
		parts = append(parts, data.Normal{Weight: k.Weight, Mean: []float64{k.Mean}, SD: k.SD})
	}
	_, err := data.MixtureEnergy(parts...) // which has narrower limits than package line
	return err
}

// String writes components as Decode reads them.
func (c components) String() string {
	var parts []string
	for _, k := range c {
		parts = append(parts, encodeNumbers([]float64{k.Weight, k.Mean, k.SD}))
	}
	return strings.Join(parts, ";")
}

// places are points of the line, written -2,0,1.5.
type places []float64

// Decode reads points, for envconfig.
func (p *places) Decode(list string) (err error) {
	if *p, err = decodeNumbers(list); err != nil {
		return fmt.Errorf("%w; give points such as -2,0,1.5", err)
	}
	return nil
}

// String writes points as Decode reads them.
func (p places) String() string { return encodeNumbers(p) }

func decodeNumbers(list string) ([]float64, error) {
	var numbers []float64
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		v, err := strconv.ParseFloat(item, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("item %d, %q, is not a finite number", len(numbers)+1, item)
		}
		numbers = append(numbers, v)
	}
	return numbers, nil
}

func encodeNumbers(numbers []float64) string {
	var items []string
	for _, v := range numbers {
		items = append(items, strconv.FormatFloat(v, 'g', -1, 64))
	}
	return strings.Join(items, ",")
}

// Mixture1D is Figure 2's experiment: a mixture of normals on the line, with its exact moment
// and conjugate moment potentials. The latter is compared with the potential that CMFGen
// learns.
var Mixture1D = run.Definition[Mixture1DConfig]{
	Name: "mixture1d",
	Presets: map[string]func(*Mixture1DConfig){
		"quick": func(c *Mixture1DConfig) { c.Steps, c.Batch, c.Points = 300, 512, 20000 },
		"default": func(c *Mixture1DConfig) {
			c.Steps, c.Batch, c.Hidden, c.LR, c.Init = 3000, 1024, config.Widths{64, 64}, 1e-2, config.InitIdentity
			c.Langevin = 3
		},
		"paper": func(c *Mixture1DConfig) { c.Steps, c.Hidden = 50000, config.Widths{64, 64, 64, 64} },
	},
	Do: doMixture1D,
}

func doMixture1D(ctx context.Context, r *run.Run, c *Mixture1DConfig) error {
	truth, err := solveLine(r, c)
	if err != nil {
		return err
	}
	if err := truth.drawDensities(ctx, r); err != nil {
		return err
	}
	train := truth.rho.Sample(c.Points, random.New(c.Seed, "mixture", 0))
	law, err := exact.FitGaussian(train, 0)
	if err != nil {
		return err
	}
	shape := layers.Architecture{Dim: 1, Hidden: c.Hidden, Unit: c.Unit}
	potential, err := c.Network(shape, layers.Architecture{Pieces: 32, Tau: .05})
	if err != nil {
		return err
	}
	uvp := func(m *fit.Model) (report.Numbers, error) {
		v, err := truth.uvp(m.Evaluator)
		return report.Numbers{"cmfgen.uvp_percent": v}, err
	}
	// The valley between two modes is flat, so almost no curvature is fixed. w′ rises fast
	// within a narrow mode, so hinges are sharp.
	start := layers.Start{Law: law, Share: .1, Fixed: .01, Spread: 12}
	model, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
		Potential:    potential,
		Start:        start,
		Train:        train,
		Units:        target.ForProblem(truth.units),
		Particles:    c.Particles,
		Langevin:     c.Langevin,
		Decay:        .995,
		Precondition: true,
		Watch:        uvp,
		WatchEvery:   max(1, c.Steps/40),
	})
	if err != nil || !model.Finished {
		return err
	}
	numbers, err := uvp(model)
	if err != nil {
		return err
	}
	maps.Copy(r.Report.Metrics, numbers)
	draw, err := model.Draw(ctx, c.Samples, 100, random.New(c.Seed, "generation", 0))
	if err != nil {
		return err
	}
	draw.Report(r)
	samples, err := truth.units.Data(draw.Points, nil)
	if err != nil {
		return err
	}
	if err := r.SaveSamples(samples); err != nil {
		return err
	}
	if err := truth.drawLearned(ctx, r, model.Evaluator); err != nil {
		return err
	}
	byEnergy, err := c.learnEnergy(ctx, r, shape, start, truth)
	if err != nil || !byEnergy.Finished {
		return err
	}
	if r.Report.Metrics["cmfma.uvp_percent"], err = truth.uvp(byEnergy.Evaluator); err != nil {
		return err
	}
	gaussian, err := truth.uvp(law.ConjugateMoment())
	if err != nil {
		return err
	}
	r.Report.Baseline["cmfgen.uvp_percent"], r.Report.Baseline["cmfma.uvp_percent"] = gaussian, gaussian
	r.Judge(uvpBounds("the closed form of a Gaussian")...)
	return nil
}

// learnEnergy learns the same potential by CMFMA, from the mixture's energy.
func (c *Mixture1DConfig) learnEnergy(ctx context.Context, r *run.Run, shape layers.Architecture, start layers.Start, truth *lineTruth) (*fit.Model, error) {
	potential, err := c.Network(shape, layers.Architecture{Pieces: 32, Tau: .05})
	if err != nil {
		return nil, err
	}
	e, err := data.ProductEnergy([]*line.Mixture{truth.rho}, nil)
	if err != nil {
		return nil, err
	}
	return target.Boxed{Energy: e, Box: e.Box}.Fit(ctx, r, &c.Core, fit.Problem{
		Name: "cmfma", Loss: "monge-ampere", Potential: potential, Start: start, Units: target.ForProblem(truth.units),
		Particles: c.Particles, Langevin: c.Langevin, Decay: .995,
	})
}
