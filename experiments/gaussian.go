package experiments

import (
	"context"
	"fmt"
	"math"

	"cmf/data"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/table"
	"cmf/experiments/target"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// GaussianConfig configures the experiment gaussian.
type GaussianConfig struct {
	config.Core
	config.Bank
	Cov    config.Matrix `default:"2,1.8;1.8,2" desc:"covariance of ρ, (d, d): numbers separated by commas, rows by semicolons"`
	Mean   config.Vector `desc:"mean of ρ, d numbers separated by commas; zeros if empty"`
	Points int           `default:"50000" range:"100..10000000" desc:"points of ρ to learn from"`
	Share  float64       `default:"1" range:">0..1" desc:"share of the first potential's curvature that is in its quadratic; the rest is in the hinges"`
	Chain  int           `default:"500" range:"20..100000" desc:"Langevin steps of the chains that measure the learned Gibbs factor"`
}

// Fixed names the source: the truth is that of the Gibbs factor.
func (c *GaussianConfig) Fixed() []string { return []string{"CMF_SOURCE"} }

// Validate checks the law and the number of points.
func (c *GaussianConfig) Validate() error {
	if _, err := c.law(); err != nil {
		return err
	}
	if most := 1 << 28 / len(c.Cov); c.Points > most {
		return fmt.Errorf("CMF_POINTS=%d: allowed are 100 to %d, in %d dimensions", c.Points, most, len(c.Cov))
	}
	return fit.CheckLoss(&c.Core, false)
}

// law is N(CMF_MEAN, CMF_COV).
func (c *GaussianConfig) law() (*exact.Gaussian, error) {
	d := len(c.Cov)
	if d > table.MaxDim {
		return nil, fmt.Errorf("CMF_COV: the matrix has %d rows; allowed are 1 to %d", d, table.MaxDim)
	}
	mean := c.Mean
	if len(mean) == 0 {
		mean = make(config.Vector, d)
	}
	if len(mean) != d {
		return nil, fmt.Errorf("CMF_MEAN=%v: it has %d numbers, the covariance has dimension %d; give %d numbers, or none for zeros", c.Mean, len(mean), d, d)
	}
	g, err := exact.GaussianFromMatrix(mean, c.Cov.Dense())
	if err != nil {
		return nil, fmt.Errorf("CMF_COV=%v: %w; give a symmetric positive definite matrix such as 2,1.8;1.8,2", c.Cov, err)
	}
	if lo, hi := g.Values[0], g.Values[d-1]; lo < 1e-12 || hi > 1e12 {
		return nil, fmt.Errorf("CMF_COV=%v: its eigenvalues go from %g to %g; allowed are 1e-12 to 1e12", c.Cov, lo, hi)
	}
	if floats.Norm(mean, math.Inf(1)) > 1e6 {
		return nil, fmt.Errorf("CMF_MEAN=%v: allowed are coordinates from -1e6 to 1e6", c.Mean)
	}
	return g, nil
}

// Gaussian is Figure 1's experiment: N(m, Σ), whose moment and conjugate moment potentials
// are known in closed form. CMFGen learns the potential from its points, and CMFMA from its
// energy, both starting at the identity.
var Gaussian = run.Definition[GaussianConfig]{
	Name: "gaussian",
	Presets: map[string]func(*GaussianConfig){
		"quick": func(c *GaussianConfig) { c.Steps, c.Chain, c.LR = 500, 100, 3e-2 },
		"default": func(c *GaussianConfig) {
			c.Steps, c.Hidden, c.LR, c.Init, c.Particles = 3000, config.Widths{64}, 2e-2, config.InitIdentity, 8192
		},
		"paper": func(c *GaussianConfig) {
			c.Steps, c.Batch, c.Hidden, c.LR = 20000, 1024, config.Widths{64, 64, 64, 64}, 2e-3
		},
	},
	Do: doGaussian,
}

func doGaussian(ctx context.Context, r *run.Run, c *GaussianConfig) error {
	given, err := c.law()
	if err != nil {
		return err
	}
	u, law, err := learnedGaussian(given)
	if err != nil {
		return err
	}
	target.NoteUnits(r, u)
	truth, moment := law.ConjugateMoment(), law.Moment()
	gibbs := truth.Gibbs()
	r.Report.Data = fmt.Sprintf("N(m, Σ) on ℝ^%d", law.Dim())
	r.Report.Truth = map[string]any{
		"gibbs_mean":       gibbs.Mean,
		"gibbs_cov":        rowsOf(gibbs.Power(1)),
		"moment_gibbs_cov": rowsOf(moment.Gibbs().Power(1)),
		"log_z":            truth.LogZ(),
	}
	train := law.Sample(c.Points, random.New(c.Seed, "points", 0))
	held := law.Sample(20000, random.New(c.Seed, "held out", 0))
	if err := fitFloor(r, train, held, truth); err != nil {
		return err
	}

	shape := layers.Architecture{Dim: law.Dim(), Hidden: c.Hidden, Unit: c.Unit, Full: true}
	potential, err := c.Network(shape, layers.Architecture{Pieces: 1})
	if err != nil {
		return err
	}
	watch := centerWatch{center: gibbs.Mean, from: c.Steps / 2}
	// The fixed part is small, because Σ^{-1/3} may be far below the identity. Hinges are
	// soft, because the map is linear and a kink would have to be unlearned first.
	start := layers.Start{Law: law, Share: c.Share, Fixed: .02, Spread: 1}
	model, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
		Potential:    potential,
		Start:        start,
		Train:        train,
		Units:        target.ForProblem(u),
		Particles:    c.Particles,
		Langevin:     c.Langevin,
		Tolerance:    1e-3,
		Decay:        .995,
		Precondition: true,
		Watch:        watch.see,
		WatchEvery:   max(1, c.Steps/200),
	})
	if err != nil || !model.Finished {
		return err
	}
	metrics := r.Report.Metrics
	if metrics["cmfgen.center_distance_max"], err = watch.most(r); err != nil {
		return err
	}
	if metrics["cmfgen.uvp_percent"], err = metric.PotentialUVP(model.Evaluator, truth, held); err != nil {
		return err
	}
	mean, cov, err := gibbsMoments(ctx, model, 2000, c.Chain, random.New(c.Seed, "Gibbs factor", 0))
	if err != nil {
		return err
	}
	metrics["cmfgen.gibbs_mean_error"] = floats.Distance(mean, gibbs.Mean, 2)
	metrics["cmfgen.gibbs_cov_rel_error"] = relativeError(cov, gibbs.Power(1))
	draw, err := model.Draw(ctx, 4000, c.Chain, random.New(c.Seed, "generation", 0))
	if err != nil {
		return err
	}
	draw.Report(r)
	samples, err := u.Data(draw.Points, nil)
	if err != nil {
		return err
	}
	if err := r.SaveSamples(samples); err != nil {
		return err
	}
	byEnergy, err := c.learnEnergy(ctx, r, shape, start, given, u)
	if err != nil || !byEnergy.Finished {
		return err
	}
	if metrics["cmfma.uvp_percent"], err = metric.PotentialUVP(byEnergy.Evaluator, truth, held); err != nil {
		return err
	}
	gaussianPage(r)
	r.Judge(uvpBounds("")...)
	if law.Dim() != 2 {
		return nil
	}
	return drawFigure1(ctx, r, law, u, model, draw, held)
}

