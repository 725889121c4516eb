// Package learner is what the playground's page runs: CMFGen and CMFMA on points or energies
// in the plane, and the exact laws on the line. It has the graph, layers, losses and solvers
// of the project, and no packages of plots or reports, so that it is small enough for a
// browser. It learns as the command toy2d does, to the same bits.
package learner

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"cmf/data"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Options choose what is learned and how. Their names in JSON are those of the page's link.
type Options struct {
	Set       string          `json:"set"` // a toy set, or of the points that are given
	Loss      string          `json:"loss"`
	Potential layers.Family   `json:"potential"`
	Source    string          `json:"source"` // gibbs or gaussian
	Sampler   sampling.Method `json:"sampler"`
	Width     int             `json:"width"`
	Layers    int             `json:"layers"`
	Batch     int             `json:"batch"`
	Steps     int             `json:"steps"`
	Seed      uint64          `json:"seed"`
}

// The sources.
const (
	Gibbs    = "gibbs"
	Gaussian = "gaussian"
)

// Limits of the options: what a browser's memory holds, and finishes in minutes.
const (
	mostWidth = 256
	mostLayer = 4
	mostBatch = 1024
	mostSteps = 100000
)

func (o Options) check() error {
	for _, v := range []struct {
		name             string
		value, low, high int
	}{{"width", o.Width, 1, mostWidth}, {"layers", o.Layers, 1, mostLayer}, {"batch", o.Batch, 2, mostBatch}, {"steps", o.Steps, 1, mostSteps}} {
		if v.value < v.low || v.value > v.high {
			return fmt.Errorf("%s %d: allowed are %d to %d", v.name, v.value, v.low, v.high)
		}
	}
	if o.Source != Gibbs && o.Source != Gaussian {
		return fmt.Errorf("source %q: allowed are %s, %s", o.Source, Gibbs, Gaussian)
	}
	if families := layers.Family("").Known(); !slices.Contains(families, string(o.Potential)) {
		return fmt.Errorf("potential %q: allowed are %s", o.Potential, strings.Join(families, ", "))
	}
	return nil
}

// architecture is that of toy2d.
func (o Options) architecture() layers.Architecture {
	if o.Potential == layers.NetworkQuadratics {
		return layers.Architecture{Family: layers.NetworkQuadratics, Dim: 2, Pieces: 64, Tau: .004}
	}
	return layers.Architecture{Dim: 2, Hidden: slices.Repeat([]int{o.Width}, o.Layers), Unit: layers.Softplus}
}

// rows are the points of a named set. More would take a browser long to begin, above all with
// quadratics, which start in their cells.
func (o Options) rows() int {
	if o.Potential == layers.NetworkQuadratics {
		return 4000
	}
	return 20000
}

// rate of learning, and decay of the moving average of weights.
func (o Options) rate() (lr, decay float64) {
	if o.Potential == layers.NetworkQuadratics {
		return .01, 1 - 4/float64(max(o.Steps, 40))
	}
	return .1, 1 - 15/float64(max(o.Steps, 150))
}

const (
	batches   = 16 // of particles in the bank
	langevin  = 5
	tolerance = 1e-3
	spread    = 30
)

// Learner learns the law of points in the plane.
type Learner struct {
	Options   Options
	Center    [2]float64 // with Scale the units: a point z of Points is Center + Scale·z in the data's
	Scale     float64
	Points    blas32.General // (n, 2), in the units of learning
	Potential layers.Network
	Evaluator *layers.Evaluator
	Noise     potential.Potential

	loop      *solvers.CMFGen
	curvature *layers.Curvature
	objective *losses.Objective
	average   *optim.Average
}

// New begins to learn points, (n, 2) in any units, or, if there are none, the toy set of the options.
func New(o Options, points blas32.General) (*Learner, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	l := &Learner{Options: o}
	if points.Rows == 0 {
		set, err := data.Toy(o.Set)
		if err != nil {
			return nil, err
		}
		l.Points = set.Sample(random.New(o.Seed, "points", 0), o.rows())
		l.Scale = 1
	} else if err := l.take(points); err != nil {
		return nil, err
	}
	return l, l.begin()
}

// fewest points have a covariance that is worth learning from.
const fewest = 20

