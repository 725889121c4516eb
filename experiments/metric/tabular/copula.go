package tabular

import (
	"fmt"
	"math"

	"cmf/data/table"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Independent draws n rows whose columns are independent, each with the law of its column of
// train: its empirical quantile function at uniform numbers. Values that several rows hold,
// missing values, and those of columns that are not real occur with their share; between
// values of a real column that one row holds it interpolates linearly. weights are those of
// the rows of train, nil where all weigh the same.
func Independent(train *table.Table, weights []float64, n int, rng *random.Stream) (*table.Table, error) {
	r, err := training(train, weights, n)
	if err != nil {
		return nil, fmt.Errorf("independent columns: %w", err)
	}
	out := train.Like(n)
	for j := range out.Columns {
		m := newMargin(r, j)
		for i := range n {
			out.Columns[j].Values[i] = m.quantile(rng.Float64())
		}
	}
	return out, nil
}

// Copula draws n rows from the Gaussian copula of the rows of train: x_j = F_j⁻¹(Φ(z_j)),
// z ~ N(0, R), with the margins F_j of Independent. R is the correlation matrix of the normal
// scores Φ⁻¹(F_j(x_j)), where F_j takes a value that several rows hold, a label or a missing
// value to a uniform number in the interval of its share; labels are in their order. It is
// that of at most 20000 rows, fewer for more than 200 columns, and shrunk towards the identity
// where it is singular. weights are those of the rows of train, nil where all weigh the same.
//
// N. Patki, R. Wedge, K. Veeramachaneni, "The Synthetic Data Vault", DSAA 2016, §III.
func Copula(train *table.Table, weights []float64, n int, rng *random.Stream) (*table.Table, error) {
	r, err := training(train, weights, n)
	if err != nil {
		return nil, fmt.Errorf("the Gaussian copula: %w", err)
	}
	d := len(train.Columns)
	margins := make([]margin, d)
	for j := range margins {
		margins[j] = newMargin(r, j)
	}
	few := r.thinned(min(mostRows, max(mostSquare, 1<<22/d)), rng)
	root, err := correlationRoot(scores(few, margins, rng), few.weights)
	if err != nil {
		return nil, fmt.Errorf("the Gaussian copula: %w", err)
	}
	out := train.Like(n)
	normal, z := mat.NewVecDense(d, nil), mat.NewVecDense(d, nil)
	for i := range n {
		for j := range d {
			normal.SetVec(j, rng.NormFloat64())
		}
		z.MulVec(root, normal)
		for j, m := range margins {
			out.Columns[j].Values[i] = m.quantile(distuv.UnitNormal.CDF(z.AtVec(j)))
		}
	}
	return out, nil
}

// scores are the normal scores of the rows, of shape (n, d).
func scores(r rows, margins []margin, rng *random.Stream) *mat.Dense {
	z := mat.NewDense(r.Rows(), len(margins), nil)
	for j, m := range margins {
		for i, v := range r.Columns[j].Values {
			low, high := m.interval(v)
			// Within (0, 1), so that scores are finite.
			u := low + (high-low)*(rng.Float64()+1e-12)/(1+2e-12)
			z.Set(i, j, distuv.UnitNormal.Quantile(min(u, 1-1e-15)))
		}
	}
	return z
}

// correlationRoot is the lower Cholesky factor of the correlation matrix of the columns of z.
func correlationRoot(z *mat.Dense, weights []float64) (*mat.TriDense, error) {
	n, d := z.Dims()
	r := mat.NewSymDense(d, nil)
	if n > 1 {
		stat.CorrelationMatrix(r, z, weights)
	}
	for _, shrink := range []float64{0, 1e-6, 1e-4, .01, .1, 1} {
		shrunk := mat.NewSymDense(d, nil)
		for j := range d {
			shrunk.SetSym(j, j, 1)
			for k := range j {
				if v := r.At(j, k); !math.IsNaN(v) {
					shrunk.SetSym(j, k, (1-shrink)*v)
				}
			}
		}
		var c mat.Cholesky
		if c.Factorize(shrunk) && c.Cond() < 1e10 {
			var root mat.TriDense
			c.LTo(&root)
			return &root, nil
		}
	}
	return nil, fmt.Errorf("the correlation matrix of %d columns is not positive definite", d)
}