// learnedGaussian are the units of learning of a Gaussian, and the law in them.
func learnedGaussian(law *exact.Gaussian) (units.Affine, *exact.Gaussian, error) {
	cov := law.Power(1)
	sd := make([]float64, law.Dim())
	for k := range sd {
		sd[k] = math.Sqrt(cov.At(k, k))
	}
	u := target.UnitsAbout(law.Mean, sd)
	if u.Scale == nil {
		return u, law, nil
	}
	in, err := exact.GaussianFromMatrix(target.PointIn(law.Mean, u), target.CovarianceIn(cov, u))
	return u, in, err
}

// uvpBounds are bounds of the unexplained variance of maps, which is 100 % for a constant
// map; baseline is what that of the report is.
func uvpBounds(baseline string) (bounds []run.Bound) {
	for _, by := range []struct{ name, label string }{{"cmfgen", "from samples"}, {"cmfma", "from the energy"}} {
		bounds = append(bounds, run.Bound{
			Metric: by.name + ".uvp_percent", Label: "unexplained variance of the map learned " + by.label + ", in percent,",
			Poor: 5, Useless: 100, Baseline: baseline, Margin: .01,
		})
	}
	return bounds
}

// learnEnergy learns the same potential by CMFMA, from the law's energy.
func (c *GaussianConfig) learnEnergy(ctx context.Context, r *run.Run, shape layers.Architecture, start layers.Start, law *exact.Gaussian, u units.Affine) (*fit.Model, error) {
	potential, err := c.Network(shape, layers.Architecture{Pieces: 1})
	if err != nil {
		return nil, err
	}
	given := data.GaussianEnergy(law)
	e, err := data.InUnits(given, u)
	if err != nil {
		return nil, err
	}
	return target.Boxed{Energy: e, Box: data.BoxInUnits(given.Box, u)}.Fit(ctx, r, &c.Core, fit.Problem{
		Name: "cmfma", Loss: "monge-ampere", Potential: potential, Start: start, Units: target.ForProblem(u), Particles: c.Particles, Langevin: 2, Decay: .995,
	})
}

