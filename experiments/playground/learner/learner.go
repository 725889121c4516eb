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

// recipe is how a law is learned: what the commands toy2d, energy and mixture1d do.
type recipe struct {
	network   layers.Architecture
	start     layers.Start
	identity  bool // the first potential is that of N(0, I), where otherwise it is that of the data
	lr, decay float64
	langevin  int
	energy    bool
}

const (
	batches   = 16 // of particles in the bank
	tolerance = 1e-3
)

// recipe is that of toy2d.
func (o Options) recipe() recipe {
	r := recipe{
		network:  layers.Architecture{Dim: 2, Hidden: slices.Repeat([]int{o.Width}, o.Layers), Unit: layers.Softplus},
		start:    layers.Start{Share: .1, Fixed: .05, Spread: 30, Balanced: true, Gaussian: o.Source == Gaussian},
		lr:       .1,
		decay:    1 - 15/float64(max(o.Steps, 150)),
		langevin: 5,
	}
	if o.Potential == layers.NetworkQuadratics {
		r.network = layers.Architecture{Family: layers.NetworkQuadratics, Dim: 2, Pieces: 64, Tau: .004}
		r.lr, r.decay = .01, 1-4/float64(max(o.Steps, 40))
	}
	return r
}

// rows are the points of a named set. More would take a browser long to begin, above all with
// quadratics, which start in their cells.
func (o Options) rows() int {
	if o.Potential == layers.NetworkQuadratics {
		return 4000
	}
	return 10000
}

// Learner learns a law of the plane, or of the line.
type Learner struct {
	Options   Options
	Center    []float64 // with Scale the units: a point z of Points is Center + Scale·z in the data's
	Scale     float64
	Points    blas32.General // (n, d), in the units of learning; of an energy they are only to compare with
	Potential layers.Network
	Evaluator *layers.Evaluator
	Noise     potential.Potential

	recipe    recipe
	state     *solvers.CMFGenState
	step      func() (solvers.CMFGenInfo, error)
	use       func(*losses.Objective)
	curvature *layers.Curvature
	objective *losses.Objective
	average   *optim.Average
}

// New begins to learn points, (n, 2) in any units, or, if there are none, the toy set of the options.
func New(o Options, points blas32.General) (*Learner, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	l := &Learner{Options: o, recipe: o.recipe(), Center: []float64{0, 0}, Scale: 1}
	if points.Rows == 0 {
		set, err := data.Toy(o.Set)
		if err != nil {
			return nil, err
		}
		l.Points = set.Sample(random.New(o.Seed, "points", 0), o.rows())
	} else if err := l.take(points); err != nil {
		return nil, err
	}
	return l, l.learnPoints()
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
	l.Center, l.Scale = mean, scale
	l.Points = batch.New(points.Rows, 2)
	for i := range points.Rows {
		for j, v := range batch.Row(points, i) {
			l.Points.Data[2*i+j] = float32((float64(v) - mean[j]) / scale)
		}
	}
	return nil
}

// learnPoints sets up CMFGen.
func (l *Learner) learnPoints() error {
	if err := l.begin(l.Points); err != nil {
		return err
	}
	o := l.Options
	sampler, solver, adam, err := l.methods()
	if err != nil {
		return err
	}
	loop := &solvers.CMFGen{Potential: l.Evaluator, Sampler: sampler, Conjugate: solver, Adam: adam, Langevin: l.recipe.langevin, MeanHessian: l.curvature.MeanHessian}
	if o.Source == Gaussian {
		l.Noise = potential.Normal{D: l.Potential.Dim()}
		loop.Noise = l.Noise
	}
	seeds := random.New(o.Seed, "minibatches", 0)
	if loop.Data, err = data.NewEpochs(l.Points, random.Seeded(seeds.Uint64(), seeds.Uint64())); err != nil {
		return err
	}
	if l.state, err = l.particles(o.Batch); err != nil {
		return err
	}
	loop.State, l.step = l.state, loop.Step
	l.use = func(objective *losses.Objective) { loop.Objective, loop.Guess = objective, objective.Guess() }
	return l.SetLoss(o.Loss)
}

