package experiments

import "gonum.org/v1/gonum/blas/blas32"

// newBatch returns a zero (n, d) batch.
func newBatch(n, d int) blas32.General {
	return blas32.General{Rows: n, Cols: d, Stride: d, Data: make([]float32, n*d)}
}
