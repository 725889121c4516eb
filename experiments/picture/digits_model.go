package picture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cmf/data/images"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

const Side = 28

// Model configures how a potential is learned from pictures.
type Model struct {
	config.Data
	config.Logit
	Knots     int     `default:"12" range:"0..64" desc:"hinges on every learned coordinate, besides those of CMF_HIDDEN"`
	Particles int     `default:"512" range:"1..100000" desc:"particles in the bank; rounded up to whole batches"`
	Langevin  int     `default:"3" range:"1..10000" desc:"Langevin steps of a batch of particles in each iteration"`
	Tolerance float64 `default:"0.01" range:">0..<1" desc:"relative residual of the conjugates during training"`
	Share     float64 `default:"0.75" range:">0..1" desc:"share of the curvature that the quadratic has at the start"`
}

// DigitModel configures how a potential is learned from digits.
type DigitModel struct {
	Model
	Noise   float64       `default:"0.65" range:"0..5" desc:"standard deviation of the normal noise added to pixels in these units, which smooths the law of saturated pixels"`
	Filters config.Widths `desc:"filters of convolutional layers below those of CMF_HIDDEN, over squares of 4×4 at stride 2, each layer on pictures of half the side; empty for none"`
	Carry   float64       `default:"0.25" range:"0..0.5" desc:"power s of the digits' covariance Σ that carries the noise: digits are ∇w*(Σˢz) for z from the Gibbs factor; 0 for the plain method"`
	Train   int           `default:"0" range:"0|1000..1000000" desc:"digits to train on; 0 for all"`
}

// Validate checks that the convolutions fit a digit.
func (c *DigitModel) Validate() error {
	if _, err := c.architecture(&config.Core{}).Widths(); err != nil {
		return fmt.Errorf("CMF_FILTERS=%v: %w", c.Filters, err)
	}
	return nil
}

// CheckNoise reads CMF_LOSS. Its likelihood terms need noise that is not carried.
func (c *DigitModel) CheckNoise(core *config.Core) error {
	sum, err := fit.ParseLoss(core.Loss, false)
	if err != nil {
		return err
	}
	for _, t := range sum {
		switch name := t.Term.Name(); t.Term.(type) {
		case losses.Likelihood, losses.LikelihoodCG:
			if core.Source == config.SourceGaussian {
				return fmt.Errorf("CMF_LOSS=%s: the term %s needs the Gibbs factor; with it CMF_SOURCE must be gibbs", core.Loss, name)
			}
			if c.Carry != 0 {
				return fmt.Errorf("CMF_LOSS=%s: the term %s needs noise that is not carried; with it CMF_CARRY must be 0", core.Loss, name)
			}
		}
	}
	return nil
}

// DigitData is a set of digits in the units of a model.
type DigitData struct {
	Set      *images.Digits
	Units    units.Pixels    // logits relative to the mean of the training digits
	Train    blas32.General  // with smoothing noise, (n, 784)
	Baseline *exact.Gaussian // fitted before noise was added
	Law      *exact.Gaussian // law of Train
}

// Open reads the digits in the units u of an existing model, or in their own units if u is
// nil. The stand-in has at least heldOut held-out digits.
func (c *DigitModel) Open(ctx context.Context, r *run.Run, core *config.Core, heldOut int, u *units.Pixels) (*DigitData, error) {
	set, err := c.Load(ctx, r, core, heldOut)
	if err != nil {
		return nil, err
	}
	d := &DigitData{Set: set, Units: units.Pixels{Alpha: c.Alpha}}
	if u != nil {
		d.Units = *u
	}
	if d.Train, err = d.Dequantised(set.Train, random.New(core.Seed, "dequantisation", 0)); err != nil {
		return nil, err
	}
	if u == nil {
		// The origin is a choice, because a shift of ρ is not a shift of w.
		d.Units.Center = batch.Means(d.Train)
		d.Train = batch.Shifted(d.Train, d.Units.Center)
	}
	if d.Baseline, err = exact.FitGaussian(d.Train, 1e-4); err != nil {
		return nil, err
	}
	d.Law = smooth(d.Train, d.Baseline, c.Noise, core.Seed)
	return d, nil
}

// Dequantised are pictures in the model's units, with uniform noise within each grey level.
func (d *DigitData) Dequantised(pictures blas32.General, rng *random.Stream) (blas32.General, error) {
	return d.Units.Dequantised(pictures, rng)
}

// Pixels converts points from the model's units to pixels in [0, 1].
func (d *DigitData) Pixels(x blas32.General) (blas32.General, error) { return d.Units.Data(x, nil) }

// network is the potential, before training.
func (c *DigitModel) network(core *config.Core) (layers.Network, error) {
	a := c.architecture(core)
	widths, err := a.Widths()
	if err != nil {
		return nil, err
	}
	dense := widths[max(0, len(c.Filters)-1):] // with the responses that the first of them reads
	if err := config.Widths(dense).Check(1, 1); err != nil {
		return nil, fmt.Errorf("CMF_FILTERS=%v: %w", c.Filters, err)
	}
	return core.Network(a, layers.Architecture{})
}

