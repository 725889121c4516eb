package inference

import (
	"context"
	"fmt"
	"maps"
	"math"

	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// observations are the outputs whose posteriors are drawn, the same for all seeds.
func (s Simulator) observations(c *Config) (blas32.General, error) {
	_, x, err := s.Pairs(c.Observations, random.New(1, "observations", 0))
	if err == nil && len(c.Observed) > 0 {
		batch.Narrow(batch.Row(x, 0), c.Observed)
	}
	return x, err
}

// observe draws from the posteriors given the observations, and compares them with exact draws.
func (s Simulator) observe(ctx context.Context, r *run.Run, c *Config, m *fit.Model) error {
	at, err := s.observations(c)
	if err != nil {
		return err
	}
	if s.Reference == nil {
		at = batch.First(at, 1)
	} else {
		r.Report.Floor = report.Numbers{}
		r.Page.Headline = append(r.Page.Headline,
			report.Headline{Metric: "c2st", Label: "Accuracy at which a network tells draws from exact ones", Goal: report.Nearer, Target: .5},
			report.Headline{Metric: "c2st_nn", Label: "Accuracy at which the nearest neighbour does so", Goal: report.Nearer, Target: .5},
			report.Headline{Metric: "energy_distance", Label: "Energy distance to exact draws", Goal: report.Lower})
	}
	means := report.Numbers{}
	for k := range at.Rows {
		points, d, err := s.draw(ctx, m, batch.Rows(at, k, k+1), c.Count, c.Mixing, random.New(c.Seed, "posterior", uint64(k)))
		if err != nil {
			return err
		}
		if k == 0 {
			d.Report(r)
			if err := s.show(ctx, r, c, batch.Row(at, 0), points); err != nil {
				return err
			}
		}
		if s.Reference == nil {
			return nil
		}
		numbers, err := s.compare(ctx, r, c, batch.Row(at, k), k, points)
		if err != nil {
			return err
		}
		for name, v := range numbers {
			means[name] += v / float64(at.Rows)
		}
	}
	maps.Copy(r.Report.Metrics, means)
	return nil
}

// show saves and draws points of the posterior given x.
func (s Simulator) show(ctx context.Context, r *run.Run, c *Config, x []float32, points blas32.General) error {
	r.Note("samples.npy: draws of the parameters given the output %.4g.", x)
	if err := r.SaveSamples(points); err != nil {
		return err
	}
	clouds := []figure.Cloud{{Name: "learned posterior", Points: batch.First(points, 2000)}}
	if s.Reference != nil {
		truth, err := s.Exact(x, min(c.Count, 2000), random.New(c.Seed, "exact posterior", 0))
		if err != nil {
			return err
		}
		clouds = append([]figure.Cloud{{Name: "exact posterior", Points: truth}}, clouds...)
	}
	caption := fmt.Sprintf("Draws given the output %.4g.", x)
	return r.Figure(ctx, report.Figure{File: "posterior.png", Caption: caption}, true, func(path string) error {
		if len(s.Parameters) == 1 {
			return figure.DrawHistogram(path, figure.Axes{X: s.Parameters[0], Y: "density"}, points.Data, 0)
		}
		return figure.DrawPairs(path, s.Parameters[:min(5, len(s.Parameters))], clouds)
	})
}

// compare measures the distances of points from exact draws given x, the k-th observation, and
// for the first also those of exact draws from exact ones.
func (s Simulator) compare(ctx context.Context, r *run.Run, c *Config, x []float32, k int, points blas32.General) (report.Numbers, error) {
	truth, err := s.Exact(x, points.Rows, random.New(c.Seed, "exact posterior", uint64(2*k)))
	if err != nil {
		return nil, err
	}
	numbers, err := distances(ctx, truth, points, random.New(c.Seed, "classifier", uint64(k)))
	if err != nil {
		return nil, err
	}
	r.Note("Given observation %d, %.4g: C2ST %.4f.", k+1, x, numbers["c2st"])
	if k > 0 {
		return numbers, nil
	}
	again, err := s.Exact(x, points.Rows, random.New(c.Seed, "exact posterior", 1))
	if err != nil {
		return nil, err
	}
	r.Report.Floor, err = distances(ctx, truth, again, random.New(c.Seed, "classifier", 0))
	return numbers, err
}

// distances of points from exact draws: the accuracies of two-sample tests and the energy
// distance.
func distances(ctx context.Context, truth, points blas32.General, rng *random.Stream) (report.Numbers, error) {
	c2st, err := metric.ClassifierAccuracy(ctx, truth, points, rng)
	if err != nil {
		return nil, err
	}
	nearest, err := metric.NearestNeighbourAccuracy(points, truth)
	if err != nil {
		return nil, err
	}
	energy, err := metric.EnergyDistance(points, truth)
	return report.Numbers{"c2st": c2st, "c2st_nn": nearest, "energy_distance": energy}, err
}

// density evaluates the mean log density of fresh pairs.
func (s Simulator) density(ctx context.Context, r *run.Run, c *Config, m *fit.Model) error {
	theta, x, err := s.Pairs(min(c.Pairs, 200), random.New(c.Seed, "held-out pairs", 0))
	if err != nil {
		return err
	}
	z, err := m.Units().Learning(theta)
	if err != nil {
		return err
	}
	l, err := m.LogPDFGiven(ctx, z, x, 0, random.New(c.Seed, "log Z", 0))
	if err != nil {
		return err
	}
	volume, err := m.Units().LogVolume(z, theta)
	if err != nil {
		return err
	}
	for i, v := range volume {
		l.LogPDF[i] += v
	}
	if s.Plain { // what lies beyond the bounds is drawn again, so that the law is that within them
		within, err := s.withinBounds(ctx, m, x, c.Ranks, c.Mixing, random.New(c.Seed, "bounds", 0))
		if err != nil {
			return err
		}
		for i, share := range within {
			l.LogPDF[i] -= math.Log(share)
		}
	}
	var failed int
	r.Report.Metrics["log_posterior"], r.Report.Metrics["log_posterior_se"], failed = fit.FiniteMean(l.LogPDF)
	r.Report.Metrics["log_posterior_failed"] = float64(failed)
	return nil
}

// calibrate judges the posteriors of fresh pairs by ranks.
func (s Simulator) calibrate(ctx context.Context, r *run.Run, c *Config, m *fit.Model) error {
	theta, x, err := s.Pairs(c.Pairs, random.New(c.Seed, "calibration", 0))
	if err != nil {
		return err
	}
	ranks, err := s.Calibrate(ctx, m, theta, x, c.Ranks, c.Mixing, random.New(c.Seed, "ranks", 0))
	if err != nil {
		return err
	}
	least := 1.
	within := 0.
	for k := range s.Parameters {
		least = min(least, ranks.PValue(k, 10))
		if ranks.Deviation(k) <= ranks.Band() {
			within += 1 / float64(len(s.Parameters))
		}
	}
	r.Report.Metrics["ranks_p_value"] = min(1, least*float64(len(s.Parameters)))
	r.Report.Metrics["ranks_within_band"] = within
	r.Page.Headline = append(r.Page.Headline, report.Headline{Metric: "coverage_error_90", Label: "Largest error of the coverage of 90 % intervals", Goal: report.Lower})
	for _, percent := range []int{50, 90} {
		level := float64(percent) / 100
		within := 0.
		for k := range s.Parameters {
			if ranks.CoverageError(k, level) <= ranks.CoverageBand(level) {
				within += 1 / float64(len(s.Parameters))
			}
		}
		r.Report.Metrics[fmt.Sprintf("coverage_error_%d", percent)] = ranks.WorstCoverage(level)
		r.Report.Metrics[fmt.Sprintf("coverage_within_band_%d", percent)] = within
	}
	return s.drawCalibration(ctx, r, ranks)
}

// drawCalibration draws the cumulated ranks and the coverage of central intervals, with the bands
// in which they lie for exact posteriors.
func (s Simulator) drawCalibration(ctx context.Context, r *run.Run, c *Calibration) error {
	const n = 50
	band, around := figure.Series{Name: "95 % band"}, figure.Series{Name: "95 % band"}
	for i := range 2*n + 2 { // there above 0, and back below
		level, side := float64(i)/n, 1.
		if i > n {
			level, side = float64(2*n+1-i)/n, -1
		}
		band.X, band.Y = append(band.X, level), append(band.Y, side*c.Band())
		around.X, around.Y = append(around.X, level), append(around.Y, side*c.CoverageBand(level))
	}
	ranks, coverage := []figure.Series{band}, []figure.Series{around}
	for k, name := range s.Parameters[:min(10, len(s.Parameters))] {
		cumulated, covered := figure.Series{Name: name}, figure.Series{Name: name}
		for i := range c.Draws + 2 {
			level := float64(i) / float64(c.Draws+1)
			cumulated.X, cumulated.Y = append(cumulated.X, level), append(cumulated.Y, c.Below(k, i)-level)
		}
		for i := c.Draws + 1; i >= 0; i -= 2 { // levels that intervals of ranks attain
			level := float64(i) / float64(c.Draws+1)
			covered.X, covered.Y = append(covered.X, level), append(covered.Y, c.Coverage(k, level)-level)
		}
		ranks, coverage = append(ranks, cumulated), append(coverage, covered)
	}
	caption := fmt.Sprintf("Share of %d pairs whose rank is below a share of the draws, minus that share. Of an exact posterior the whole curve lies in the band with a probability of 95 %%.", len(c.Ranks[0]))
	err := r.Figure(ctx, report.Figure{File: "ranks.png", Caption: caption}, false, func(path string) error {
		return figure.DrawCurves(path, figure.Axes{X: "rank", Y: "cumulated share − rank"}, ranks...)
	})
	if err != nil {
		return err
	}
	caption = "Share of pairs whose parameter lies in the central interval of a level, minus the level. Of an exact posterior it lies in the band at each level with a probability of 95 %."
	return r.Figure(ctx, report.Figure{File: "coverage.png", Caption: caption}, false, func(path string) error {
		return figure.DrawCurves(path, figure.Axes{X: "level", Y: "coverage − level"}, coverage...)
	})
}
