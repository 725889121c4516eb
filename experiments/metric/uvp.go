package metric

import (
	"fmt"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// UVP is the unexplained variance of a map T̂ against the true map T on ρ, in
// percent:
//
//	L2-UVP = 100·E_ρ|T̂(x) − T(x)|² / Var(T♯ρ)
//
// from the rows T̂(x_i) of learned and T(x_i) of truth, both of shape (n, d),
// n ≥ 2, at fresh points x_i ~ ρ; Var is the trace of the covariance of truth's
// rows. A constant map at the mean has 100. It is NaN where a row is not finite.
//
// A. Korotin et al., "Wasserstein-2 Generative Networks", ICLR 2021, §5.1.
func UVP(learned, truth blas32.General) (float64, error) {
	if err := checkPair(learned, truth, 2); err != nil {
		return 0, fmt.Errorf("UVP: %w", err)
	}
	if learned.Rows != truth.Rows {
		return 0, fmt.Errorf("UVP: %d learned values for %d true ones; they must be at the same points", learned.Rows, truth.Rows)
	}
	mean := batch.Means(truth)
	var square, variance float64
	for i := range truth.Rows {
		for j, v := range batch.Row(truth, i) {
			gap, deviation := float64(batch.Row(learned, i)[j])-float64(v), float64(v)-mean[j]
			square += gap * gap
			variance += deviation * deviation
		}
	}
	return 100 * square / variance, nil
}

// PotentialUVP is UVP of ∇w against ∇w† at the rows of x.
func PotentialUVP(learned, truth potential.Potential, x blas32.General) (float64, error) {
	got, want := batch.New(x.Rows, x.Cols), batch.New(x.Rows, x.Cols)
	if err := learned.Eval(x, nil, got); err != nil {
		return 0, err
	}
	if err := truth.Eval(x, nil, want); err != nil {
		return 0, err
	}
	return UVP(got, want)
}
