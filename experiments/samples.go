package experiments

import (
	"context"
	"fmt"
	"os"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/latent"
	"cmf/experiments/run"
	"cmf/experiments/table"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// TableConfig configures how a table is read and learned.
type TableConfig = table.Config

// SamplesConfig configures the experiment samples.
type SamplesConfig struct {
	config.Core
	config.Bank
	config.Generation
	config.Logit
	config.Export
	latent.Config
	TableConfig
	DataFile string  `split_words:"true" needed:"a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather) or a folder of PNG pictures" desc:"points to learn: a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather) of n rows and d columns, or a folder of PNG pictures of one size"`
	Holdout  float64 `default:"0.2" range:"0.05..0.5" desc:"share of the rows that is held out for judging"`
	Scale    string  `default:"each" oneof:"each,common" desc:"units of learning: each (every column divided by its own standard deviation) or common (all divided by the same, as for coordinates in space)"`
	Count    int     `default:"10000" range:"1..10000000" desc:"points to generate"`
	Spread   float64 `default:"0" range:"0|1..100" desc:"sharpness of the first hinges: standard deviation of each pre-activation over the data; 0 for a value that depends on the dimension"`
	Noise    float64 `default:"0.5" range:"0.05..5" desc:"standard deviation of the normal noise added to pixels in these units"`
}

// Adapt sets the defaults that suit the network, and the space of a run that goes on.
func (c *SamplesConfig) Adapt(env config.Environment) {
	c.Core.Adapt(env)
	c.Space = latent.Chosen(env)
}

// Validate checks the loss.
func (c *SamplesConfig) Validate() error {
	if err := c.CheckGiven(&c.Core); err != nil {
		return err
	}
	return fit.CheckLoss(&c.Core, false)
}

// Samples learns the law of a file's points by CMFGen. It judges the model by held-out rows,
// compared with a Gaussian fit and the floor, and writes more points and the densities of the
// held-out rows in the units of the file.
var Samples = run.Definition[SamplesConfig]{
	Name: "samples",
	Presets: map[string]func(*SamplesConfig){
		"quick": func(c *SamplesConfig) { c.Steps, c.Count, c.Mixing = 300, 2000, 100 },
		"default": func(c *SamplesConfig) {
			c.Steps, c.Batch, c.LR, c.Langevin = 2000, 256, 3e-2, 4
			c.Hidden = nil // chosen by dimension
		},
		"paper": func(c *SamplesConfig) { c.Steps, c.Batch = 20000, 1024 },
	},
	Do: doSamples,
}

func doSamples(ctx context.Context, r *run.Run, c *SamplesConfig) error {
	info, err := os.Stat(c.DataFile)
	switch {
	case err != nil:
		err = fmt.Errorf("CMF_DATA_FILE=%s: %w", c.DataFile, err)
	case info.IsDir():
		err = doPictures(ctx, r, c)
	default:
		err = doTable(ctx, r, c)
	}
	return err
}

// doPictures learns a folder of pictures.
func doPictures(ctx context.Context, r *run.Run, c *SamplesConfig) error {
	for _, name := range samplesOfTables {
		if r.Given(name) {
			return fmt.Errorf("%s: CMF_DATA_FILE=%s is a folder of pictures; that variable is for tables", name, c.DataFile)
		}
	}
	x, form, _, err := table.Read(c.DataFile)
	if err != nil {
		return fmt.Errorf("CMF_DATA_FILE=%s: %w", c.DataFile, err)
	}
	if err := c.Only(r, samplesOfPixels...); err != nil {
		return err
	}
	if c.Space == latent.Latents {
		return doLatentSamples(ctx, r, c, x, form)
	}
	s, err := c.loadSet(x, form)
	if err != nil {
		return fmt.Errorf("CMF_DATA_FILE=%s: %w", c.DataFile, err)
	}
	s.describe(r, c)
	if err := c.limitSteps(r, s.train.Rows); err != nil {
		return err
	}
	problem, err := c.problem(r, s)
	if err != nil {
		return err
	}
	model, err := fit.Fit(ctx, r, &c.Core, problem)
	if err != nil || !model.Finished {
		return err
	}
	n := min(s.held.Rows, 2048, s.train.Rows)
	r.Progress.Log.Info("generating", "points", max(c.Count, n))
	draw, err := model.Draw(ctx, max(c.Count, n), c.Mixing, random.New(c.Seed, "generation", 0))
	if err != nil {
		return err
	}
	draw.Report(r)
	if err := r.SavePoints("samples", s.units, s.form, batch.Rows(draw.Points, 0, c.Count)); err != nil {
		return err
	}
	gaussian := s.law.Sample(n, random.New(c.Seed, "Gaussian fit", 0))
	r.Progress.Log.Info("judging", "held-out rows", n)
	if err := s.judge(ctx, r, batch.Rows(draw.Points, 0, n), gaussian); err != nil {
		return err
	}
	if err := s.judgeDensity(ctx, r, model, c.Seed); err != nil {
		return err
	}
	return s.draw(r, draw, gaussian)
}

// limitSteps ends the default run on few rows after a number of passes over them, because
// held-out rows become less likely with more.
func (c *SamplesConfig) limitSteps(r *run.Run, rows int) error {
	const passes, least = 200, 200
	return r.LimitSteps(&c.Core, rows, passes, least)
}

// describe says what was read and in which units it is learned.
func (s *pointSet) describe(r *run.Run, c *SamplesConfig) {
	r.Report.Data = fmt.Sprintf("%s, %d rows to learn from, %d held out, d = %d", s.name, s.train.Rows, s.held.Rows, s.train.Cols)
	r.Progress.Log.Info("data", "set", r.Report.Data)
	r.Page.Summary = fmt.Sprintf("CMFGen on %s: one convex potential gives the noise, the map to the data and their density.", s.name)
	r.Note("Pictures of %d×%d pixels are learned as logits of dequantised pixels, with normal noise of standard deviation %g (CMF_NOISE). Distances are between pixels; densities are those of dequantised pixels in [0, 1] under the law with the noise.", s.form.Width, s.form.Height, c.Noise)
}

// problem is the problem for Fit: a network for pixels.
func (c *SamplesConfig) problem(r *run.Run, s *pointSet) (fit.Problem, error) {
	d := s.train.Cols
	shape := layers.Architecture{Dim: d, Hidden: c.Hidden, Unit: c.Unit, Full: d > 1, Knots: 4}
	start := layers.Start{Law: s.law, Share: .8, Fixed: .1, Spread: 6, Directions: differences(s.train), RootRate: .05}
	if shape.Hidden == nil {
		hidden := config.Widths{min(1024, 2*d)}
		shape.Hidden = hidden
		if err := r.Resolve("CMF_HIDDEN", hidden); err != nil {
			return fit.Problem{}, err
		}
	}
	if c.Spread > 0 {
		start.Spread = c.Spread
	}
	w, err := c.Network(shape, layers.Architecture{})
	if err != nil {
		return fit.Problem{}, err
	}
	return fit.Problem{
		Potential:    w,
		Start:        start,
		Train:        s.train,
		Units:        s.units,
		Form:         s.form,
		Particles:    c.Particles,
		Langevin:     c.Langevin,
		Tolerance:    1e-2,
		Decay:        1 - 15/float64(max(c.Steps, 150)),
		Precondition: true,
	}, nil
}

// differences gives hinges the directions of single coordinates and of differences of two
// points of the data, and random ones.
func differences(x blas32.General) func(b blas32.General, layer int, rng *random.Stream) {
	return func(b blas32.General, _ int, rng *random.Stream) {
		v := make([]float32, x.Cols)
		for h := range b.Cols {
			switch h % 3 {
			case 0:
				clear(v)
				v[rng.IntN(len(v))] = 1
			case 1:
				p, q := batch.Row(x, rng.IntN(x.Rows)), batch.Row(x, rng.IntN(x.Rows))
				for j := range v {
					v[j] = p[j] - q[j]
				}
			default:
				rng.Normals(v)
			}
			norm := max(blas32.Nrm2(blas32.Vector{N: len(v), Inc: 1, Data: v}), 1e-6)
			for j, x := range v {
				b.Data[j*b.Stride+h] = x / norm
			}
		}
	}
}