// centerWatch follows the mean of the bank of particles. It oscillates about c if training
// solves each transport problem too accurately.
type centerWatch struct {
	center []float64
	from   int // the step from which on most counts
}

func (w *centerWatch) see(m *fit.Model) (report.Numbers, error) {
	return report.Numbers{"center_distance": floats.Distance(batch.Means(m.State.Bank.Y), w.center, 2)}, nil
}

// most is the largest distance of the mean from c, from the log of the whole run.
func (w *centerWatch) most(r *run.Run) (most float64, err error) {
	curves, err := report.ReadMetricsLog(r.Path(""))
	if err != nil {
		return 0, err
	}
	seen := curves["center_distance"]
	for i, step := range seen.X {
		if step > float64(w.from) {
			most = max(most, seen.Y[i])
		}
	}
	return most, nil
}

// fitFloor judges the closed form with the moments of the training points, which is the
// best that their number allows.
func fitFloor(r *run.Run, train, held blas32.General, truth potential.Potential) error {
	fit, err := exact.FitGaussian(train, 0)
	if err != nil {
		return err
	}
	r.Report.Floor["cmfgen.uvp_percent"], err = metric.PotentialUVP(fit.ConjugateMoment(), truth, held)
	return err
}

// relativeError is ‖A − B‖/‖B‖ in the Frobenius norm.
func relativeError(a, b *mat.SymDense) float64 {
	var gap mat.Dense
	gap.Sub(a, b)
	return mat.Norm(&gap, 2) / mat.Norm(b, 2)
}

func rowsOf(m *mat.SymDense) [][]float64 {
	out := make([][]float64, m.SymmetricDim())
	for i := range out {
		out[i] = mat.Row(nil, i, m)
	}
	return out
}

// gibbsMoments are the mean and the covariance of the learned Gibbs factor, from n chains
// of MALA: the first fifth of the steps adapts, the others count. The end of ctx is an
// error.
func gibbsMoments(ctx context.Context, m *fit.Model, n, steps int, rng *random.Stream) ([]float64, *mat.SymDense, error) {
	bank := m.State.Bank.Y
	start := batch.New(n, bank.Cols)
	for i := range n {
		copy(batch.Row(start, i), batch.Row(bank, i%bank.Rows))
	}
	chains, err := sampling.NewChains(start)
	if err != nil {
		return nil, nil, err
	}
	sampler := sampling.Langevin{Adjusted: true, Step: m.State.Bank.Step, Preconditioner: m.NoisePreconditioner()}
	if _, err := sampler.Run(ctx, m.Noise, chains, steps/5, rng); err != nil {
		return nil, nil, fmt.Errorf("sampling: %w", err)
	}
	sampler.Freeze = true
	const thin = 4
	times := float64((steps - steps/5) / thin)
	mean, square := make([]float64, bank.Cols), mat.NewSymDense(bank.Cols, nil)
	for range int(times) {
		if _, err := sampler.Run(ctx, m.Noise, chains, thin, rng); err != nil {
			return nil, nil, fmt.Errorf("sampling: %w", err)
		}
		now, cov := batch.Moments(chains.Y)
		floats.AddScaled(mean, 1/times, now)
		cov.SymRankOne(cov, 1, mat.NewVecDense(len(now), now))
		cov.ScaleSym(1/times, cov)
		square.AddSym(square, cov)
	}
	square.SymRankOne(square, -1, mat.NewVecDense(len(mean), mean))
	return mean, square, nil
}
