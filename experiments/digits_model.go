package experiments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"cmf/data"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

const side = 28

// DigitModel configures how a potential is learned from digits.
type DigitModel struct {
	Alpha     float64 `default:"0.005" desc:"pixels p are learned as logit(α + (1−2α)p); from 0.001 to 0.4"`
	Noise     float64 `default:"0.65" desc:"deviation of normal noise added in those units, which smooths the law of saturated pixels; from 0 to 5"`
	Knots     int     `default:"12" desc:"hinges on every single pixel, besides those of CMF_HIDDEN; from 0 to 64"`
	Filters   Widths  `desc:"filters of convolutional layers below those of CMF_HIDDEN, over 5×5 pixels, then over 3×3 of the layer below, at stride 2; empty for none"`
	Particles int     `default:"512" desc:"particles in the bank; rounded up to a multiple of CMF_BATCH"`
	Langevin  int     `default:"3" desc:"Langevin steps of a batch of particles in each iteration"`
	Tolerance float64 `default:"0.01" desc:"relative residual of the conjugates while training"`
	Carry     float64 `default:"0.25" desc:"power s of the digits' covariance Σ by which the noise is carried: digits are ∇w*(Σˢz), z of the Gibbs factor; from 0, the plain method, to 0.5"`
	Share     float64 `default:"0.75" desc:"share of the curvature that the quadratic has at first, in (0, 1]"`
	Train     int     `default:"0" desc:"digits to train on; 0 for all"`
}

// Validate checks the model's variables.
func (c *DigitModel) Validate() error {
	if _, err := c.architecture(nil).Widths(); err != nil {
		return fmt.Errorf("CMF_FILTERS=%v: %w", c.Filters, err)
	}
	return allowed(
		rule{c.Alpha >= .001 && c.Alpha <= .4, "ALPHA", c.Alpha, "allowed are numbers from 0.001 to 0.4"},
		rule{c.Noise >= 0 && c.Noise <= 5, "NOISE", c.Noise, "allowed are numbers from 0 to 5"},
		rule{c.Knots >= 0 && c.Knots <= 64, "KNOTS", c.Knots, "allowed are 0 to 64"},
		rule{c.Particles >= 1 && c.Particles <= 100000, "PARTICLES", c.Particles, "allowed are 1 to 100000"},
		rule{c.Langevin >= 1 && c.Langevin <= 10000, "LANGEVIN", c.Langevin, "allowed are 1 to 10000 steps"},
		rule{c.Tolerance > 0 && c.Tolerance < 1, "TOLERANCE", c.Tolerance, "allowed are numbers between 0 and 1"},
		rule{c.Carry >= 0 && c.Carry <= .5, "CARRY", c.Carry, "allowed are numbers from 0 to 0.5"},
		rule{c.Share > 0 && c.Share <= 1, "SHARE", c.Share, "allowed are numbers above 0, up to 1"},
		rule{c.Train == 0 || c.Train >= 1000 && c.Train <= 1000000, "TRAIN", c.Train, "allowed are 0 (all digits) and 1000 to 1000000"},
	)
}

// checkNoise reads CMF_LOSS, whose terms of likelihood are of noise that nothing
// carries.
func (c *DigitModel) checkNoise(core *Core) error {
	sum, err := parseLoss(core.Loss, false)
	if err != nil {
		return err
	}
	for _, t := range sum {
		switch name := t.Term.Name(); t.Term.(type) {
		case losses.Likelihood, losses.LikelihoodCG:
			if core.Source == "gaussian" {
				return fmt.Errorf("CMF_LOSS=%s: the term %s is of the Gibbs factor; with it CMF_SOURCE must be gibbs", core.Loss, name)
			}
			if c.Carry != 0 {
				return fmt.Errorf("CMF_LOSS=%s: the term %s is of noise that nothing carries; with it CMF_CARRY must be 0", core.Loss, name)
			}
		}
	}
	return nil
}

// digitData is a set of digits in the units of a model.
type digitData struct {
	set      *data.Images
	units    *Units          // logits about the mean of those to train on
	train    blas32.General  // with smoothing noise, (n, 784)
	baseline *exact.Gaussian // fitted before noise was added
	law      *exact.Gaussian // that of train
}

