package experiments

import (
	"context"
	"fmt"

	"cmf/solvers/random"
)

// MNISTConfig configures the experiment mnist.
type MNISTConfig struct {
	Core
	DigitModel
	Samples int `default:"2000" desc:"digits to generate and to judge by"`
	Mixing  int `default:"250" desc:"Langevin steps from the bank to the digits that are generated"`

	Likelihood int `default:"256" desc:"held-out digits whose likelihood is computed; 0 for none"`
}

// Validate checks the experiment's own variables.
func (c *MNISTConfig) Validate() error {
	if err := c.DigitModel.Validate(); err != nil {
		return err
	}
	if err := c.checkNoise(&c.Core); err != nil {
		return err
	}
	return allowed(
		rule{c.Samples >= 64 && c.Samples <= 10000, "SAMPLES", c.Samples, "allowed are 64 to 10000"},
		rule{c.Mixing >= 20 && c.Mixing <= 100000, "MIXING", c.Mixing, "allowed are 20 to 100000"},
		rule{c.Likelihood == 0 || c.Likelihood >= 2 && c.Likelihood <= 2000, "LIKELIHOOD", c.Likelihood, "allowed are 0 (none) and 2 to 2000"},
	)
}

// MNIST is Figure 5's experiment on digits: CMFGen on 28×28 pictures in logit
// units, against a Gaussian fit and the data's own floor.
var MNIST = Definition[MNISTConfig]{
	Name: "mnist",
	Presets: map[string]func(*MNISTConfig){
		"quick": func(c *MNISTConfig) {
			c.Steps, c.Hidden, c.Train, c.Samples, c.Mixing, c.Likelihood = 500, Widths{512}, 20000, 1000, 60, 32
		},
		"default": func(c *MNISTConfig) {
			c.Steps, c.Batch, c.Hidden, c.LR, c.Conjugate = 4000, 128, Widths{1024}, 2e-2, "lbfgs"
			c.Mixing = 1000
		},
		"paper": func(c *MNISTConfig) {
			c.Steps, c.Batch, c.Particles, c.Hidden, c.Langevin, c.LR = 20000, 256, 2048, Widths{1024, 1024}, 10, 1e-3
		},
	},
	Do: doMNIST,
}

func doMNIST(ctx context.Context, r *Run, c *MNISTConfig) error {
	digits, err := c.open(ctx, r, &c.Core, max(2000, c.Samples), nil)
	if err != nil {
		return err
	}
	judge, err := newJudge(digits.set, c.Samples)
	if err != nil {
		return err
	}
	problem, err := c.problem(&c.Core, digits)
	if err != nil {
		return err
	}
	watch := digitWatch{judge, digits.pixels}
	problem.Watch, problem.WatchEvery = watch.see, max(1, c.Steps/40)
	model, err := Fit(ctx, r, &c.Core, problem)
	if err != nil || !model.Finished {
		return err
	}
	if err := watch.draw(r); err != nil {
		return err
	}
	r.Progress.Log.Info("generating", "digits", c.Samples)
	draw, err := model.Draw(c.Samples, c.Mixing, random.New(c.Seed, "generation", 0))
	if err != nil {
		return err
	}
	generated, err := digits.pixels(draw.Points)
	if err != nil {
		return err
	}
	gaussian, err := digits.pixels(digits.baseline.Sample(c.Samples, random.New(c.Seed, "Gaussian fit", 0)))
	if err != nil {
		return err
	}
	if err := judge.fill(r, generated, gaussian); err != nil {
		return err
	}
	for name, v := range draw.Checks {
		r.Report.Metrics[name] = v
	}
	if problem.Carry != nil && c.Source != "gaussian" {
		r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("The noise is y = Σˢz, z of the Gibbs factor, with the digits' covariance Σ and s = %g (CMF_CARRY): the plain method in the coordinates Σ^{s/2}x. Gibbs samples in figures and files are y.", c.Carry))
	}
	if c.Likelihood > 0 {
		if err := judgeLikelihood(r, model, digits, c.Likelihood, c.Noise, c.Seed); err != nil {
			return err
		}
	}
	if err := r.SaveSamples(generated); err != nil {
		return err
	}
	if err := drawDigits(r, digits.set, draw.Gibbs, generated, gaussian); err != nil {
		return err
	}
	if err := judge.drawClasses(r, generated, gaussian); err != nil || c.Source == "gaussian" {
		return err
	}
	return noiseStudy{gibbs: draw.Gibbs, data: digits.train, pixels: digits.pixels, tiles: digitTiles, seed: c.Seed}.report(r)
}
