package experiments

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/data/images"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/latent"
	"cmf/experiments/picture"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// CartoonConfig configures the experiment cartoon.
type CartoonConfig struct {
	config.Core
	picture.Model
	config.Generation
	latent.Config
	Side       int `default:"32" range:"8..64" desc:"height and width of a picture in pixels"`
	Components int `default:"256" range:"2..3072" desc:"principal directions in which the potential is a network; in all others it is a quadratic"`
	Pictures   int `default:"10000" range:"1000..100000" desc:"pictures to read, or to draw for the stand-in; a tenth is held out"`
	Samples    int `default:"1000" range:"64..10000" desc:"pictures to generate and to judge"`
}

// Adapt sets the defaults that suit the space and the network.
func (c *CartoonConfig) Adapt(env config.Environment) {
	if c.Space = latent.Chosen(env); c.Space == latent.Latents {
		c.inLatents(env)
		return
	}
	c.Core.Adapt(env)
}

// Validate checks the loss, and that there are enough pictures.
func (c *CartoonConfig) Validate() error {
	if most := min(3*c.Side*c.Side, c.Pictures) / 4; c.Space == latent.Pixels && c.Components > most {
		return fmt.Errorf("CMF_COMPONENTS=%d: allowed are 2 to %d, a quarter of the dimension 3·CMF_SIDE² and of CMF_PICTURES", c.Components, most)
	}
	if most := c.Pictures / 10; c.Samples > most {
		return fmt.Errorf("CMF_SAMPLES=%d: allowed are 64 to %d, the tenth of CMF_PICTURES that is held out", c.Samples, most)
	}
	return fit.CheckLoss(&c.Core, false)
}

// Cartoon learns faces in colour, in the latent space of an autoencoder, or in pixels. In
// pixels, in 32×32×3 = 3072 dimensions, it is CMFGen on the leading
// principal coordinates and the closed form of a Gaussian on the others. Both are
// parts of one potential w(x) = w₁(Vᵀ(x−m)) + ½(x−m)ᵀΣ₂^{-1/3}(x−m) on ℝ³⁰⁷².
var Cartoon = run.Definition[CartoonConfig]{
	Name: "cartoon",
	Presets: map[string]func(*CartoonConfig){
		"quick": func(c *CartoonConfig) {
			c.Steps, c.Hidden, c.Components, c.Pictures, c.Samples, c.Mixing = 1500, config.Widths{64}, 128, 4000, 400, 400
		},
		"default": func(c *CartoonConfig) {
			// Every hinge adds curvature along the leading directions. There the quadratic is
			// soon 0 and cannot take it back: with 1024 hinges faces vary too little.
			c.Steps, c.Batch, c.Hidden, c.LR, c.Conjugate = 1000, 128, config.Widths{64}, 1e-2, conjugate.ByLBFGS
			c.Alpha, c.Share, c.Mixing = .05, .95, 1000
		},
		"paper": func(c *CartoonConfig) {
			c.Steps, c.Batch, c.Components, c.Particles, c.Hidden, c.Langevin, c.LR = 20000, 256, 768, 2048, config.Widths{1024, 1024}, 10, 1e-3
		},
	},
	Do: doCartoon,
}

// fewestCartoons is the number of pictures below which a set is too small to learn.
const fewestCartoons = 1000

func doCartoon(ctx context.Context, r *run.Run, c *CartoonConfig) error {
	if err := c.Only(r, cartoonOfPixels...); err != nil {
		return err
	}
	if c.Space == latent.Latents {
		return doLatentCartoon(ctx, r, c)
	}
	set, err := loadCartoons(ctx, r, c)
	if err != nil {
		return err
	}
	u, err := newCartoonUnits(set, c)
	if err != nil {
		return err
	}
	r.Note("The potential is a network in %d principal directions, which hold %.1f %% of the variance, and a quadratic, the closed form for a Gaussian, in the other %d.",
		c.Components, 100*u.share, u.train.Cols-c.Components)
	law, err := exact.FitGaussian(u.leading, 0)
	if err != nil {
		return err
	}
	potential, err := c.Network(layers.Architecture{Dim: c.Components, Hidden: c.Hidden, Unit: c.Unit, Knots: c.Knots, Full: true}, layers.Architecture{})
	if err != nil {
		return err
	}
	model, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
		Potential:    potential,
		Start:        layers.Start{Law: law, Share: c.Share, Fixed: .1, Spread: 6, RootRate: .4, Directions: u.directions},
		Train:        u.leading,
		Units:        u.Principal,
		Form:         units.Form{Height: set.Side, Width: set.Side},
		Particles:    c.Particles,
		Langevin:     c.Langevin,
		Tolerance:    c.Tolerance,
		Decay:        .99,
		Precondition: true,
	})
	if err != nil || !model.Finished {
		return err
	}
	r.Progress.Log.Info("generating", "pictures", c.Samples)
	draw, err := model.Draw(ctx, c.Samples, c.Mixing, random.New(c.Seed, "generation", 0))
	if err != nil {
		return err
	}
	draw.Report(r)
	remainder := func() *random.Stream { return random.New(c.Seed, "remainder", 0) }
	ofNoise := 1. / 6
	if c.Source == config.SourceGaussian {
		ofNoise = 0
	}
	noise := u.Lift(draw.Gibbs, ofNoise, remainder())
	faces, err := u.Data(draw.Points, remainder())
	if err != nil {
		return err
	}
	gaussian, err := u.Pictures(u.gaussian(c.Samples, random.New(c.Seed, "Gaussian fit", 0)))
	if err != nil {
		return err
	}
	if err := picture.JudgeCartoons(ctx, r, set, faces, gaussian, c.Seed); err != nil {
		return err
	}
	if err := r.SaveSamples(faces); err != nil {
		return err
	}
	if err := picture.DrawCartoons(r, set, noise, faces, gaussian); err != nil || c.Source == config.SourceGaussian {
		return err
	}
	return picture.NoiseStudy{Gibbs: noise, Data: u.train, Pixels: u.Pictures, Tiles: picture.PictureTiles(set.Side), Seed: c.Seed}.Report(ctx, r)
}