// open reads the digits, in the units of a model at hand, or else in their own; the
// stand-in has at least so many held out.
func (c *DigitModel) open(ctx context.Context, r *Run, core *Core, heldOut int, u *Units) (*digitData, error) {
	set, err := loadDigits(ctx, r, core, c.Train, heldOut)
	if err != nil {
		return nil, err
	}
	d := &digitData{set: set, units: u}
	if u == nil {
		d.units = &Units{Alpha: c.Alpha, Height: side, Width: side}
	}
	if d.train, err = d.dequantised(set.Train, random.New(core.Seed, "dequantisation", 0)); err != nil {
		return nil, err
	}
	if u == nil {
		// The origin is a choice, for shifts of ρ are not shifts of w.
		d.units.Center = batch.Means(d.train)
		d.train = batch.Shifted(d.train, d.units.Center)
	}
	if d.baseline, err = exact.FitGaussian(d.train, 1e-4); err != nil {
		return nil, err
	}
	d.law, err = smooth(d.train, d.baseline, c.Noise, core.Seed)
	return d, err
}

// dequantised are pictures in the model's units, their grey levels spread.
func (d *digitData) dequantised(pictures blas32.General, rng *random.Stream) (blas32.General, error) {
	x := batch.New(pictures.Rows, pictures.Cols)
	if err := (data.Logit{Alpha: d.units.Alpha}).Forward(x, pictures, rng.Rand); err != nil {
		return x, err
	}
	return d.units.centred(x)
}

// pixels takes points from the model's units to pixels in [0, 1].
func (d *digitData) pixels(x blas32.General) (blas32.General, error) { return d.units.Data(x) }

// network is the potential, before training.
func (c *DigitModel) network(hidden Widths) (*layers.ICNN, error) {
	a := c.architecture(hidden)
	widths, err := a.Widths()
	if err != nil {
		return nil, err
	}
	if err := Widths(widths).check(1); err != nil {
		return nil, fmt.Errorf("CMF_FILTERS=%v: %w", c.Filters, err)
	}
	return layers.NewICNN(a)
}

func (c *DigitModel) architecture(hidden Widths) layers.Architecture {
	a := layers.Architecture{Dim: pixels, Hidden: hidden, Picture: [3]int{side, side, 1}, Knots: c.Knots, Full: true}
	for l, filters := range c.Filters {
		size := 5
		if l > 0 {
			size = 3
		}
		a.Convolutions = append(a.Convolutions, layers.Convolution{Filters: filters, Size: size, Stride: 2})
	}
	return a
}

// problem is what Fit learns.
func (c *DigitModel) problem(core *Core, d *digitData) (Problem, error) {
	potential, err := c.network(core.Hidden)
	if err != nil {
		return Problem{}, err
	}
	potential.Root.Rate = .05 // a coherent step of all its d² entries is d times as long as that of one
	p := Problem{
		Potential:    potential,
		Start:        layers.Start{Law: startLaw(core.Init, d.law), Carry: c.Carry, Share: c.Share, Fixed: .1, Spread: 6, Directions: strokes(d.train)},
		Train:        d.train,
		Units:        d.units,
		Particles:    c.Particles,
		Langevin:     c.Langevin,
		Tolerance:    c.Tolerance,
		Decay:        1 - 10/float64(max(core.Steps, 1000)), // over the last tenth of the run
		Precondition: true,
	}
	if c.Carry != 0 {
		p.Carry = d.law.Power(c.Carry)
	}
	return p, nil
}

