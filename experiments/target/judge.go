package target

import (
	"context"
	"math"
	"slices"

	"cmf/data"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/stat"
)

// Judging is how a model is judged.
type Judging struct {
	Seed    uint64
	Chain   int // Langevin steps of the chains that generate points
	Samples int // points in each set, between which exact distances are computed
	Sets    int // sets of points to generate
}

// Fit is what was learned from an energy, and how well.
type Fit struct {
	draw      *fit.Draw
	corrected blas32.General      // draw.Points resampled by their importance weights
	density   density.Pushforward // q_w
}

// Judge measures the density, the weights and the points of a model against E, and against
// exact points if there are any. It writes the points, and warns of a poor fit.
func (t *Energy) Judge(ctx context.Context, r *run.Run, c Judging, m *fit.Model) (*Fit, error) {
	draw, err := m.Draw(ctx, c.Sets*c.Samples, c.Chain, random.New(c.Seed, "generation", 0))
	if err != nil {
		return nil, err
	}
	metrics := r.Report.Metrics
	delete(draw.Checks, "ess") // it is that of the chains; here it is that of the weights
	draw.Report(r)
	fit := &Fit{draw: draw, density: density.Pushforward{Potential: m.Evaluator}}
	z, err := m.GibbsLogZ(ctx, c.Sets*c.Samples, random.New(c.Seed, "annealing", 0))
	if err != nil {
		return nil, err
	}
	fit.density.LogZ, metrics["gibbs_log_z"], metrics["gibbs_log_z_se"] = z.LogZ, z.LogZ, z.Error

	residual, energy, logq, err := t.residual(ctx, fit.density, draw.Points)
	if err != nil {
		return nil, err
	}
	weights, err := density.NewImportance(energy, logq)
	if err != nil {
		return nil, err
	}
	fit.corrected = batch.Gathered(draw.Points, weights.Resample(draw.Points.Rows, random.New(c.Seed, "resampling", 0)))
	if weights.Tail > .7 {
		r.Note("The largest importance weights have the tail shape %.2f. Above 0.7, effective sample size and log Z may have larger errors than stated.", weights.Tail)
	}
	metrics["residual_sd"] = residual
	metrics["ess"], metrics["weights_failed"], metrics["weights_tail"] = weights.Size, float64(weights.Failed()), weights.Tail
	metrics["log_z"], metrics["log_z_se"] = weights.LogZ+data.LogScale(t.Units), math.Hypot(weights.Error, metrics["gibbs_log_z_se"])
	if !math.IsNaN(t.logZ) {
		metrics["log_z_error"] = math.Abs(metrics["log_z"] - t.logZ)
	}
	if t.grid != nil {
		learned := func(x blas32.General) ([]float64, error) {
			logq, _, err := fit.density.LogPDF(ctx, x)
			return logq, err
		}
		if metrics["kl_grid"], err = t.divergence(learned); err != nil {
			return nil, err
		}
		law, err := exact.FitGaussian(t.grid.Sample(4096, random.New(c.Seed, "Gaussian fit", 0)), 0)
		if err != nil {
			return nil, err
		}
		if r.Report.Baseline["kl_grid"], err = t.divergence(law.LogPDF); err != nil {
			return nil, err
		}
	}
	if err := t.compare(ctx, r, c, fit); err != nil {
		return nil, err
	}
	samples, err := t.Units.Data(draw.Points, nil)
	if err != nil {
		return nil, err
	}
	least := 10 / float64(samples.Rows)
	r.Judge(
		run.Bound{Metric: "ess", Label: "effective sample size of the importance weights, as a share of the points,", Goal: report.Higher, Poor: max(.05, least), Useless: least},
		run.Bound{Metric: "kl_grid", Label: "divergence KL(ρ‖q)", Baseline: "the Gaussian with the moments of ρ", Margin: .02},
	)
	return fit, r.SaveSamples(samples)
}

