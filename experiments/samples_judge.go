package experiments

import (
	"context"
	"fmt"
	"maps"
	"math"

	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// judge compares generated pictures, those of the Gaussian fit and, for the floor, training
// ones with equally many held-out ones.
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
	r.Page.Headline = []report.Headline{
		{Metric: "log_likelihood", Label: "Log-likelihood of held-out rows, nats per point", Goal: report.Higher},
		{Metric: "energy_distance", Label: "Energy distance", Goal: report.Lower},
		{Metric: "sliced_w2", Label: "Sliced W2", Goal: report.Lower},
		{Metric: "w2", Label: fmt.Sprintf("W2, exact, between %d pictures", n), Goal: report.Lower},
		{Metric: "nn_accuracy", Label: "1-NN two-sample accuracy", Goal: report.Nearer, Target: .5},
	}
	r.Report.Notes = append(r.Report.Notes, "The baseline is a Gaussian fitted to the training rows. The energy distance is an unbiased estimate: between samples of the same law it is as often negative as positive.")
	return nil
}

// compare measures points z against the truth as pictures.
func (s *pointSet) compare(ctx context.Context, z, truth blas32.General, into report.Numbers) error {
	x, err := s.units.Data(z, nil)
	if err != nil {
		return err
	}
	held, err := s.units.Data(truth, nil)
	if err != nil {
		return err
	}
	numbers, err := metric.Compare(ctx, x, held)
	maps.Copy(into, numbers)
	return err
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
	r.JudgeLikelihood("the Gaussian fit")
	// A thousand columns of pixels would repeat the input.
	if err := r.SaveRows("densities", s.form, nil, batch.WithColumns(batch.New(n, 0), l.LogPDF, gaussian)); err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("densities.npy: the log density of %d held-out pictures under the model and under the Gaussian fit, in nats. log_likelihood is their mean.", n))
	return nil
}
