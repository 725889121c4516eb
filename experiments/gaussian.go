package experiments

import (
	"context"
	"fmt"
	"math"

	"cmf/data"
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
	Core
	Cov       Matrix  `default:"2,1.8;1.8,2" desc:"covariance of ρ, (d, d): numbers parted by commas, rows by semicolons"`
	Mean      Vector  `desc:"mean of ρ, d numbers parted by commas; when empty, zeros"`
	Points    int     `default:"50000" desc:"points of ρ to learn from"`
	Particles int     `default:"8192" desc:"particles in the bank; rounded up to a multiple of CMF_BATCH"`
	Langevin  int     `default:"5" desc:"Langevin steps of a batch of particles in each iteration"`
	Share     float64 `default:"1" desc:"share of the first potential's curvature that its quadratic has, the hinges the rest, in (0, 1]"`
	Chain     int     `default:"500" desc:"Langevin steps of the chains that measure the learned Gibbs factor"`
}

// Validate checks the experiment's own variables.
func (c *GaussianConfig) Validate() error {
	if _, err := c.law(); err != nil {
		return err
	}
	if err := oneOf("CMF_SOURCE", c.Source, "gibbs"); err != nil {
		return fmt.Errorf("%w: the truth is that of the Gibbs factor", err)
	}
	if err := c.checkLoss(false); err != nil {
		return err
	}
	most := min(10_000_000, 1<<28/len(c.Cov))
	return allowed(
		rule{c.Points >= 100 && c.Points <= most, "POINTS", c.Points, fmt.Sprintf("allowed are 100 to %d, in %d dimensions", most, len(c.Cov))},
		rule{c.Particles >= 1 && c.Particles <= 1000000, "PARTICLES", c.Particles, "allowed are 1 to 1000000"},
		rule{c.Langevin >= 1 && c.Langevin <= 10000, "LANGEVIN", c.Langevin, "allowed are 1 to 10000 steps"},
		rule{c.Share > 0 && c.Share <= 1, "SHARE", c.Share, "allowed are numbers above 0, up to 1"},
		rule{c.Chain >= 20 && c.Chain <= 100000, "CHAIN", c.Chain, "allowed are 20 to 100000"},
	)
}

