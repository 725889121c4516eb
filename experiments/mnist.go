package experiments

import (
	"context"
	"fmt"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/latent"
	"cmf/experiments/picture"
	"cmf/experiments/run"
	"cmf/solvers/conjugate"
	"cmf/solvers/random"
)

// MNISTConfig configures the experiment mnist.
type MNISTConfig struct {
	config.Core
	picture.DigitModel
	config.Generation
	latent.Config
	Given      string `desc:"label to learn the law of digits given their class, in a latent space; empty for the law of all digits"`
	Samples    int    `default:"2000" range:"64..10000" desc:"digits to generate and to judge"`
	Likelihood int    `default:"256" range:"0|2..2000" desc:"held-out digits whose likelihood is computed; 0 for none"`
}

// Validate checks that the loss suits the noise.
func (c *MNISTConfig) Validate() error {
	if err := picture.CheckGiven(c.Given); err != nil {
		return err
	}
	if c.Given != "" {
		if c.Space != latent.Latents {
			return fmt.Errorf("CMF_GIVEN=%s: digits are learned given their class in a latent space; with it CMF_SPACE must be %s", c.Given, latent.Latents)
		}
		if err := fit.CheckGivenContexts(&c.Core); err != nil {
			return err
		}
	}
	return c.CheckNoise(&c.Core)
}

// Adapt sets the defaults that suit the space and the network: in pixels quadratics start
// near the data, need less noise, and take seconds for a step.
func (c *MNISTConfig) Adapt(env config.Environment) {
	if c.Space = latent.Chosen(env); c.Space == latent.Latents {
		c.inLatents(env)
		return
	}
	c.Core.Adapt(env)
	if config.Quadratics(env) {
		c.Steps, c.Mixing, c.Noise = min(c.Steps, 60), min(c.Mixing, 60), .3
	}
}

// MNIST is Figure 5's experiment on digits: CMFGen on 28×28 pictures, in the latent space of
// an autoencoder or, as in the paper, in logit units of pixels, compared with a Gaussian fit
// and the floor.
var MNIST = run.Definition[MNISTConfig]{
	Name: "mnist",
	Presets: map[string]func(*MNISTConfig){
		"quick": func(c *MNISTConfig) {
			c.Steps, c.Hidden, c.Train, c.Samples, c.Mixing, c.Likelihood = 500, config.Widths{512}, 20000, 1000, 60, 32
		},
		"default": func(c *MNISTConfig) {
			c.Steps, c.Batch, c.Hidden, c.LR, c.Conjugate = 4000, 128, config.Widths{1024}, 2e-2, conjugate.ByLBFGS
			c.Mixing = 1000
		},
		"paper": func(c *MNISTConfig) {
			c.Steps, c.Batch, c.Particles, c.Hidden, c.Langevin, c.LR = 20000, 256, 2048, config.Widths{1024, 1024}, 10, 1e-3
		},
	},
	Do: doMNIST,
}

func doMNIST(ctx context.Context, r *run.Run, c *MNISTConfig) error {
	if err := c.Only(r, mnistOfPixels...); err != nil {
		return err
	}
	if c.Space == latent.Latents {
		return doLatentMNIST(ctx, r, c)
	}
	digits, err := c.Open(ctx, r, &c.Core, max(2000, c.Samples), nil)
	if err != nil {
		return err
	}
	judge, err := picture.NewJudge(digits.Set, c.Samples)
	if err != nil {
		return err
	}
	problem, err := c.Problem(&c.Core, digits)
	if err != nil {
		return err
	}
	watch := picture.DigitWatch{Run: r, Judge: judge, Pixels: digits.Pixels}
	problem.Watch, problem.WatchEvery = watch.See, max(1, c.Steps/40)
	model, err := fit.Fit(ctx, r, &c.Core, problem)
	if err != nil || !model.Finished {
		return err
	}
	if err := watch.Draw(r); err != nil {
		return err
	}
	r.Progress.Log.Info("generating", "digits", c.Samples)
	draw, err := model.Draw(ctx, c.Samples, c.Mixing, random.New(c.Seed, "generation", 0))
	if err != nil {
		return err
	}
	generated, err := digits.Pixels(draw.Points)
	if err != nil {
		return err
	}
	gaussian, err := digits.Pixels(digits.Baseline.Sample(c.Samples, random.New(c.Seed, "Gaussian fit", 0)))
	if err != nil {
		return err
	}
	if err := judge.Fill(ctx, r, generated, gaussian); err != nil {
		return err
	}
	draw.Report(r)
	if problem.Carry != nil && c.Source != config.SourceGaussian {
		r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("The noise is y = Σˢz, where z is from the Gibbs factor, Σ is the covariance of the digits and s = %g (CMF_CARRY). This is the plain method in the coordinates Σ^{s/2}x. Gibbs samples in figures and files are y.", c.Carry))
	}
	if c.Likelihood > 0 {
		if err := picture.JudgeLikelihood(ctx, r, model, digits, c.Likelihood, c.Noise, c.Seed); err != nil {
			return err
		}
	}
	if err := r.SaveSamples(generated); err != nil {
		return err
	}
	if err := picture.DrawDigits(r, digits.Set, draw.Gibbs, generated, gaussian); err != nil {
		return err
	}
	if err := judge.DrawClasses(r, generated, gaussian); err != nil || c.Source == config.SourceGaussian {
		return err
	}
	return picture.NoiseStudy{Gibbs: draw.Gibbs, Data: digits.Train, Pixels: digits.Pixels, Tiles: picture.DigitTiles, Seed: c.Seed}.Report(ctx, r)
}