// take centres points and scales them to a mean variance of 1 per coordinate, because the
// method does not know units.
func (l *Learner) take(points blas32.General) error {
	if points.Cols != 2 || points.Rows < fewest {
		return fmt.Errorf("%d points of %d coordinates; there must be at least %d, of 2", points.Rows, points.Cols, fewest)
	}
	for i := range points.Rows {
		for _, v := range batch.Row(points, i) {
			if !batch.Finite(float64(v)) {
				return fmt.Errorf("point %d is (%g, %g); it must be finite", i+1, batch.Row(points, i)[0], batch.Row(points, i)[1])
			}
		}
	}
	mean, cov := batch.Moments(points)
	scale := math.Sqrt(mat.Trace(cov) / 2)
	if !(scale >= 1e-30 && scale <= 1e30) {
		return fmt.Errorf("the points have the standard deviation %g; it must be from 1e-30 to 1e30", scale)
	}
	l.Center, l.Scale = [2]float64{mean[0], mean[1]}, scale
	l.Points = batch.New(points.Rows, 2)
	for i := range points.Rows {
		for j, v := range batch.Row(points, i) {
			l.Points.Data[2*i+j] = float32((float64(v) - l.Center[j]) / scale)
		}
	}
	return nil
}

// begin sets up the first weights and particles.
func (l *Learner) begin() (err error) {
	o := l.Options
	law, err := exact.FitGaussian(l.Points, 0)
	if err != nil {
		return fmt.Errorf("the points must not lie on a line: %w", err)
	}
	if l.Potential, err = layers.New(o.architecture()); err != nil {
		return err
	}
	start := layers.Start{Law: law, Share: .1, Fixed: .05, Spread: spread, Balanced: true, Gaussian: o.Source == Gaussian}
	if err := start.Init(l.Potential, l.Points, random.New(o.Seed, "initial weights", 0)); err != nil {
		return err
	}
	if l.Evaluator, err = layers.NewEvaluator(l.Potential); err != nil {
		return err
	}
	if l.curvature, err = layers.NewCurvature(l.Potential); err != nil {
		return err
	}
	l.loop = &solvers.CMFGen{Potential: l.Evaluator, Langevin: langevin, MeanHessian: l.curvature.MeanHessian}
	l.Noise = l.Evaluator
	if o.Source == Gaussian {
		l.Noise = potential.Normal{D: 2}
		l.loop.Noise = l.Noise
	}
	if err := l.SetLoss(o.Loss); err != nil {
		return err
	}
	seeds := random.New(o.Seed, "minibatches", 0)
	if l.loop.Data, err = data.NewEpochs(l.Points, random.Seeded(seeds.Uint64(), seeds.Uint64())); err != nil {
		return err
	}
	if l.loop.Sampler, err = sampling.NewLangevin(o.Sampler); err != nil {
		return err
	}
	if l.loop.Conjugate, err = conjugate.New(conjugate.ByBarzilaiBorwein, tolerance, 60); err != nil {
		return err
	}
	schedule, err := optim.NewSchedule("cosine", .05, max(o.Steps, 21), 20)
	if err != nil {
		return err
	}
	lr, decay := o.rate()
	l.loop.Adam = optim.Adam{LR: lr, Schedule: schedule}
	l.average = &optim.Average{Decay: decay}
	y, partners := start.Particles(batches*o.Batch, random.New(o.Seed, "particles", 0))
	l.loop.State, err = solvers.NewCMFGenState(y, partners, o.Batch, random.New(o.Seed, "Langevin", 0))
	return err
}

// SetLoss replaces the loss, a sum of terms such as dual+0.1*pairs, and leaves the rest as it
// is. After an error nothing has changed.
func (l *Learner) SetLoss(spec string) error {
	sum, err := losses.Parse(spec)
	if err != nil {
		return err
	}
	for _, t := range sum {
		for _, kind := range t.Term.Inputs() {
			if err := solvers.CheckCMFGen(kind); err != nil {
				return fmt.Errorf("the term %s: %w", t.Term.Name(), err)
			}
		}
	}
	objective, err := losses.NewObjective(l.Potential, sum, l.Options.Batch)
	if err != nil {
		return err
	}
	l.objective, l.Options.Loss = objective, spec
	l.loop.Objective, l.loop.Guess = objective, objective.Guess()
	return nil
}

// State is that of the algorithm.
func (l *Learner) State() *solvers.CMFGenState { return l.loop.State }

// Finished says whether all steps are made.
func (l *Learner) Finished() bool { return l.loop.State.Step >= l.Options.Steps }

// own are the weights of the potential, which have averages.
func (l *Learner) own() []optim.Weight {
	return slices.DeleteFunc(slices.Clone(l.objective.Weights()), func(w optim.Weight) bool { return l.Potential.Params().ByName(w.Name) == nil })
}

// errFinished is returned by a step after the last.
var errFinished = errors.New("all steps are made")

// Step makes a step of CMFGen, unless all are made. After the last the weights are their
// moving averages.
func (l *Learner) Step() (info solvers.CMFGenInfo, err error) {
	if l.Finished() {
		return info, errFinished
	}
	if info, err = l.loop.Step(); err != nil {
		return info, err
	}
	weights := l.own()
	if info.Restored {
		l.average.Mean = nil
	}
	if err := l.average.Update(weights); err != nil {
		return info, err
	}
	if l.Finished() {
		return info, l.average.Swap(weights)
	}
	return info, nil
}