// residual is the standard deviation of E + log q_w over the rows of x at which it is
// finite. It also returns both parts.
func (t *Energy) residual(ctx context.Context, q density.Pushforward, x blas32.General) (sd float64, energy []float32, logq []float64, err error) {
	energy = make([]float32, x.Rows)
	if err := t.Energy.Eval(x, energy, blas32.General{}); err != nil {
		return 0, nil, nil, err
	}
	if logq, _, err = q.LogPDF(ctx, x); err != nil {
		return 0, nil, nil, err
	}
	var finite []float64
	for i, e := range energy {
		if v := float64(e) + logq[i]; !math.IsNaN(v) && !math.IsInf(v, 0) {
			finite = append(finite, v)
		}
	}
	return stat.StdDev(finite, nil), energy, logq, nil
}

// compare compares points with exact ones; the floor is the metric between two sets of
// exact points.
func (t *Energy) compare(ctx context.Context, r *run.Run, c Judging, fit *Fit) error {
	if t.sample == nil {
		return nil
	}
	n := fit.draw.Points.Rows
	exact := t.sample(n, random.New(c.Seed, "exact points", 0))
	other := t.sample(n, random.New(c.Seed, "exact points", 1))
	var err error
	if r.Report.Metrics["residual_sd_exact"], _, _, err = t.residual(ctx, fit.density, exact); err != nil {
		return err
	}
	// The baseline: as many chains as points, at as many evaluations as training.
	walk, err := t.Explore(ctx, c.Samples, int(r.Report.Metrics["energy_evaluations"]), random.New(c.Seed, "baseline", 0))
	if err != nil {
		return err
	}
	for _, v := range []struct {
		into   report.Numbers
		name   string
		points blas32.General
	}{
		{r.Report.Metrics, "w2", fit.draw.Points}, {r.Report.Metrics, "w2_corrected", fit.corrected},
		{r.Report.Floor, "w2", other}, {r.Report.Baseline, "w2", walk.Points},
	} {
		if v.into[v.name], err = setsW2(ctx, t.lengths(v.points), t.lengths(exact), c.Samples); err != nil {
			return err
		}
	}
	r.Report.Floor["w2_corrected"], r.Report.Baseline["w2_corrected"] = r.Report.Floor["w2"], r.Report.Baseline["w2"]
	return nil
}

// lengths are points in the lengths of the data, about the centre of the units of learning.
func (t *Energy) lengths(x blas32.General) blas32.General {
	if t.Units.Scale == nil {
		return x
	}
	out := batch.New(x.Rows, x.Cols)
	for i := range out.Data {
		out.Data[i] = float32(t.Units.Scale[i%x.Cols] * float64(batch.Row(x, i/x.Cols)[i%x.Cols]))
	}
	return out
}

// setsW2 is the root mean square of ExactW2 over sets of n rows of x and of y. If x has
// fewer sets than y, they are used again.
func setsW2(ctx context.Context, x, y blas32.General, n int) (float64, error) {
	var sum float64
	sets := y.Rows / n
	for k := range sets {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		i := k % (x.Rows / n) * n
		v, err := metric.ExactW2(batch.Rows(x, i, i+n), batch.Rows(y, k*n, (k+1)*n))
		if err != nil {
			return 0, err
		}
		sum += v * v / float64(sets)
	}
	return math.Sqrt(sum), nil
}

// divergence is KL(ρ‖q) by quadrature, from log q at points.
func (t *Energy) divergence(logPDF func(x blas32.General) ([]float64, error)) (float64, error) {
	const negligible = 25 // below the largest log density
	most := data.DefaultCells(t.Energy.Dim())
	grid, err := data.RefineQuadrature(t.Energy, t.Box, .01, most/3, most)
	if err != nil {
		return 0, err
	}
	peak := slices.Max(grid.LogDensity)
	var held []int
	for i, l := range grid.LogDensity {
		if l > peak-negligible {
			held = append(held, i)
		}
	}
	logq, err := logPDF(batch.Gathered(grid.Centres(), held))
	if err != nil {
		return 0, err
	}
	all := append([]float64(nil), grid.LogDensity...)
	for k, i := range held {
		all[i] = logq[k]
	}
	return grid.KL(all)
}
