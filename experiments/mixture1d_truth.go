package experiments

import (
	"context"
	"fmt"
	"math"
	"slices"

	"cmf/data/units"
	"cmf/experiments/figure"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/target"
	"cmf/solvers/batch"
	"cmf/solvers/line"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// lineTruth is what is known exactly about a mixture.
type lineTruth struct {
	units             units.Affine // of learning, in which all else is; zero for those of the mixture
	rho               *line.Mixture
	conjugate, moment *line.Potential

	points, slopes blas32.General // quantiles of ρ and w′ there, (n, 1)
}

// solveLine solves both fixed points and reports them.
func solveLine(r *run.Run, c *Mixture1DConfig) (*lineTruth, error) {
	given, err := line.NewMixture(c.Mixture...)
	if err != nil {
		return nil, fmt.Errorf("CMF_MIXTURE=%v: %w", c.Mixture, err)
	}
	in := target.UnitsAbout([]float64{given.Mean()}, []float64{math.Sqrt(given.Variance())})
	target.NoteUnits(r, in)
	rho, err := target.MixtureIn(given, in)
	if err != nil {
		return nil, fmt.Errorf("CMF_MIXTURE=%v: %w", c.Mixture, err)
	}
	if math.Abs(given.Total-1) > 1e-9 {
		r.Note("The weights of CMF_MIXTURE=%v sum to %g, not 1: they were divided by that.", c.Mixture, given.Total)
	}
	r.Report.Data = fmt.Sprintf("a mixture of %d normals on the line, %d points", len(rho.Components), c.Points)
	t := &lineTruth{units: in, rho: rho}
	if t.conjugate, err = (line.Solver{}).Conjugate(rho); err != nil {
		return nil, fmt.Errorf("CMF_MIXTURE=%v: %w", c.Mixture, err)
	}
	if t.moment, err = (line.Solver{}).Moment(rho); err != nil {
		return nil, fmt.Errorf("CMF_MIXTURE=%v: %w", c.Mixture, err)
	}
	t.measure(10000)
	w, u := t.conjugate, t.moment
	if !w.Converged || !u.Converged {
		r.Note("The fixed points stopped at residuals %.2g (conjugate moments) and %.2g (moments): the exact values have errors of that size.", w.Residual, u.Residual)
	}
	slopes := make([]float64, len(c.At))
	for i, x := range c.At {
		slopes[i] = w.Slope(target.PointIn([]float64{x}, in)[0])
	}
	r.Report.Truth = map[string]any{
		"gibbs_mean": w.Mean, "gibbs_var": w.Variance, "log_z": w.LogZ,
		"at":     map[string][]float64{"x": c.At, "slope": slopes},
		"moment": report.Numbers{"gibbs_mean": u.Mean, "gibbs_var": u.Variance},
	}
	r.Report.Metrics["fixed_point.residual"] = w.Residual
	r.Report.Metrics["fixed_point.iterations"] = float64(w.Iterations)
	r.Page.Headline = []report.Headline{
		{Metric: "cmfgen.uvp_percent", Label: "unexplained variance of the learned map, %"},
		{Metric: "cmfma.uvp_percent", Label: "the same by CMFMA from the energy, %"},
		{Metric: "fixed_point.residual", Label: "residual of the exact solution, in standard deviations of the Gibbs factor"},
		{Metric: "cmfgen.gibbs_mean", Label: "mean of the learned Gibbs factor", Goal: report.Nearer, Target: w.Mean},
		{Metric: "cmfgen.gibbs_var", Label: "variance of the learned Gibbs factor", Goal: report.Nearer, Target: w.Variance},
	}
	return t, nil
}

// axis is the title of an axis of points.
func (t *lineTruth) axis(name string) string {
	if t.units.Scale == nil {
		return name
	}
	return name + ", in units of learning"
}

// measure prepares uvp: it takes n quantiles of ρ, at the middles of equal masses, and w′
// there.
func (t *lineTruth) measure(n int) {
	t.points, t.slopes = batch.New(n, 1), batch.New(n, 1)
	for i := range n {
		x := t.quantile((float64(i) + .5) / float64(n))
		t.points.Data[i], t.slopes.Data[i] = float32(x), float32(t.conjugate.Slope(x))
	}
}

// uvp is the unexplained variance of ŵ′ against w′ on ρ, in percent.
func (t *lineTruth) uvp(learned potential.Potential) (float64, error) {
	g := batch.New(t.points.Rows, 1)
	if err := learned.Eval(t.points, nil, g); err != nil {
		return 0, err
	}
	return metric.UVP(g, t.slopes)
}

// drawDensities draws the densities of the paper's Figure 2.
func (t *lineTruth) drawDensities(ctx context.Context, r *run.Run) error {
	x := covering(801, t.quantile, t.conjugate.GibbsQuantile, t.moment.GibbsQuantile)
	f := report.Figure{File: "densities.png", Caption: "ρ with its two Gibbs factors, from the fixed points. 𝔓_u, of the moment measure ρ − Eρ = u′♯𝔓_u, is narrow if ρ is wide; 𝔓_w, of the conjugate moment measure ρ = (w*)′♯𝔓_w, follows ρ."}
	return r.Figure(ctx, f, false, func(path string) error {
		return figure.DrawCurves(path, figure.Axes{Title: "Exact densities", X: t.axis("x")},
			sampled("ρ", x, func(v float64) float64 { return math.Exp(t.rho.LogPDF(v)) }),
			sampled("Gibbs factor, moment", x, t.moment.GibbsPDF),
			sampled("Gibbs factor, conjugate", x, t.conjugate.GibbsPDF),
			sampled("N(0, 1)", x, func(v float64) float64 { return math.Exp(-v*v/2) / math.Sqrt(2*math.Pi) }))
	})
}

// drawLearned draws the learned Gibbs factor and maps over the exact ones, and reports the
// mean and variance of the learned Gibbs factor.
func (t *lineTruth) drawLearned(ctx context.Context, r *run.Run, w potential.Potential) error {
	x := covering(2001, t.conjugate.GibbsQuantile)
	learned, err := newLearnedLine(w, x)
	if err != nil {
		return err
	}
	r.Report.Metrics["cmfgen.gibbs_mean"], r.Report.Metrics["cmfgen.gibbs_var"] = learned.mean, learned.variance
	f := report.Figure{File: "gibbs.png", Caption: "The learned Gibbs factor 𝔓_ŵ ∝ exp(−ŵ) over the exact 𝔓_w."}
	err = r.Figure(ctx, f, false, func(path string) error {
		return figure.DrawCurves(path, figure.Axes{Title: "Conjugate Gibbs factor", X: t.axis("x")},
			sampled("exact", x, t.conjugate.GibbsPDF), figure.Series{Name: "learned", X: x, Y: learned.pdf})
	})
	if err != nil {
		return err
	}
	return t.drawMaps(ctx, r, w)
}

// drawMaps draws the learned maps over the exact ones.
func (t *lineTruth) drawMaps(ctx context.Context, r *run.Run, w potential.Potential) error {
	x := covering(801, t.quantile)
	learned, err := newLearnedLine(w, x)
	if err != nil {
		return err
	}
	exact := sampled("exact w'", x, t.conjugate.Slope)
	f := report.Figure{File: "maps.png", Caption: "The Monge map w′ from ρ to its Gibbs factor, and its inverse (w*)′, which generates ρ; exact and learned."}
	return r.Figure(ctx, f, false, func(path string) error {
		return figure.DrawCurves(path, figure.Axes{Title: "Maps", X: t.axis("x, or y"), Y: "w'(x), or (w*)'(y)"},
			exact, figure.Series{Name: "learned w'", X: x, Y: learned.slope},
			figure.Series{Name: "exact (w*)'", X: exact.Y, Y: x}, figure.Series{Name: "learned (w*)'", X: learned.slope, Y: x})
	})
}

func (t *lineTruth) quantile(p float64) float64 { return line.Quantile(t.rho, p) }

// covering is n points that cover nearly all the mass of the laws with the given quantiles,
// and a margin.
func covering(n int, quantiles ...func(p float64) float64) []float64 {
	const tail = 1e-4
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, q := range quantiles {
		lo, hi = min(lo, q(tail)), max(hi, q(1-tail))
	}
	margin := .15 * (hi - lo)
	x := make([]float64, n)
	for i := range x {
		x[i] = lo - margin + (hi-lo+2*margin)*float64(i)/float64(n-1)
	}
	return x
}

// sampled is f at each x.
func sampled(name string, x []float64, f func(float64) float64) figure.Series {
	s := figure.Series{Name: name, X: x, Y: make([]float64, len(x))}
	for i, v := range x {
		s.Y[i] = f(v)
	}
	return s
}

// learnedLine is a potential w on a grid: e^{−w} as a density on the grid, its moments, and
// w′.
type learnedLine struct {
	pdf, slope     []float64
	mean, variance float64
}

// newLearnedLine evaluates w on a uniform grid. The density is right only if the grid covers
// all the mass.
func newLearnedLine(w potential.Potential, grid []float64) (*learnedLine, error) {
	n := len(grid)
	x, g, value := batch.New(n, 1), batch.New(n, 1), make([]float32, n)
	for i, v := range grid {
		x.Data[i] = float32(v)
	}
	if err := w.Eval(x, value, g); err != nil {
		return nil, err
	}
	l := &learnedLine{pdf: make([]float64, n), slope: make([]float64, n)}
	step, least := (grid[n-1]-grid[0])/float64(n-1), slices.Min(value)
	var mass, first, second float64
	for i, v := range grid {
		l.slope[i] = float64(g.Data[i])
		l.pdf[i] = math.Exp(float64(least) - float64(value[i]))
		mass, first, second = mass+l.pdf[i], first+l.pdf[i]*v, second+l.pdf[i]*v*v
	}
	for i := range l.pdf {
		l.pdf[i] /= mass * step
	}
	l.mean = first / mass
	l.variance = second/mass - l.mean*l.mean
	return l, nil
}
