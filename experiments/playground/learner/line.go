package learner

import (
	"math"
	"slices"

	"cmf/data"
	"cmf/experiments/metric"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/line"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Line learns a mixture on the line, whose moment and conjugate moment potentials are known
// from the fixed point.
type Line struct {
	*Learner
	Exact, Moment *line.Potential

	rho    *line.Mixture
	x      []float64      // the places of a LineView
	points blas32.General // quantiles of ρ, (n, 1)
	slopes blas32.General // w′ there
}

// nodes of the fixed point: as many as a browser solves for at once.
const nodes = 2001

// NewLine begins to learn a mixture, as the command mixture1d does; it should have a deviation
// near 1.
func NewLine(o Options, components []line.Component) (*Line, error) {
	o.Source, o.Potential = Gibbs, layers.NetworkICNN
	if err := o.check(); err != nil {
		return nil, err
	}
	rho, err := line.NewMixture(components...)
	if err != nil {
		return nil, err
	}
	l := &Line{Learner: &Learner{Options: o, Center: []float64{0}, Scale: 1}, rho: rho}
	if l.Exact, err = (line.Solver{Nodes: nodes}).Conjugate(rho); err != nil {
		return nil, err
	}
	if l.Moment, err = (line.Solver{Nodes: nodes}).Moment(rho); err != nil {
		return nil, err
	}
	l.place()
	l.recipe = recipe{
		network:  layers.Architecture{Dim: 1, Hidden: slices.Repeat([]int{o.Width}, o.Layers), Unit: layers.Softplus},
		start:    layers.Start{Share: .1, Fixed: .01, Spread: 12},
		identity: true,
		lr:       1e-2,
		decay:    o.recipe().decay,
		langevin: 3,
	}
	l.Points = rho.Sample(o.rows(), random.New(o.Seed, "mixture", 0))
	return l, l.learnPoints()
}

// place takes quantiles of ρ, and a range that covers ρ and both Gibbs factors.
func (l *Line) place() {
	const n = 1000
	l.points, l.slopes = batch.New(n, 1), batch.New(n, 1)
	for i := range n {
		x := line.Quantile(l.rho, (float64(i)+.5)/n)
		l.points.Data[i], l.slopes.Data[i] = float32(x), float32(l.Exact.Slope(x))
	}
	const tail, places = 2e-3, 301
	low, high := math.Inf(1), math.Inf(-1)
	for _, quantile := range []func(float64) float64{func(p float64) float64 { return line.Quantile(l.rho, p) }, l.Exact.GibbsQuantile, l.Moment.GibbsQuantile} {
		low, high = min(low, quantile(tail)), max(high, quantile(1-tail))
	}
	for i := range places {
		l.x = append(l.x, low+(high-low)*float64(i)/(places-1))
	}
}

// LineView are curves at places X.
type LineView struct {
	X                                        []float32
	Density, Moment, Exact, Learned          []float32 // of ρ and of the Gibbs factors
	MomentSlope, ExactSlope, LearnedSlope    []float32 // of u and w
	UVP                                      float64   // of the learned w′ on ρ, in percent
	ExactMean, ExactVariance, Mean, Variance float64   // of the Gibbs factor, from the fixed point and of the particles
	Residual                                 float64   // of the fixed point
}

// See evaluates the model.
func (l *Line) See() (*LineView, error) {
	n := len(l.x)
	x, w, slope := batch.New(n, 1), make([]float32, n), batch.New(n, 1)
	batch.Narrow(x.Data, l.x)
	if err := l.Evaluator.Eval(x, w, slope); err != nil {
		return nil, err
	}
	v := &LineView{X: x.Data, LearnedSlope: slope.Data, Residual: l.Exact.Residual, ExactMean: l.Exact.Mean, ExactVariance: l.Exact.Variance}
	logZ, err := l.logZ()
	if err != nil {
		return nil, err
	}
	for i, at := range l.x {
		v.Density = append(v.Density, float32(math.Exp(l.rho.LogPDF(at))))
		v.Moment = append(v.Moment, float32(l.Moment.GibbsPDF(at)))
		v.Exact = append(v.Exact, float32(l.Exact.GibbsPDF(at)))
		v.Learned = append(v.Learned, float32(math.Exp(-float64(w[i])-logZ)))
		v.MomentSlope = append(v.MomentSlope, float32(l.Moment.Slope(at)))
		v.ExactSlope = append(v.ExactSlope, float32(l.Exact.Slope(at)))
	}
	v.Mean, v.Variance = batch.Means(l.state.Bank.Y)[0], batch.MeanVariance(l.state.Bank.Y)
	learned := batch.New(l.points.Rows, 1)
	if err := l.Evaluator.Eval(l.points, nil, learned); err != nil {
		return nil, err
	}
	v.UVP, err = metric.UVP(learned, l.slopes)
	return v, err
}

// logZ is log ∫e^{−w}, by quadrature.
func (l *Line) logZ() (float64, error) {
	box, err := data.FindBox(l.Evaluator)
	if err != nil {
		return 0, err
	}
	grid, err := data.NewQuadrature(l.Evaluator, box, 513)
	if err != nil {
		return 0, err
	}
	return grid.LogZ, nil
}
