package inpaint

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/latent"
	"cmf/experiments/picture"
	"cmf/experiments/ranks"
	"cmf/experiments/run"
	"cmf/solvers/conjugate"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Config configures the experiment inpaint.
type Config struct {
	config.Core
	picture.DigitModel
	latent.Config
	Checkpoint   string    `file:"a checkpoint.safetensors that a run left" desc:"checkpoint of a run of mnist, whose potential fills the holes; if empty, a potential is trained first"`
	Digits       int       `default:"200" range:"2..2000" desc:"held-out digits to complete"`
	Draws        int       `default:"6" range:"2..1000" desc:"completions of each digit drawn by each method"`
	Holes        holeNames `default:"half,centre,random,scribble" desc:"which parts are hidden: half, centre, random, scribble"`
	Trajectories int       `default:"24" range:"6..100000" desc:"trajectories of method A, posterior sampling of the noise; a third are warm-up"`
	Leaps        int       `default:"8" range:"1..1000" desc:"gradients of a trajectory; 1 for Langevin steps"`
	Deviation    float64   `default:"1" range:"0.001..1000" desc:"standard deviation, in the model's units, of the error that method A gives observed pixels"`
	Clamped      int       `default:"60" range:"6..100000" desc:"steps of method B, from picture to noise and back; a third are warm-up"`
}

// Fixed are variables of groups that do nothing here.
func (c *Config) Fixed() []string { return []string{"CMF_BESIDE"} }

// Adapt sets the defaults that suit the space and the network.
func (c *Config) Adapt(env config.Environment) {
	if c.Space = latent.Chosen(env); c.Space == latent.Latents {
		c.inLatents(env)
		return
	}
	c.Core.Adapt(env)
}

// Validate checks that the loss suits the noise, that at most one checkpoint is named, and that
// there are trajectories enough for R̂.
func (c *Config) Validate() error {
	if c.Checkpoint != "" && c.Resume != "" {
		return fmt.Errorf("CMF_RESUME=%s: with CMF_CHECKPOINT nothing is trained; set only one of the two", c.Resume)
	}
	if c.Space == latent.Latents && c.Trajectories < leastTrajectories {
		return fmt.Errorf("CMF_TRAJECTORIES=%d: in a latent space two thirds of them are warm-up, and four must be left; allowed are %d and more", c.Trajectories, leastTrajectories)
	}
	return c.CheckNoise(&c.Core)
}

// holeNames is a list of holes, written half,centre.
type holeNames []string

// Decode reads names, for envconfig.
func (h *holeNames) Decode(list string) error {
	*h = nil
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(HoleNames, name) {
			return fmt.Errorf("there is no hole %q; allowed are %s", name, strings.Join(HoleNames, ", "))
		}
		*h = append(*h, name)
	}
	return nil
}

// String writes names as Decode reads them.
func (h holeNames) String() string { return strings.Join(h, ",") }

// Inpaint completes digits with a hidden part, by methods that sample what the potential
// allows there, one in a latent space and two in pixels, and compares them with the Gaussian conditional mean.
var Inpaint = run.Definition[Config]{
	Name: "inpaint",
	Presets: map[string]func(*Config){
		"quick": func(c *Config) {
			c.Steps, c.Hidden, c.Train, c.Digits, c.Draws, c.Trajectories, c.Leaps, c.Clamped = 300, config.Widths{512}, 20000, 24, 4, 8, 6, 24
		},
		"default": func(c *Config) {
			c.Steps, c.Batch, c.Hidden, c.LR, c.Conjugate = 1000, 128, config.Widths{1024}, 5e-3, conjugate.ByLBFGS
			// A potential that bends less along single pixels completes digits better.
			c.Knots, c.Noise, c.Share = 4, .5, .8
		},
		"paper": func(c *Config) {
			c.Steps, c.Batch, c.Particles, c.Hidden, c.Langevin, c.LR = 20000, 256, 2048, config.Widths{1024, 1024}, 10, 1e-3
			c.Digits, c.Draws, c.Trajectories, c.Clamped = 1000, 8, 40, 200
		},
	},
	Do: doInpaint,
}

func doInpaint(ctx context.Context, r *run.Run, c *Config) error {
	if err := c.Only(r, inpaintOfPixels...); err != nil {
		return err
	}
	if c.Space == latent.Latents {
		return doLatentInpaint(ctx, r, c)
	}
	p, origin, err := openPrior(ctx, r, c)
	if err != nil || p == nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, "Holes are filled by "+origin+".",
		"PSNR pools the squared error of all hidden pixels of all digits, with values in [0, 1]; SSIM is the mean over hidden pixels. psnr, ssim and accuracy are for the mean completion, over the states of a digit's chains; psnr_draw, ssim_draw and accuracy_draw are for single draws. The baseline is the Gaussian conditional mean, fitted in pixels or in the model's units, whichever has the higher PSNR.",
		"Method A samples the model's own posterior. Method B is exact only for Gaussians: where ∇²w varies much, its draws drift from that posterior with the steps, most of all if single pixels are hidden between observed ones.")
	judge, err := NewJudge(p.Digits.Set, c.Digits, "posterior", "clamped")
	if err != nil {
		return err
	}
	observed, err := p.Digits.Units.Learning(judge.Truth)
	if err != nil {
		return err
	}
	options := Options{Draws: c.Draws, Noise: c.Noise, Trajectories: c.Trajectories, Leaps: c.Leaps, Deviation: c.Deviation, Clamped: c.Clamped}
	kept := blas32.General{Cols: picture.Pixels, Stride: picture.Pixels}
	for _, name := range c.Holes {
		h := NewHole(name, c.Seed)
		r.Progress.Log.Info("filling", "hole", name, "digits", c.Digits, "draws", c.Draws)
		shown, err := judge.References(ctx, r, p, h, observed)
		if err != nil {
			return err
		}
		for _, m := range []struct {
			name, label string
			fill        Method
		}{
			{"posterior", "posterior (A)", ByPosterior},
			{"clamped", "clamped (B)", ByClamping},
		} {
			f, err := shared(ranks.New(r.World), observed, random.New(c.Seed, "inpainting by "+m.name, uint64(slices.Index(HoleNames, name))), func(own blas32.General, rng *random.Stream) (Fills, error) {
				return m.fill(ctx, p, h, own, options, rng)
			})
			if err != nil {
				return fmt.Errorf("filling the hole %s by the method %s: %w", name, m.name, err)
			}
			mean := KeepObserved(f.Mean(c.Digits), judge.Truth, h)
			draws := KeepObserved(f.Draws, judge.Truth, h)
			if err := judge.Measure(r, h, m.name, mean, draws, f); err != nil {
				return err
			}
			shown.Add(m.label+": mean", mean, 1)
			shown.Add("draws", draws, c.Draws)
			if m.name == "posterior" {
				kept.Rows, kept.Data = kept.Rows+draws.Rows, append(kept.Data, draws.Data...)
			}
		}
		file := "inpaint_" + name + ".png"
		if err := figure.DrawTiles(r.Path(file), shown.Grids...); err != nil {
			return err
		}
		r.AddFigure(file, "Hole "+name+": held-out digits; their observed pixels; completions by the reference methods; mean and single draws of methods A and B.")
		judge.Headline(r, h)
	}
	r.Page.Summary = "Digits completed by " + origin + "."
	return r.SaveSamples(kept)
}
