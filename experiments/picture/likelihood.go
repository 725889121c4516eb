package picture

import (
	"context"
	"fmt"
	"math"

	"cmf/data/units"
	"cmf/experiments/fit"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// heldOut has n held-out digits with the law of Train: dequantised, in logit units, with
// smoothing noise.
func (d *DigitData) heldOut(n int, noise float64, seed uint64) (blas32.General, error) {
	x, err := d.Dequantised(Spread(d.Set.Test, n), random.New(seed, "held-out dequantisation", 0))
	if err != nil {
		return x, err
	}
	AddNoise(x, noise, random.New(seed, "held-out smoothing", 0))
	return x, nil
}

// JudgeLikelihood reports bits per dimension of n held-out digits under the model and, as
// baseline, under the Gaussian fitted to the same law.
func JudgeLikelihood(ctx context.Context, r *run.Run, m *fit.Model, d *DigitData, n int, noise float64, seed uint64) error {
	points, err := d.heldOut(n, noise, seed)
	if err != nil {
		return err
	}
	r.Progress.Log.Info("likelihood", "digits", n)
	l, err := fit.HeldOutDensity(ctx, m, points, random.New(seed, "annealing", 0))
	if err != nil {
		return err
	}
	l.Report(r.Report.Metrics)
	gaussian, err := d.Law.LogPDF(points)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		logPDF []float64
		into   report.Numbers
	}{{l.LogPDF, r.Report.Metrics}, {gaussian, r.Report.Baseline}} {
		if c.into["bits_per_dim"], c.into["bits_per_dim_se"], err = bitsPerDim(d.Units, points, c.logPDF); err != nil {
			return err
		}
	}
	r.Report.Baseline["log_likelihood"], r.Report.Baseline["log_likelihood_se"], _ = fit.FiniteMean(gaussian)
	r.JudgeLikelihood("the Gaussian fit")
	r.Page.Headline = append(r.Page.Headline, report.Headline{Metric: "bits_per_dim", Label: "Bits per dimension, held-out, smoothed", Goal: report.Lower})
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("Bits per dimension are measured on %d held-out digits that are treated like the training data: dequantised, in logit units, "+
		"with normal noise of standard deviation %g (CMF_NOISE). They are at the precision of 256 grey levels, and exact except for log Z. The Gaussian is fitted to the same law. "+
		"Do not compare them with results for digits without the noise.", n, noise))
	return nil
}

// bitsPerDim are the bits per pixel that points z, (n, d), in a model's units of pictures
// cost under a density q at the precision of 256 grey levels,
// 8 − (log q(z) + log |det ∂z/∂x|)/(d·log 2), and their standard error over the points.
// Points whose log q is not finite are left out.
func bitsPerDim(u units.Pixels, points blas32.General, logPDF []float64) (bits, standardError float64, err error) {
	volume, err := u.LogVolume(points, blas32.General{})
	if err != nil {
		return 0, 0, err
	}
	each := make([]float64, points.Rows)
	for i := range each {
		each[i] = 8 - (logPDF[i]+volume[i])/(float64(points.Cols)*math.Ln2)
	}
	bits, standardError, _ = fit.FiniteMean(each)
	return bits, standardError, nil
}
