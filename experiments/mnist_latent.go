package experiments

import (
	"context"
	"fmt"

	"cmf/experiments/config"
	"cmf/experiments/latent"
	"cmf/experiments/picture"
	"cmf/experiments/run"
	"cmf/layers/autoencoder"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
)

// mnistOfPixels are variables that do nothing in a latent space.
var mnistOfPixels = []string{"CMF_ALPHA", "CMF_KNOTS", "CMF_TOLERANCE", "CMF_SHARE", "CMF_NOISE", "CMF_FILTERS", "CMF_CARRY", "CMF_LIKELIHOOD"}

// inLatents sets the defaults that suit a latent space.
func (c *MNISTConfig) inLatents(env config.Environment) {
	latent.Adapt(&c.Core, env)
	c.Latents, c.Pieces, c.Steps, c.Mixing, c.Particles, c.Langevin, c.Carry = 24, 100, 300, 400, 4096, 4, 0
	c.Conjugate = conjugate.ByBarzilaiBorwein
	switch env["CMF_PRESET"] {
	case "quick":
		c.Pieces, c.Steps, c.Passes, c.Mixing, c.Samples, c.Beside = 50, 150, 3, 60, 1000, false
	case "paper":
		c.Steps, c.Passes = 20000, 40
	}
}

// doLatentMNIST learns digits in a latent space.
func doLatentMNIST(ctx context.Context, r *run.Run, c *MNISTConfig) error {
	set, err := c.Load(ctx, r, &c.Core, max(2000, c.Samples))
	if err != nil {
		return err
	}
	judge, err := picture.NewJudge(set, c.Samples)
	if err != nil {
		return err
	}
	watch := picture.DigitWatch{Run: r, Judge: judge}
	s := &latent.Study{
		Core: &c.Core, Config: &c.Config, Bank: config.Bank{Particles: c.Particles, Langevin: c.Langevin}, Mixing: c.Mixing, Count: c.Samples,
		Set:   latent.Set{Name: set.Name, Train: set.Train, Height: picture.Side, Width: picture.Side, Channels: 1, Loss: autoencoder.Bernoulli},
		Held:  judge.HeldOut(),
		Watch: watch.SeeDigits,
	}
	var asked []uint8
	if c.Given != "" {
		asked = picture.AskedDigits(set, c.Samples)
		s.Given = latent.Classes{
			Train: latent.OneHot(set.TrainLabels, picture.DigitClasses),
			Held:  latent.OneHot(judge.HeldOutLabels(set), picture.DigitClasses),
			Asked: latent.OneHot(asked, picture.DigitClasses),
		}
		if _, err := exact.ClassRows(s.Given.Train); err != nil {
			return fmt.Errorf("CMF_GIVEN=%s: %w", c.Given, err)
		}
	}
	finished, err := s.Learn(ctx, r)
	if err != nil || !finished {
		return err
	}
	if err := watch.Draw(r); err != nil {
		return err
	}
	r.Progress.Log.Info("judging", "digits", c.Samples)
	if err := judge.Fill(ctx, r, s.Generated, s.Gaussian); err != nil {
		return err
	}
	err = s.Finish(ctx, r, "digits", picture.DigitTiles, func(o latent.Other) error { return judge.Beside(ctx, r, o.Name, o.Title, o.Pictures) })
	if err != nil {
		return err
	}
	if c.Given != "" {
		return judge.JudgeGiven(r, set, s.Generated, asked)
	}
	return judge.DrawClasses(r, s.Generated, s.Gaussian)
}
