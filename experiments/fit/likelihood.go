package fit

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/data"
	"cmf/experiments/report"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// Likelihood is the log density of held-out points under a model.
type Likelihood struct {
	LogPDF []float64 // log q_w(x_i), in nats; NaN where ∇²w is not positive definite
	LogZ   density.AnnealingInfo
}

// HeldOutDensity evaluates log q_w(x) = −w(∇w(x)) + log det ∇²w(x) − log Z_w at points,
// (n, d), in the units of training. Only log Z_w is an estimate; if the source is
// N(0, I), it is known too. The end of ctx is an error. Ranks share the work as those of Draw do.
func HeldOutDensity(ctx context.Context, m *Model, points blas32.General, rng *random.Stream) (*Likelihood, error) {
	err := m.needsNoise()
	if err != nil {
		return nil, err
	}
	l := new(Likelihood)
	if l.LogZ, err = m.GibbsLogZ(ctx, points.Rows, rng); err != nil {
		return nil, err
	}
	q := density.Pushforward{Potential: m.Evaluator, Noise: m.Noise, LogZ: l.LogZ.LogZ}
	err = m.ranks.Spread(points.Rows, rng, func(from, to int, _ *random.Stream) (err error) {
		l.LogPDF, _, err = q.LogPDF(ctx, batch.Rows(points, from, to))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("density of held-out points: %w", err)
	}
	l.LogPDF = m.ranks.Joined64(points.Rows, l.LogPDF)
	return l, nil
}

// GibbsLogZ is the log normaliser of the noise, for densities at n points. It is known
// for N(0, I). For the Gibbs factor it is log Z_w = log ∫e^{−w}, by quadrature in one or
// two dimensions and by annealing in more, whose particles ranks share.
func (m *Model) GibbsLogZ(ctx context.Context, n int, rng *random.Stream) (info density.AnnealingInfo, err error) {
	d := m.Evaluator.Dim()
	switch {
	case m.Noise == potential.Potential(potential.Normal{D: d}):
		return density.AnnealingInfo{LogZ: float64(d) / 2 * math.Log(2*math.Pi), Size: 1}, nil
	case d <= 2:
		info, err = m.quadratureLogZ()
	default:
		var reference *exact.Gaussian
		if reference, err = m.gibbsReference(); err == nil {
			// log q varies by √(d/2) or more over points, log ω by ½. So log Z adds less to the
			// uncertainty of a mean than the points do.
			particles := min(4096, max(256, 8*n/d))
			info, err = (density.Annealing{Particles: particles, Ranks: m.ranks}).LogZ(ctx, m.Evaluator, reference, rng)
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
	most := data.DefaultCells(m.Evaluator.Dim())
	grid, err := data.RefineQuadrature(m.Evaluator, box, 1e-4, most/3, most)
	if err != nil {
		return density.AnnealingInfo{}, err
	}
	return density.AnnealingInfo{LogZ: grid.LogZ, Size: 1}, nil
}

// gibbsReference is a Gaussian near the Gibbs factor. It has the particles' mean and, if
// there are enough particles, their covariance; otherwise (mean ∇²w)⁻¹.
func (m *Model) gibbsReference() (*exact.Gaussian, error) {
	y := m.State.Bank.Y
	if v, ok := m.Noise.(*potential.Carried); ok {
		y = v.Back(y)
	}
	if y.Rows >= 20*y.Cols {
		return exact.FitGaussian(y, 0)
	}
	h, err := m.meanHessian(y)
	if err != nil {
		return nil, err
	}
	return inverse(h, batch.Means(y))
}

// inverse is the Gaussian with the covariance h⁻¹.
func inverse(h *mat.SymDense, mean []float64) (*exact.Gaussian, error) {
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		return nil, errors.New("the mean Hessian at the particles is not positive definite")
	}
	var covariance mat.SymDense
	if err := chol.InverseTo(&covariance); err != nil {
		return nil, err
	}
	return exact.NewGaussian(mean, &covariance)
}

// Report adds the mean over points and log Z to into, with their standard errors, in nats.
func (l *Likelihood) Report(into report.Numbers) {
	var failed int
	into["log_likelihood"], into["log_likelihood_se"], failed = FiniteMean(l.LogPDF)
	into["log_likelihood_failed"] = float64(failed)
	into["log_z"], into["log_z_se"], into["log_z_ess"] = l.LogZ.LogZ, l.LogZ.Error, l.LogZ.Size
}

// FiniteMean is the mean of the finite values with its standard error, and the number of
// values that are not finite.
func FiniteMean(values []float64) (mean, standardError float64, failed int) {
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
