package experiments

import (
	"errors"
	"fmt"
	"math"

	"cmf/data"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// likelihood is the log density of held-out points under a model.
type likelihood struct {
	LogPDF []float64 // log q_w(x_i), in nats; NaN where ∇²w is not positive definite
	LogZ   density.AnnealingInfo
}

// heldOutDensity evaluates log q_w(x) = −w(∇w(x)) + log det ∇²w(x) − log Z_w at
// points, (n, d), in the units that the model was trained in. Only log Z_w is an
// estimate; with the source N(0, I) it is known too.
func heldOutDensity(m *Model, points blas32.General, rng *random.Stream) (*likelihood, error) {
	l := new(likelihood)
	var err error
	if l.LogZ, err = m.gibbsLogZ(points.Rows, rng); err != nil {
		return nil, err
	}
	q := density.Pushforward{Potential: m.Evaluator, Noise: m.Noise, LogZ: l.LogZ.LogZ}
	if l.LogPDF, _, err = q.LogPDF(points); err != nil {
		return nil, fmt.Errorf("density of held-out points: %w", err)
	}
	return l, nil
}

// gibbsLogZ is the log normaliser of the noise, for densities at n points: known
// for N(0, I); for the Gibbs factor log Z_w = log ∫e^{−w} by quadrature in up to
// two dimensions, else by annealing.
func (m *Model) gibbsLogZ(n int, rng *random.Stream) (info density.AnnealingInfo, err error) {
	d := m.Evaluator.Dim()
	switch {
	case m.Noise == potential.Potential(potential.Normal{D: d}):
		return density.AnnealingInfo{LogZ: float64(d) / 2 * math.Log(2*math.Pi), Size: 1}, nil
	case d <= 2:
		info, err = m.quadratureLogZ()
	default:
		var reference *exact.Gaussian
		if reference, err = m.gibbsReference(); err == nil {
			// log q varies by √(d/2) and more over points, log ω by ½: log Z is then the
			// lesser uncertainty of a mean.
			particles := min(4096, max(256, 8*n/d))
			info, err = (density.Annealing{Particles: particles}).LogZ(m.Evaluator, reference, rng)
		}
	}
	if err != nil {
		return info, fmt.Errorf("log Z of the Gibbs factor: %w", err)
	}
	if v, ok := m.Noise.(*potential.Carried); ok {
		info.LogZ += v.LogDet()
	}
	return info, nil
}

// quadratureLogZ sums e^{−w} over a grid.
func (m *Model) quadratureLogZ() (density.AnnealingInfo, error) {
	box, err := data.FindBox(m.Evaluator)
	if err != nil {
		return density.AnnealingInfo{}, err
	}
	grid, err := data.NewQuadrature(m.Evaluator, box, 0)
	if err != nil {
		return density.AnnealingInfo{}, err
	}
	return density.AnnealingInfo{LogZ: grid.LogZ, Size: 1}, nil
}

// gibbsReference is a Gaussian near the Gibbs factor: of the particles' mean, and
// of their covariance if there are enough of them, else of (mean ∇²w)⁻¹.
func (m *Model) gibbsReference() (*exact.Gaussian, error) {
	y := m.State.Bank.Y
	if v, ok := m.Noise.(*potential.Carried); ok {
		y = v.Back(y)
	}
	if y.Rows >= 20*y.Cols {
		return exact.FitGaussian(y, 0)
	}
	h, err := m.Curvature.MeanHessian(y)
	if err != nil {
		return nil, err
	}
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		return nil, errors.New("the mean Hessian at the particles is not positive definite")
	}
	var covariance mat.SymDense
	if err := chol.InverseTo(&covariance); err != nil {
		return nil, err
	}
	return exact.NewGaussian(batch.Means(y), &covariance)
}

// report adds the mean over points and log Z, with their standard errors, in nats.
func (l *likelihood) report(into Numbers) {
	var failed int
	into["log_likelihood"], into["log_likelihood_se"], failed = finiteMean(l.LogPDF)
	into["log_likelihood_failed"] = float64(failed)
	into["log_z"], into["log_z_se"], into["log_z_ess"] = l.LogZ.LogZ, l.LogZ.Error, l.LogZ.Size
}

// heldOut is n held-out digits under the law of train: dequantised, in logit
// units, with smoothing noise.
func (d *digitData) heldOut(n int, noise float64, seed uint64) (blas32.General, error) {
	x, err := d.dequantised(spread(d.set.Test, n), random.New(seed, "held-out dequantisation", 0))
	if err != nil {
		return x, err
	}
	addNoise(x, noise, random.New(seed, "held-out smoothing", 0))
	return x, nil
}

// judgeLikelihood reports bits per dimension of n held-out digits, of the model
// beside those of the Gaussian fitted to the same law.
func judgeLikelihood(r *Run, m *Model, d *digitData, n int, noise float64, seed uint64) error {
	points, err := d.heldOut(n, noise, seed)
	if err != nil {
		return err
	}
	r.Progress.Log.Info("likelihood", "digits", n)
	l, err := heldOutDensity(m, points, random.New(seed, "annealing", 0))
	if err != nil {
		return err
	}
	l.report(r.Report.Metrics)
	gaussian, err := d.law.LogPDF(points)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		logPDF []float64
		into   Numbers
	}{{l.LogPDF, r.Report.Metrics}, {gaussian, r.Report.Baseline}} {
		if c.into["bits_per_dim"], c.into["bits_per_dim_se"], err = bitsPerDim(d.units, points, c.logPDF); err != nil {
			return err
		}
	}
	r.Report.Baseline["log_likelihood"], r.Report.Baseline["log_likelihood_se"], _ = finiteMean(gaussian)
	r.Page.Headline = append(r.Page.Headline, Headline{Metric: "bits_per_dim", Label: "Bits per dimension, held-out, smoothed", Goal: Lower})
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("Bits per dimension are of %d held-out digits under the very law that is learned: dequantised, in logit units, "+
		"with normal noise of deviation %g (CMF_NOISE), at the precision of 256 grey levels; exact but for log Z. The Gaussian is fitted to that law too. "+
		"They are not to be compared with those of digits without the noise.", n, noise))
	return nil
}

// bitsPerDim are the bits per pixel that points z, (n, d), in a model's units of
// pictures cost at the precision of 256 grey levels under a density q,
// 8 − (log q(z) + log |det ∂z/∂x|)/(d·log 2), and their standard error over
// the points; those whose log q is not finite are left out.
func bitsPerDim(u *Units, points blas32.General, logPDF []float64) (bits, standardError float64, err error) {
	volume, err := u.logVolume(points)
	if err != nil {
		return 0, 0, err
	}
	each := make([]float64, points.Rows)
	for i := range each {
		each[i] = 8 - (logPDF[i]+volume[i])/(float64(points.Cols)*math.Ln2)
	}
	bits, standardError, _ = finiteMean(each)
	return bits, standardError, nil
}

// finiteMean is the mean of what is finite with its standard error, and the
// number of what is not.
func finiteMean(values []float64) (mean, standardError float64, failed int) {
	var kept []float64
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			failed++
		} else {
			kept = append(kept, v)
		}
	}
	mean, variance := stat.MeanVariance(kept, nil)
	return mean, math.Sqrt(variance / float64(len(kept))), failed
}