func (c *DigitModel) architecture(core *config.Core) layers.Architecture {
	a := layers.Architecture{Dim: Pixels, Hidden: core.Hidden, Unit: core.Unit, Picture: [3]int{Side, Side, 1}, Knots: c.Knots, Full: true}
	for _, filters := range c.Filters {
		a.Convolutions = append(a.Convolutions, layers.Convolution{Filters: filters, Size: 4, Stride: 2, Padding: 1})
	}
	return a
}

// Problem is the problem for Fit.
func (c *DigitModel) Problem(core *config.Core, d *DigitData) (fit.Problem, error) {
	potential, err := c.network(core)
	if err != nil {
		return fit.Problem{}, err
	}
	p := fit.Problem{
		Potential:    potential,
		Start:        layers.Start{Law: d.Law, Carry: c.Carry, Share: c.Share, Fixed: .1, Spread: 6, RootRate: .05, Directions: Strokes(d.Train)},
		Train:        d.Train,
		Units:        d.Units,
		Form:         units.Form{Height: Side, Width: Side},
		Particles:    c.Particles,
		Langevin:     c.Langevin,
		Tolerance:    c.Tolerance,
		Decay:        1 - 10/float64(max(core.Steps, 1000)), // over the last tenth of the run
		Precondition: true,
	}
	if c.Carry != 0 {
		p.Carry = d.Law.Power(c.Carry)
	}
	return p, nil
}

// HoldsFiles says whether CMF_DATA_DIR was given, and its folder of a set has any file: data
// that the user means to learn from.
func HoldsFiles(r *run.Run, dir, set string) bool {
	if !r.Given("CMF_DATA_DIR") || dir == "" {
		return false
	}
	entries, err := os.ReadDir(filepath.Join(dir, set))
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return !strings.HasPrefix(e.Name(), ".") && !strings.HasSuffix(e.Name(), ".part")
	})
}

// Load loads MNIST or draws the stand-in, with at least heldOut held-out digits, and notes
// which.
func (c *DigitModel) Load(ctx context.Context, r *run.Run, core *config.Core, heldOut int) (*images.Digits, error) {
	set, err := images.MNIST(ctx, images.MNISTOptions{Dir: c.DataDir, Log: r.Progress.Log})
	switch {
	case errors.Is(err, images.ErrNoMNIST) && HoldsFiles(r, c.DataDir, "mnist"):
		return nil, fmt.Errorf("CMF_DATA_DIR=%s: its folder mnist holds files, but not all of MNIST (%w); complete it, or name a folder without it for digits drawn by the program", c.DataDir, err)
	case errors.Is(err, images.ErrNoMNIST):
		r.Note("MNIST is not available: this run uses the built-in stand-in, digits drawn by the program. Its numbers are not those of MNIST. (%v)", err)
		set = images.StandIn(core.Seed, cmp.Or(c.Train, 20000), heldOut)
		if err := r.FewerSteps(core, 1000, "digits drawn by the program are easier"); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("CMF_DATA_DIR=%s: %w", c.DataDir, err)
	}
	if c.Train > 0 && c.Train < set.Train.Rows {
		set.Train, set.TrainLabels = batch.Rows(set.Train, 0, c.Train), set.TrainLabels[:c.Train]
	}
	r.Report.Data = fmt.Sprintf("%s, %d digits to train on, %d held out", set.Name, set.Train.Rows, set.Test.Rows)
	r.Progress.Log.Info("data", "set", r.Report.Data)
	return set, nil
}

// smooth adds N(0, noise²) in place to every pixel of x and returns the Gaussian fit with
// the same noise. A pixel that is black or white in nearly all digits has almost no
// variance: without noise the map would spend its curvature on what the eye cannot see.
func smooth(x blas32.General, fit *exact.Gaussian, noise float64, seed uint64) *exact.Gaussian {
	if noise == 0 {
		return fit
	}
	AddNoise(x, noise, random.New(seed, "smoothing", 0))
	values := make([]float64, len(fit.Values))
	for k, v := range fit.Values {
		values[k] = v + noise*noise
	}
	return &exact.Gaussian{Mean: fit.Mean, Values: values, Vectors: fit.Vectors}
}

// AddNoise adds N(0, noise²) to every entry of x.
func AddNoise(x blas32.General, noise float64, rng *random.Stream) {
	z := make([]float32, x.Cols)
	for i := range x.Rows {
		rng.Normals(z)
		for j, v := range z {
			x.Data[i*x.Stride+j] += float32(noise) * v
		}
	}
}

// Strokes gives hinges the directions of parts of pictures: single pixels, small oriented
// patches, differences of two digits, and a share of random directions.
func Strokes(train blas32.General) func(b blas32.General, layer int, rng *random.Stream) {
	return func(b blas32.General, _ int, rng *random.Stream) {
		v := make([]float64, Pixels)
		for k := range b.Cols {
			clear(v)
			switch k % 5 {
			case 0:
				v[rng.IntN(Pixels)] = 1
			case 1, 2:
				Patch(v, Side, rng)
			case 3:
				a, b := rng.IntN(train.Rows), rng.IntN(train.Rows)
				for j := range v {
					v[j] = float64(train.Data[a*Pixels+j] - train.Data[b*Pixels+j])
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

// Patch draws a soft blob of random place and size with a slope across it, into a
// picture of side × side pixels.
func Patch(v []float64, side int, rng *random.Stream) {
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
