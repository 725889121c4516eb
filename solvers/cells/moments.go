package cells

import (
	"math"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Within is the mean of (x − m_k)² over the points x, (n, d), whose cells have the centres m_k.
func Within(x, centers blas32.General, cell []int) []float64 {
	v := make([]float64, x.Cols)
	for i, k := range cell {
		for j, m := range batch.Row(centers, k) {
			v[j] += math.Pow(float64(batch.Row(x, i)[j]-m), 2) / float64(x.Rows)
		}
	}
	return v
}

// Covariance is the covariance of the points of a cell. The variances within
// all cells count as much as d points, so that small cells have one too.
func Covariance(points blas32.General, mean []float32, within []float64) *mat.SymDense {
	d := len(mean)
	centered := batch.New(points.Rows, d)
	for i := range points.Rows {
		for j, v := range batch.Row(points, i) {
			batch.Row(centered, i)[j] = v - mean[j]
		}
	}
	sum := batch.New(d, d)
	if points.Rows > 0 {
		blas32.Gemm(blas.Trans, blas.NoTrans, 1, centered, centered, 0, sum)
	}
	weight := float64(points.Rows + d)
	cov := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			v := float64(sum.Data[i*d+j])
			if i == j {
				v += float64(d) * within[i]
			}
			cov.SetSym(i, j, v/weight)
		}
	}
	return cov
}
