package experiments

import (
	"context"
	"fmt"
	"math"
	"slices"

	"cmf/data/units"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// judge compares generated points, those of the Gaussian fit and, for the floor, training
// rows with equally many held-out rows; all in units of learning.
func (s *pointSet) judge(ctx context.Context, r *run.Run, points, gaussian blas32.General) error {
	n := points.Rows
	truth := batch.Rows(s.held, 0, n)
	for _, m := range []struct {
		z    blas32.General
		into report.Numbers
	}{
		{points, r.Report.Metrics},
		{gaussian, r.Report.Baseline},
		{batch.Rows(s.train, 0, n), r.Report.Floor},
	} {
		if err := s.compare(ctx, m.z, truth, m.into); err != nil {
			return err
		}
	}
	suffix, units := "", ""
	if s.ownScales() {
		// Otherwise a column in large units would dominate the distances.
		suffix, units = "_standard", ", columns divided by their standard deviations"
	}
	r.Page.Headline = []report.Headline{
		{Metric: "log_likelihood", Label: "Log-likelihood of held-out rows, nats per point", Goal: report.Higher},
		{Metric: "energy_distance" + suffix, Label: "Energy distance" + units, Goal: report.Lower},
		{Metric: "sliced_w2" + suffix, Label: "Sliced W2" + units, Goal: report.Lower},
		{Metric: "w2" + suffix, Label: fmt.Sprintf("W2, exact, between %d points%s", n, units), Goal: report.Lower},
		{Metric: "nn_accuracy" + suffix, Label: "1-NN two-sample accuracy" + units, Goal: report.Nearer, Target: .5},
	}
	r.Report.Notes = append(r.Report.Notes, "The baseline is a Gaussian fitted to the training rows. The energy distance is an unbiased estimate: between samples of the same law it is as often negative as positive.")
	return nil
}

// compare measures points z against the truth in the data's units and, if columns have
// separate scales, in units of learning too.
func (s *pointSet) compare(ctx context.Context, z, truth blas32.General, into report.Numbers) error {
	x, err := s.units.Data(z, nil)
	if err != nil {
		return err
	}
	held, err := s.units.Data(truth, nil)
	if err != nil {
		return err
	}
	if err := compareSamples(ctx, x, held, "", into); err != nil || !s.ownScales() {
		return err
	}
	return compareSamples(ctx, z, truth, "_standard", into)
}

// compareSamples adds the distances between two samples of the same size to into, by their
// names with a suffix.
func compareSamples(ctx context.Context, x, truth blas32.General, suffix string, into report.Numbers) error {
	numbers, err := metric.Compare(ctx, x, truth)
	for name, v := range numbers {
		into[name+suffix] = v
	}
	return err
}

// ownScales says whether columns are learned at different scales.
func (s *pointSet) ownScales() bool {
	scales := s.scales()
	return slices.ContainsFunc(scales, func(v float64) bool { return v != scales[0] })
}

// scales are the scales of the columns; pictures have none.
func (s *pointSet) scales() []float64 {
	u, _ := s.units.(units.Affine)
	return u.Scale
}

// judgeDensity reports the log-likelihood of held-out rows, and writes the rows with their log
// densities.
func (s *pointSet) judgeDensity(ctx context.Context, r *run.Run, m *fit.Model, seed uint64) error {
	d := s.held.Cols
	// A log det takes d³ operations; this limit keeps the total to seconds.
	n := min(s.held.Rows, max(64, int(1e11/math.Pow(float64(d), 3))))
	z := batch.Rows(s.held, 0, n)
	r.Progress.Log.Info("densities", "held-out rows", n)
	l, err := m.Density(ctx, z, random.New(seed, "annealing", 0))
	if err != nil {
		return err
	}
	l.Report(r.Report.Metrics)
	gaussian, err := s.law.LogPDF(z)
	if err != nil {
		return err
	}
	volume, err := s.units.LogVolume(z, blas32.General{})
	if err != nil {
		return err
	}
	for i, v := range volume {
		gaussian[i] += v
	}
	r.Report.Baseline["log_likelihood"], r.Report.Baseline["log_likelihood_se"], _ = fit.FiniteMean(gaussian)
	x, err := s.units.Data(z, nil)
	if err != nil {
		return err
	}
	header := []string{"log_density", "log_density_gaussian"}
	if s.form.Columns != nil {
		header = append(slices.Clone(s.form.Columns), header...)
	} else {
		header = nil
	}
	if s.form.Picture() {
		x = batch.New(n, 0) // a thousand columns of pixels would repeat the input
	}
	if err := r.SaveRows("densities", s.form, header, batch.WithColumns(x, l.LogPDF, gaussian)); err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("densities.npy: %d held-out rows in the units of the file, each followed by its log density under the model and under the Gaussian fit, in nats (for pictures, only these two). log_likelihood is their mean.", n))
	return nil
}
