package batch

import (
	"math"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// Means are the means of the columns of x.
func Means(x blas32.General) []float64 {
	mean := make([]float64, x.Cols)
	for i := range x.Rows {
		for j, v := range Row(x, i) {
			mean[j] += float64(v)
		}
	}
	for j := range mean {
		mean[j] /= float64(x.Rows)
	}
	return mean
}

// Moments are the mean and the covariance of the rows of x, with the divisor n−1.
func Moments(x blas32.General) ([]float64, *mat.SymDense) {
	wide := mat.NewDense(x.Rows, x.Cols, nil)
	for i := range x.Rows {
		Widen(wide.RawRowView(i), Row(x, i))
	}
	var cov mat.SymDense
	stat.CovarianceMatrix(&cov, wide, nil)
	return Means(x), &cov
}

// MeanVariance is the mean of the variances of the columns of x: tr Cov / d.
func MeanVariance(x blas32.General) float64 {
	_, cov := Moments(x)
	return mat.Trace(cov) / float64(x.Cols)
}

// TotalVariance is the mean of ‖x_i − mean‖² over the rows of x.
func TotalVariance(x blas32.General, mean []float64) float64 {
	var sum float64
	for i := range x.Rows {
		for j, v := range Row(x, i) {
			sum += (float64(v) - mean[j]) * (float64(v) - mean[j])
		}
	}
	return sum / float64(x.Rows)
}

// Shifted is a copy of x with shift subtracted from each row.
func Shifted(x blas32.General, shift []float64) blas32.General {
	out := New(x.Rows, x.Cols)
	for i := range x.Rows {
		to := Row(out, i)
		for j, v := range Row(x, i) {
			to[j] = float32(float64(v) - shift[j])
		}
	}
	return out
}

// NormaliseRows divides each row by its norm (a zero row by 1) and returns the norms.
func NormaliseRows(b blas32.General) []float64 {
	norms := make([]float64, b.Rows)
	for i := range norms {
		norms[i] = math.Sqrt(SumSquares(Row(b, i)))
		if norms[i] == 0 {
			continue
		}
		for j := range Row(b, i) {
			b.Data[i*b.Stride+j] /= float32(norms[i])
		}
	}
	return norms
}
