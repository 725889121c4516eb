package experiments

import (
	"context"

	"cmf/experiments/config"
	"cmf/experiments/latent"
	"cmf/experiments/picture"
	"cmf/experiments/run"
	"cmf/layers/autoencoder"
	"cmf/solvers/conjugate"
)

// cartoonOfPixels are variables that do nothing in a latent space.
var cartoonOfPixels = []string{"CMF_ALPHA", "CMF_KNOTS", "CMF_TOLERANCE", "CMF_SHARE", "CMF_COMPONENTS"}

// inLatents sets the defaults that suit a latent space.
func (c *CartoonConfig) inLatents(env config.Environment) {
	latent.Adapt(&c.Core, env)
	c.Latents, c.Passes, c.Steps, c.Mixing, c.Particles, c.Langevin, c.Conjugate = 32, 40, 300, 400, 2048, 4, conjugate.ByBarzilaiBorwein
	switch env["CMF_PRESET"] {
	case "quick":
		c.Latents, c.Steps, c.Mixing, c.Passes, c.Beside = 16, 150, 60, 25, false
	case "paper":
		c.Steps, c.Passes = 20000, 100
	}
}

// doLatentCartoon learns faces in a latent space.
func doLatentCartoon(ctx context.Context, r *run.Run, c *CartoonConfig) error {
	set, err := loadCartoons(ctx, r, c)
	if err != nil {
		return err
	}
	s := &latent.Study{
		Core: &c.Core, Config: &c.Config, Bank: config.Bank{Particles: c.Particles, Langevin: c.Langevin}, Mixing: c.Mixing, Count: c.Samples,
		Set:  latent.Set{Name: set.Name, Train: set.Train, Height: set.Side, Width: set.Side, Channels: 3, Loss: autoencoder.Gaussian},
		Held: picture.Spread(set.Test, c.Samples),
	}
	finished, err := s.Learn(ctx, r)
	if err != nil || !finished {
		return err
	}
	r.Progress.Log.Info("judging", "pictures", c.Samples)
	if err := picture.JudgeCartoons(ctx, r, set, s.Generated, s.Gaussian, c.Seed); err != nil {
		return err
	}
	return s.Finish(ctx, r, "faces", picture.PictureTiles(set.Side), func(o latent.Other) error {
		return picture.JudgeBeside(ctx, r, o.Name, o.Title, o.Pictures, set.Test, set.Train, c.Seed)
	})
}