// loadCartoons reads the Cartoon Set or draws the stand-in, and notes which.
func loadCartoons(ctx context.Context, r *run.Run, c *CartoonConfig) (*images.Pictures, error) {
	set, err := images.Cartoons(ctx, images.CartoonOptions{
		Dir: c.DataDir, Side: c.Side, Limit: c.Pictures, Offline: c.Preset == "quick", Log: r.Progress.Log,
	})
	switch {
	case errors.Is(err, images.ErrNoCartoons) && picture.HoldsFiles(r, c.DataDir, "cartoon"):
		return nil, fmt.Errorf("CMF_DATA_DIR=%s: its folder cartoon holds files, but not the Cartoon Set (%w); complete it, or name a folder without it for faces drawn by the program", c.DataDir, err)
	case errors.Is(err, images.ErrNoCartoons):
		r.Note("The Cartoon Set is not available: this run uses the built-in stand-in, faces drawn by the program. Its numbers are not those of the Cartoon Set. (%v)", err)
	case err != nil:
		return nil, fmt.Errorf("CMF_DATA_DIR=%s: %w", c.DataDir, err)
	case set.Train.Rows+set.Test.Rows < fewestCartoons || set.Test.Rows < c.Samples:
		r.Note("The folder of the Cartoon Set holds only %d pictures, but %d are needed: this run uses the built-in stand-in, faces drawn by the program. Its numbers are not those of the Cartoon Set.",
			set.Train.Rows+set.Test.Rows, max(fewestCartoons, 10*c.Samples))
		set = nil
	}
	if set == nil {
		set = images.Faces(c.Seed, c.Side, c.Pictures-c.Pictures/10, c.Pictures/10)
	}
	r.Report.Data = fmt.Sprintf("%s, %d×%d×3, %d pictures to train on, %d held out", set.Name, set.Side, set.Side, set.Train.Rows, set.Test.Rows)
	r.Progress.Log.Info("data", "set", r.Report.Data)
	return set, nil
}

// cartoonUnits are pictures in a model's units: logits relative to their mean, in principal
// coordinates.
type cartoonUnits struct {
	*units.Principal
	side    int            // of a picture
	train   blas32.General // logits minus their mean, (n, d)
	leading blas32.General // principal coordinates of train that the network learns, (n, k)
	share   float64        // share of the variance in the leading coordinates
}

func newCartoonUnits(set *images.Pictures, c *CartoonConfig) (*cartoonUnits, error) {
	u := &cartoonUnits{side: set.Side, train: batch.New(set.Train.Rows, set.Train.Cols)}
	if err := (units.Logit{Alpha: c.Alpha}).Forward(u.train, set.Train, random.New(c.Seed, "dequantisation", 0)); err != nil {
		return nil, err
	}
	var err error
	// Equally many further directions keep their own variance in the closed form.
	if u.Principal, err = units.NewPrincipal(u.train, 2*c.Components, random.New(c.Seed, "principal directions", 0)); err != nil {
		return nil, err
	}
	u.Alpha, u.Learned = c.Alpha, c.Components
	u.train = batch.Shifted(u.train, u.Mean)
	u.leading = u.Coordinates(u.train, c.Components)
	total := batch.TotalVariance(u.train, make([]float64, u.train.Cols))
	for _, v := range u.Values[:c.Components] {
		u.share += v / total
	}
	return u, nil
}

// gaussian draws from the Gaussian fit of all d centred logits: random normal combinations
// of the training pictures have exactly their covariance.
func (u *cartoonUnits) gaussian(n int, rng *random.Stream) blas32.General {
	m := u.train.Rows
	weights, out := batch.New(n, m), batch.New(n, u.train.Cols)
	rng.Normals(weights.Data)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, float32(1/math.Sqrt(float64(m-1))), weights, u.train, 0, out)
	return out
}

// directions gives hinges the directions of principal components, coloured patches and
// differences of two pictures, and random ones.
func (u *cartoonUnits) directions(b blas32.General, _ int, rng *random.Stream) {
	k, area := u.leading.Cols, u.side*u.side
	v, patches := make([]float32, k), batch.New(1, 3*area)
	v64 := make([]float64, area)
	basis := u.Vectors
	basis.Cols = k
	for h := range b.Cols {
		clear(v)
		switch h % 5 {
		case 0:
			v[rng.IntN(k)] = 1
		case 1, 2:
			clear(v64)
			picture.Patch(v64, u.side, rng)
			for c := range 3 {
				tone := float32(rng.NormFloat64())
				for j, x := range v64 {
					patches.Data[c*area+j] = tone * float32(x)
				}
			}
			blas32.Gemv(blas.Trans, 1, basis, blas32.Vector{N: 3 * area, Inc: 1, Data: patches.Data}, 0, blas32.Vector{N: k, Inc: 1, Data: v})
		case 3:
			p, q := batch.Row(u.leading, rng.IntN(u.leading.Rows)), batch.Row(u.leading, rng.IntN(u.leading.Rows))
			for j := range v {
				v[j] = p[j] - q[j]
			}
		default:
			rng.Normals(v)
		}
		norm := blas32.Nrm2(blas32.Vector{N: k, Inc: 1, Data: v})
		for j, x := range v {
			b.Data[j*b.Stride+h] = x / max(norm, 1e-6)
		}
	}
}
