package inpaint

import (
	"context"
	"fmt"
	"slices"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/latent"
	"cmf/experiments/picture"
	"cmf/experiments/ranks"
	"cmf/experiments/run"
	"cmf/layers/autoencoder"
	"cmf/solvers/conjugate"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// inpaintOfPixels are variables that do nothing in a latent space.
var inpaintOfPixels = []string{"CMF_ALPHA", "CMF_KNOTS", "CMF_TOLERANCE", "CMF_SHARE", "CMF_NOISE", "CMF_FILTERS", "CMF_CARRY", "CMF_DEVIATION", "CMF_CLAMPED"}

// leastTrajectories leaves four states after a warm-up of two thirds.
const leastTrajectories = 10

// inLatents sets the defaults that suit a latent space.
func (c *Config) inLatents(env config.Environment) {
	latent.Adapt(&c.Core, env)
	c.Latents, c.Pieces, c.Steps, c.Particles, c.Langevin, c.Carry = 24, 100, 300, 8192, 4, 0
	c.Conjugate, c.Trajectories, c.Leaps = conjugate.ByBarzilaiBorwein, 18, 6
	switch env["CMF_PRESET"] {
	case "quick":
		c.Pieces, c.Steps, c.Passes, c.Particles, c.Trajectories = 50, 150, 3, 2048, 12
	case "paper":
		c.Steps, c.Passes, c.Trajectories = 20000, 40, 60
	}
}

// doLatentInpaint completes digits by a model in a latent space.
func doLatentInpaint(ctx context.Context, r *run.Run, c *Config) error {
	set, err := c.Load(ctx, r, &c.Core, max(2000, c.Digits))
	if err != nil {
		return err
	}
	var model *fit.Model
	origin := fmt.Sprintf("the potential of %s", c.Checkpoint)
	if c.Checkpoint != "" {
		if model, err = fit.OpenModel(r, c.Checkpoint); err != nil {
			return err
		}
	} else {
		s := &latent.Study{
			Core: &c.Core, Config: &c.Config, Bank: config.Bank{Particles: c.Particles, Langevin: c.Langevin},
			Set: latent.Set{Name: set.Name, Train: set.Train, Height: picture.Side, Width: picture.Side, Channels: 1, Loss: autoencoder.Bernoulli},
		}
		finished, err := s.Fit(ctx, r)
		if err != nil || !finished {
			return err
		}
		model, origin = s.Model, fmt.Sprintf("a potential of latents trained for %d steps in this run", s.Model.State.Step)
	}
	p, err := NewLatentPrior(ctx, model)
	if err != nil {
		return fmt.Errorf("CMF_CHECKPOINT=%s: %w", c.Checkpoint, err)
	}
	r.Report.Notes = append(r.Report.Notes, "Holes are filled by "+origin+".",
		"PSNR pools the squared error of all hidden pixels of all digits, with values in [0, 1]; SSIM is the mean over hidden pixels. psnr, ssim and accuracy are for the mean completion, over the states of a digit's chains; psnr_draw, ssim_draw and accuracy_draw are for single draws. The baseline is the Gaussian conditional mean, fitted in pixels.",
		"Chains sample the noise given the observed pixels, through the decoder. They do not move between different digits: each starts at a particle of the bank that is drawn by how well it explains what is seen.")
	judge, err := NewJudge(set, c.Digits, "posterior")
	if err != nil {
		return err
	}
	options := Options{Draws: c.Draws, Trajectories: c.Trajectories, Leaps: c.Leaps}
	kept := blas32.General{Cols: picture.Pixels, Stride: picture.Pixels}
	for _, name := range c.Holes {
		h := NewHole(name, c.Seed)
		r.Progress.Log.Info("filling", "hole", name, "digits", c.Digits, "draws", c.Draws)
		shown, err := judge.References(ctx, r, nil, h, blas32.General{})
		if err != nil {
			return err
		}
		f, err := shared(ranks.New(r.World), judge.Truth, random.New(c.Seed, "inpainting in latents", uint64(slices.Index(HoleNames, name))), func(own blas32.General, rng *random.Stream) (Fills, error) {
			return ByLatentPosterior(ctx, p, h, own, options, rng)
		})
		if err != nil {
			return fmt.Errorf("filling the hole %s: %w", name, err)
		}
		mean := KeepObserved(f.Mean(c.Digits), judge.Truth, h)
		draws := KeepObserved(f.Draws, judge.Truth, h)
		if err := judge.Measure(r, h, "posterior", mean, draws, f); err != nil {
			return err
		}
		shown.Add("posterior: mean", mean, 1)
		shown.Add("draws", draws, c.Draws)
		kept.Rows, kept.Data = kept.Rows+draws.Rows, append(kept.Data, draws.Data...)
		file := "inpaint_" + name + ".png"
		if err := figure.DrawTiles(r.Path(file), shown.Grids...); err != nil {
			return err
		}
		r.AddFigure(file, "Hole "+name+": held-out digits; their observed pixels; completions by the reference methods; mean and single draws of the posterior in the latent space.")
		judge.Headline(r, h)
	}
	r.Page.Summary = "Digits completed by " + origin + "."
	return r.SaveSamples(kept)
}
