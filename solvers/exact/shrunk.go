package exact

import (
	"math"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// FitShrunk is FitGaussian with the correlations r_ij multiplied by 1−λ,
//
//	λ = Σ_{i≠j} v_ij / Σ_{i≠j} r_ij²,  limited to [0, 1],
//
// where v_ij is the estimated variance of r_ij. That is the multiplier of least expected
// squared error. Many rows have λ near 0; few rows in many dimensions, whose correlations
// are mostly noise, have λ near 1 unless the true correlations are large. It needs n ≥ 3.
//
// Schäfer and Strimmer, "A Shrinkage Approach to Large-Scale Covariance Matrix Estimation",
// Stat. Appl. Genet. Mol. Biol. 4(1), 2005; v_ij as if means and deviations were known.
func FitShrunk(x blas32.General) (g *Gaussian, lambda float64, err error) {
	if g, err = FitGaussian(x, 0); err != nil || x.Rows < 3 || x.Cols < 2 {
		return g, 0, err
	}
	n, d := x.Rows, x.Cols
	cov := g.Power(1)
	deviations := make([]float64, d)
	for j := range deviations {
		deviations[j] = math.Sqrt(cov.At(j, j))
	}
	// Σ_k z_ki²·z_kj², z the columns in units of their deviations.
	sums := products(n, d, 1, func(i int, to []float32) {
		for j, v := range batch.Row(x, i) {
			z := (float64(v) - g.Mean[j]) / deviations[j]
			to[j] = float32(z * z)
		}
	})
	var noise, signal float64
	for i := range d {
		for j := i + 1; j < d; j++ {
			r := cov.At(i, j) / (deviations[i] * deviations[j])
			noise += (sums.At(i, j)/float64(n) - r*r) / float64(n-1)
			signal += r * r
		}
	}
	if !(signal > 0) {
		return g, 0, nil
	}
	lambda = min(max(noise/signal, 0), 1)
	for i := range d {
		for j := i + 1; j < d; j++ {
			cov.SetSym(i, j, (1-lambda)*cov.At(i, j))
		}
	}
	g, err = NewGaussian(g.Mean, cov)
	return g, lambda, err
}
