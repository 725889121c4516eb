package batch

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// FromMatrix is a as a batch, rounded to float32.
func FromMatrix(a mat.Matrix) blas32.General {
	n, d := a.Dims()
	b := New(n, d)
	for i := range n {
		for j := range d {
			b.Data[i*d+j] = float32(a.At(i, j))
		}
	}
	return b
}

// Multiply writes x·m into dst, of shape (n, k) for an (n, d) batch x and a (d, k)
// matrix m.
func Multiply(dst, x, m blas32.General) {
	if x.Rows > 0 {
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, m, 0, dst)
	}
}

// Symmetrised is (a + aᵀ)/2 for a square a.
func Symmetrised(a *mat.Dense) *mat.SymDense {
	d, _ := a.Dims()
	s := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			s.SetSym(i, j, .5*(a.At(i, j)+a.At(j, i)))
		}
	}
	return s
}

// ScaleColumns multiplies each column of m by its factor.
func ScaleColumns(m blas32.General, by []float32) {
	for i := range m.Rows {
		row := Row(m, i)
		for j, v := range by {
			row[j] *= v
		}
	}
}
