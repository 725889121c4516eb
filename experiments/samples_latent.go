package experiments

import (
	"context"
	"fmt"
	"math"
	"path/filepath"

	"cmf/data/units"
	"cmf/experiments/latent"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/layers/autoencoder"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// samplesOfPixels are variables that do nothing in a latent space.
var samplesOfPixels = []string{"CMF_ALPHA", "CMF_NOISE", "CMF_SPREAD"}

// The sizes of pictures that a latent space is made for.
const (
	smallestSide = 4
	largestSide  = 128
)

// doLatentSamples learns a folder of pictures in a latent space.
func doLatentSamples(ctx context.Context, r *run.Run, c *SamplesConfig, x blas32.General, form units.Form) error {
	const least = 200
	switch {
	case x.Rows < least:
		return fmt.Errorf("CMF_DATA_FILE=%s: it has %d pictures; needed are at least %d", c.DataFile, x.Rows, least)
	case min(form.Height, form.Width) < smallestSide || max(form.Height, form.Width) > largestSide:
		return fmt.Errorf("CMF_DATA_FILE=%s: its pictures have %d×%d pixels; a latent space takes sides of %d to %d (CMF_SPACE=pixels takes others)", c.DataFile, form.Width, form.Height, smallestSide, largestSide)
	}
	if err := c.suitLatents(r); err != nil {
		return err
	}
	order := random.New(c.Seed, "held out", 0).Perm(x.Rows)
	count := max(32, int(math.Round(c.Holdout*float64(x.Rows))))
	held, train := batch.Gathered(x, order[:count]), batch.Gathered(x, order[count:])
	name := filepath.Base(c.DataFile)
	r.Report.Data = fmt.Sprintf("%s, %d pictures of %d×%d pixels to learn from, %d held out", name, train.Rows, form.Width, form.Height, held.Rows)
	r.Progress.Log.Info("data", "set", r.Report.Data)
	n := min(held.Rows, 2048, train.Rows)
	s := &latent.Study{
		Core: &c.Core, Config: &c.Config, Bank: c.Bank, Mixing: c.Mixing, Count: max(c.Count, n),
		Set:  latent.Set{Name: name, Train: train, Height: form.Height, Width: form.Width, Channels: x.Cols / (form.Height * form.Width), Loss: autoencoder.Gaussian},
		Held: batch.Rows(held, 0, n),
	}
	if err := r.LimitSteps(&c.Core, train.Rows, 200, 200); err != nil {
		return err
	}
	finished, err := s.Learn(ctx, r)
	if err != nil || !finished {
		return err
	}
	r.Progress.Log.Info("judging", "held-out pictures", n)
	judge := func(x blas32.General, into report.Numbers) error {
		numbers, err := metric.Compare(ctx, batch.Rows(x, 0, n), s.Held)
		for name, v := range numbers {
			into[name] = v
		}
		return err
	}
	for _, m := range []struct {
		x    blas32.General
		into report.Numbers
	}{{s.Generated, r.Report.Metrics}, {s.Gaussian, r.Report.Baseline}, {train, r.Report.Floor}} {
		if err := judge(m.x, m.into); err != nil {
			return err
		}
	}
	r.Page.Headline = []report.Headline{
		{Metric: "energy_distance", Label: "Energy distance", Goal: report.Lower},
		{Metric: "sliced_w2", Label: "Sliced W2", Goal: report.Lower},
		{Metric: "w2", Label: fmt.Sprintf("W2, exact, between %d pictures", n), Goal: report.Lower},
		{Metric: "nn_accuracy", Label: "1-NN two-sample accuracy", Goal: report.Nearer, Target: .5},
	}
	r.Report.Notes = append(r.Report.Notes, "The baseline is a Gaussian fitted to the latents of the training pictures. All distances are between pixels.")
	s.Generated = batch.Rows(s.Generated, 0, c.Count)
	return s.Finish(ctx, r, "pictures", tilesOf(form), func(o latent.Other) error {
		column := report.Column{Name: o.Name, Title: o.Title, Metrics: report.Numbers{}}
		err := judge(o.Pictures, column.Metrics)
		r.Report.Beside = append(r.Report.Beside, column)
		return err
	})
}

// suitLatents sets what the user has not set to what suits a latent space.
func (c *SamplesConfig) suitLatents(r *run.Run) error {
	if err := run.Suit(r, "CMF_POTENTIAL", &c.Potential, layers.NetworkQuadratics); err != nil {
		return err
	}
	if c.Potential == layers.NetworkQuadratics {
		if err := run.Suit(r, "CMF_LR", &c.LR, .01); err != nil {
			return err
		}
	}
	if c.Preset == "default" {
		if err := run.Suit(r, "CMF_STEPS", &c.Steps, 600); err != nil {
			return err
		}
	}
	if c.Hidden == nil {
		c.Hidden = []int{128, 128}
		return r.Resolve("CMF_HIDDEN", c.Hidden)
	}
	return nil
}