// loadDigits finds MNIST or draws the stand-in, and says which.
func loadDigits(ctx context.Context, r *Run, c *Core, train, heldOut int) (*data.Images, error) {
	set, err := data.MNIST(ctx, data.MNISTOptions{Dir: c.DataDir, Log: r.Progress.Log})
	switch {
	case errors.Is(err, data.ErrNoMNIST):
		r.Note("MNIST is not at hand: this run uses the built-in stand-in, digits drawn by the program. Its numbers are not those of MNIST. (%v)", err)
		set = data.StandIn(c.Seed, cmp.Or(train, 20000), heldOut)
		if _, given := os.LookupEnv("CMF_STEPS"); c.Preset == "default" && !given {
			const steps = 1000
			r.Note("The stand-in is easier: %d steps instead of %d; CMF_STEPS sets them.", steps, c.Steps)
			c.Steps = steps
		}
	case err != nil:
		return nil, fmt.Errorf("CMF_DATA_DIR=%s: %w", c.DataDir, err)
	}
	if train > 0 && train < set.Train.Rows {
		set.Train, set.TrainLabels = batch.Rows(set.Train, 0, train), set.TrainLabels[:train]
	}
	r.Report.Data = fmt.Sprintf("%s, %d digits to train on, %d held out", set.Name, set.Train.Rows, set.Test.Rows)
	r.Progress.Log.Info("data", "set", r.Report.Data)
	return set, nil
}

// smooth adds N(0, noise²) to every pixel of x in place and to the Gaussian
// fitted to it. A pixel that is black or white in nearly all digits has next to
// no variance; the map would spend its curvature there, on what the eye cannot see.
func smooth(x blas32.General, fit *exact.Gaussian, noise float64, seed uint64) (*exact.Gaussian, error) {
	if noise == 0 {
		return fit, nil
	}
	addNoise(x, noise, random.New(seed, "smoothing", 0))
	values := make([]float64, len(fit.Values))
	for k, v := range fit.Values {
		values[k] = v + noise*noise
	}
	return &exact.Gaussian{Mean: fit.Mean, Values: values, Vectors: fit.Vectors}, nil
}

// addNoise adds N(0, noise²) to every entry of x.
func addNoise(x blas32.General, noise float64, rng *random.Stream) {
	z := make([]float32, x.Cols)
	for i := range x.Rows {
		rng.Normals(z)
		for j, v := range z {
			x.Data[i*x.Stride+j] += float32(noise) * v
		}
	}
}

// startLaw is the Gaussian at which the potential starts.
func startLaw(init string, law *exact.Gaussian) *exact.Gaussian {
	if init == "identity" {
		return exact.StandardGaussian(law.Dim())
	}
	return law
}

// strokes directs hinges at what pictures are made of: single pixels, small
// oriented patches, differences of two digits, and a share at random.
func strokes(train blas32.General) func(b blas32.General, layer int, rng *random.Stream) {
	return func(b blas32.General, _ int, rng *random.Stream) {
		v := make([]float64, pixels)
		for k := range b.Cols {
			clear(v)
			switch k % 5 {
			case 0:
				v[rng.IntN(pixels)] = 1
			case 1, 2:
				patch(v, side, rng)
			case 3:
				a, b := rng.IntN(train.Rows), rng.IntN(train.Rows)
				for j := range v {
					v[j] = float64(train.Data[a*pixels+j] - train.Data[b*pixels+j])
				}
			default:
				for j := range v {
					v[j] = rng.NormFloat64()
				}
			}
			var norm float64
			for _, x := range v {
				norm += x * x
			}
			for j, x := range v {
				b.Data[j*b.Stride+k] = float32(x / math.Sqrt(max(norm, 1e-12)))
			}
		}
	}
}

// patch draws a soft blob of random place and size with a slope across it, into a
// picture of side × side pixels.
func patch(v []float64, side int, rng *random.Stream) {
	at := float64(side)
	cx, cy := at*rng.Float64(), at*rng.Float64()
	size, angle := 1+2.5*rng.Float64(), 2*math.Pi*rng.Float64()
	level, slope := rng.NormFloat64(), 2*rng.NormFloat64()
	for i := range side {
		for j := range side {
			dx, dy := float64(i)+.5-cx, float64(j)+.5-cy
			across := (dx*math.Cos(angle) + dy*math.Sin(angle)) / size
			v[i*side+j] = math.Exp(-(dx*dx+dy*dy)/(2*size*size)) * (level + slope*across)
		}
	}
}