// begin sets up the first weights, near the closed form of the law of points.
func (l *Learner) begin(points blas32.General) (err error) {
	law, err := exact.FitGaussian(points, 0)
	if err != nil {
		return fmt.Errorf("the points must not lie on a line: %w", err)
	}
	if l.recipe.identity {
		law = exact.StandardGaussian(points.Cols)
	}
	l.recipe.start.Law = law
	if l.Potential, err = layers.New(l.recipe.network); err != nil {
		return err
	}
	if err := l.recipe.start.Init(l.Potential, points, random.New(l.Options.Seed, "initial weights", 0)); err != nil {
		return err
	}
	if l.Evaluator, err = layers.NewEvaluator(l.Potential); err != nil {
		return err
	}
	l.Noise, l.average = l.Evaluator, &optim.Average{Decay: l.recipe.decay}
	l.curvature, err = layers.NewCurvature(l.Potential)
	return err
}

// methods are the sampler, the conjugate solver and the optimiser.
func (l *Learner) methods() (sampler sampling.Langevin, solver conjugate.Solver, adam optim.Adam, err error) {
	if sampler, err = sampling.NewLangevin(l.Options.Sampler); err != nil {
		return sampler, nil, adam, err
	}
	if solver, err = conjugate.New(conjugate.ByBarzilaiBorwein, tolerance, 60); err != nil {
		return sampler, nil, adam, err
	}
	schedule, err := optim.NewSchedule("cosine", .05, max(l.Options.Steps, 21), 20)
	return sampler, solver, optim.Adam{LR: l.recipe.lr, Schedule: schedule}, err
}

// particles are a bank for minibatches of n.
func (l *Learner) particles(n int) (*solvers.CMFGenState, error) {
	count := (batches*l.Options.Batch + n - 1) / n * n
	y, partners := l.recipe.start.Particles(count, random.New(l.Options.Seed, "particles", 0))
	return solvers.NewCMFGenState(y, partners, n, random.New(l.Options.Seed, "Langevin", 0))
}

// SetLoss replaces the loss, a sum of terms such as dual+0.1*pairs, and leaves the rest as it
// is. After an error nothing has changed.
func (l *Learner) SetLoss(spec string) error {
	sum, err := losses.Parse(spec)
	if err != nil {
		return err
	}
	known := solvers.CheckCMFGen
	if l.recipe.energy {
		known = solvers.CheckCMFMA
	}
	for _, t := range sum {
		for _, kind := range t.Term.Inputs() {
			if err := known(kind); err != nil {
				return fmt.Errorf("the term %s: %w", t.Term.Name(), err)
			}
		}
	}
	objective, err := losses.NewObjective(l.Potential, sum, l.Options.Batch)
	if err != nil {
		return err
	}
	l.objective, l.Options.Loss = objective, spec
	l.use(objective)
	return nil
}

// State is that of the algorithm.
func (l *Learner) State() *solvers.CMFGenState { return l.state }

// Finished says whether all steps are made.
func (l *Learner) Finished() bool { return l.state.Step >= l.Options.Steps }

// own are the weights of the potential, which have averages.
func (l *Learner) own() []optim.Weight {
	return slices.DeleteFunc(slices.Clone(l.objective.Weights()), func(w optim.Weight) bool { return l.Potential.Params().ByName(w.Name) == nil })
}

// errFinished is returned by a step after the last.
var errFinished = errors.New("all steps are made")

// Step makes a step, unless all are made. After the last the weights are their
// moving averages.
func (l *Learner) Step() (info solvers.CMFGenInfo, err error) {
	if l.Finished() {
		return info, errFinished
	}
	if info, err = l.step(); err != nil {
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