// law is N(CMF_MEAN, CMF_COV).
func (c *GaussianConfig) law() (*exact.Gaussian, error) {
	d := len(c.Cov)
	if d > maxDim {
		return nil, fmt.Errorf("CMF_COV: a matrix of %d rows; allowed are 1 to %d", d, maxDim)
	}
	mean := c.Mean
	if len(mean) == 0 {
		mean = make(Vector, d)
	}
	if len(mean) != d {
		return nil, fmt.Errorf("CMF_MEAN=%v: %d numbers for a covariance of dimension %d; give %d, or none for zeros", c.Mean, len(mean), d, d)
	}
	g, err := exact.GaussianFromMatrix(mean, c.Cov.dense())
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

// Gaussian is Figure 1's experiment: N(m, Σ), whose moment and conjugate moment
// potentials are known in closed form, and the potentials that CMFGen learns from
// its points and CMFMA from its energy, starting at the identity.
var Gaussian = Definition[GaussianConfig]{
	Name: "gaussian",
	Presets: map[string]func(*GaussianConfig){
		"quick":   func(c *GaussianConfig) { c.Steps, c.Chain, c.LR = 500, 100, 3e-2 },
		"default": func(c *GaussianConfig) { c.Steps, c.Hidden, c.LR, c.Init = 3000, Widths{64}, 2e-2, "identity" },
		"paper":   func(c *GaussianConfig) { c.Steps, c.Batch, c.Hidden, c.LR = 20000, 1024, Widths{64, 64, 64, 64}, 2e-3 },
	},
	Do: doGaussian,
}

func doGaussian(ctx context.Context, r *Run, c *GaussianConfig) error {
	law, err := c.law()
	if err != nil {
		return err
	}
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
	if err := r.fitFloor(train, held, truth); err != nil {
		return err
	}

	shape := layers.Architecture{Dim: law.Dim(), Hidden: c.Hidden, Full: true}
	potential, err := layers.NewICNN(shape)
	if err != nil {
		return err
	}
	watch := centerWatch{center: gibbs.Mean, from: c.Steps / 2}
	// A low floor, as Σ^{-1/3} may lie far below the identity, and soft hinges, as
	// the map is linear and a kink would first be unlearned.
	start := layers.Start{Law: startLaw(c.Init, law), Share: c.Share, Fixed: .02, Spread: 1}
	model, err := Fit(ctx, r, &c.Core, Problem{
		Potential:    potential,
		Start:        start,
		Train:        train,
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
	if metrics["cmfgen.uvp_percent"], err = potentialUVP(model.Evaluator, truth, held); err != nil {
		return err
	}
	mean, cov, err := model.gibbsMoments(2000, c.Chain, random.New(c.Seed, "Gibbs factor", 0))
	if err != nil {
		return err
	}
	metrics["cmfgen.gibbs_mean_error"] = floats.Distance(mean, gibbs.Mean, 2)
	metrics["cmfgen.gibbs_cov_rel_error"] = relativeError(cov, gibbs.Power(1))
	draw, err := model.Draw(4000, c.Chain, random.New(c.Seed, "generation", 0))
	if err != nil {
		return err
	}
	for name, v := range draw.Checks {
		metrics[name] = v
	}
	if err := r.SaveSamples(draw.Points); err != nil {
		return err
	}
	byEnergy, err := c.learnEnergy(ctx, r, shape, start, law)
	if err != nil || !byEnergy.Finished {
		return err
	}
	if metrics["cmfma.uvp_percent"], err = potentialUVP(byEnergy.Evaluator, truth, held); err != nil {
		return err
	}
	r.gaussianPage()
	if law.Dim() != 2 {
		return nil
	}
	return r.drawFigure1(law, model, draw, held)
}

// learnEnergy learns the same potential by CMFMA, from the law's energy.
func (c *GaussianConfig) learnEnergy(ctx context.Context, r *Run, shape layers.Architecture, start layers.Start, law *exact.Gaussian) (*Model, error) {
	potential, err := layers.NewICNN(shape)
	if err != nil {
		return nil, err
	}
	e := data.GaussianEnergy(law)
	return (&energyTarget{energy: e, box: e.Box}).fit(ctx, r, &c.Core, Problem{
		Name: "cmfma", Loss: "monge-ampere", Potential: potential, Start: start, Particles: c.Particles, Langevin: 2, Decay: .995,
	})
}

// centerWatch follows the mean of the bank of particles, which oscillates about
// c where training resolves each transport problem too well.
type centerWatch struct {
	center []float64
	from   int // the step from which most counts
}

func (w *centerWatch) see(m *Model) (Numbers, error) {
	return Numbers{"center_distance": floats.Distance(batch.Means(m.State.Bank.Y), w.center, 2)}, nil
}

// most is the largest distance of the mean from c, by the log of the whole run.
func (w *centerWatch) most(r *Run) (most float64, err error) {
	curves, err := ReadMetricsLog(r.path(""))
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

// potentialUVP is UVP of ∇w against ∇w† at the rows of x.
func potentialUVP(learned, truth potential.Potential, x blas32.General) (float64, error) {
	got, want := batch.New(x.Rows, x.Cols), batch.New(x.Rows, x.Cols)
	if err := learned.Eval(x, nil, got); err != nil {
		return 0, err
	}
	if err := truth.Eval(x, nil, want); err != nil {
		return 0, err
	}
	return UVP(got, want)
}

// fitFloor judges the closed form at the moments of the training points: what
// their number allows.
func (r *Run) fitFloor(train, held blas32.General, truth potential.Potential) error {
	fit, err := exact.FitGaussian(train, 0)
	if err != nil {
		return err
	}
	r.Report.Floor["cmfgen.uvp_percent"], err = potentialUVP(fit.ConjugateMoment(), truth, held)
	return err
}

// gibbsMoments are mean and covariance of the learned Gibbs factor over n chains
// of MALA: a fifth of the steps adapts, the others count.
func (m *Model) gibbsMoments(n, steps int, rng *random.Stream) ([]float64, *mat.SymDense, error) {
	bank := m.State.Bank.Y
	start := batch.New(n, bank.Cols)
	for i := range n {
		copy(batch.Row(start, i), batch.Row(bank, i%bank.Rows))
	}
	chains, err := sampling.NewChains(start)
	if err != nil {
		return nil, nil, err
	}
	sampler := sampling.Langevin{Adjusted: true, Step: m.State.Bank.Step, Preconditioner: m.noisePreconditioner()}
	if _, err := sampler.Run(m.Noise, chains, steps/5, rng.Rand); err != nil {
		return nil, nil, fmt.Errorf("sampling: %w", err)
	}
	sampler.Freeze = true
	const thin = 4
	times := float64((steps - steps/5) / thin)
	mean, square := make([]float64, bank.Cols), mat.NewSymDense(bank.Cols, nil)
	for range int(times) {
		if _, err := sampler.Run(m.Noise, chains, thin, rng.Rand); err != nil {
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
