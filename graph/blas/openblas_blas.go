//go:build (linux || darwin) && (amd64 || arm64)

package blas

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// openBLAS is gonum's implementation with the most expensive routines replaced
// by OpenBLAS.
//
// OpenBLAS is called as Fortran: every argument is a pointer, which suits
// purego.SyscallN, and storage is column-major, in which a row-major matrix is
// its own transpose. So C = op(A)op(B) is computed as Cᵀ = op(B)ᵀop(A)ᵀ, upper
// and lower triangles change names, and left becomes right.
//
// Wrong arguments go to gonum, which panics with its own message. Small and
// narrow sizes stay with native and gonum, which need no foreign call and pack
// less.
type openBLAS struct {
	gonum.Implementation
	*symbols
	config string
}

// narrowGemm is the number of rows, columns or terms of a sum up to which
// memory limits a product. OpenBLAS copies both factors, and is then slower
// than native by more than half.
const narrowGemm = 64

func small[T float](p *product[T]) bool {
	return p.work() < smallGemm || min(p.m, p.n, p.k) <= narrowGemm
}

// Below these numbers of multiply–adds a foreign call is slower than gonum;
// smallGemm is the limit for native.
const (
	smallGemv       = 4 << 10
	smallTriangular = 8 << 10
)

func (o openBLAS) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	p, ok := newProduct(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	if !ok || small(&p) || !fits(m, n, k, lda, ldb, ldc) {
		native{}.Sgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	multiply(p, &sums32, o.multiply32)
}

func (o openBLAS) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	p, ok := newProduct(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	if !ok || small(&p) || !fits(m, n, k, lda, ldb, ldc) {
		native{}.Dgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	multiply(p, &sums64, o.multiply64)
}

func (o openBLAS) Sgemv(tA blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	if m*n < smallGemv || !gemvHolds(tA, m, n, a, lda, x, incX, y, incY) {
		o.Implementation.Sgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	gemv(o.sgemv, &arguments32, tA != blas.NoTrans, m, n, alpha, a, lda, x, incX, beta, y, incY)
}

func (o openBLAS) Dgemv(tA blas.Transpose, m, n int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	if m*n < smallGemv || !gemvHolds(tA, m, n, a, lda, x, incX, y, incY) {
		o.Implementation.Dgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	gemv(o.dgemv, &arguments64, tA != blas.NoTrans, m, n, alpha, a, lda, x, incX, beta, y, incY)
}

func (o openBLAS) Ssyrk(ul blas.Uplo, t blas.Transpose, n, k int, alpha float32, a []float32, lda int, beta float32, c []float32, ldc int) {
	if n*n*k < smallTriangular || !syrkHolds(ul, t, n, k, a, lda, c, ldc) {
		o.Implementation.Ssyrk(ul, t, n, k, alpha, a, lda, beta, c, ldc)
		return
	}
	syrk(o.ssyrk, &arguments32, ul, t != blas.NoTrans, n, k, alpha, a, lda, beta, c, ldc)
}

func (o openBLAS) Dsyrk(ul blas.Uplo, t blas.Transpose, n, k int, alpha float64, a []float64, lda int, beta float64, c []float64, ldc int) {
	if n*n*k < smallTriangular || !syrkHolds(ul, t, n, k, a, lda, c, ldc) {
		o.Implementation.Dsyrk(ul, t, n, k, alpha, a, lda, beta, c, ldc)
		return
	}
	syrk(o.dsyrk, &arguments64, ul, t != blas.NoTrans, n, k, alpha, a, lda, beta, c, ldc)
}

func (o openBLAS) Strsm(s blas.Side, ul blas.Uplo, tA blas.Transpose, d blas.Diag, m, n int, alpha float32, a []float32, lda int, b []float32, ldb int) {
	if !triangularForeign(s, ul, tA, d, m, n, a, lda, b, ldb) {
		o.Implementation.Strsm(s, ul, tA, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	triangular(o.strsm, &arguments32, s, ul, tA != blas.NoTrans, d, m, n, alpha, a, lda, b, ldb)
}

func (o openBLAS) Dtrsm(s blas.Side, ul blas.Uplo, tA blas.Transpose, d blas.Diag, m, n int, alpha float64, a []float64, lda int, b []float64, ldb int) {
	if !triangularForeign(s, ul, tA, d, m, n, a, lda, b, ldb) {
		o.Implementation.Dtrsm(s, ul, tA, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	triangular(o.dtrsm, &arguments64, s, ul, tA != blas.NoTrans, d, m, n, alpha, a, lda, b, ldb)
}

func (o openBLAS) Strmm(s blas.Side, ul blas.Uplo, tA blas.Transpose, d blas.Diag, m, n int, alpha float32, a []float32, lda int, b []float32, ldb int) {
	if !triangularForeign(s, ul, tA, d, m, n, a, lda, b, ldb) {
		o.Implementation.Strmm(s, ul, tA, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	triangular(o.strmm, &arguments32, s, ul, tA != blas.NoTrans, d, m, n, alpha, a, lda, b, ldb)
}

func (o openBLAS) Dtrmm(s blas.Side, ul blas.Uplo, tA blas.Transpose, d blas.Diag, m, n int, alpha float64, a []float64, lda int, b []float64, ldb int) {
	if !triangularForeign(s, ul, tA, d, m, n, a, lda, b, ldb) {
		o.Implementation.Dtrmm(s, ul, tA, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	triangular(o.dtrmm, &arguments64, s, ul, tA != blas.NoTrans, d, m, n, alpha, a, lda, b, ldb)
}

func gemvHolds[T float](tA blas.Transpose, m, n int, a []T, lda int, x []T, incX int, y []T, incY int) bool {
	nx, ny := n, m
	if tA != blas.NoTrans {
		nx, ny = m, n
	}
	return isTranspose(tA) && m > 0 && n > 0 && holds(a, lda, m, n, false) &&
		incX != 0 && len(x) > (nx-1)*max(incX, -incX) &&
		incY != 0 && len(y) > (ny-1)*max(incY, -incY) &&
		fits(m, n, lda, incX, incY)
}

func syrkHolds[T float](ul blas.Uplo, t blas.Transpose, n, k int, a []T, lda int, c []T, ldc int) bool {
	return isTriangle(ul) && isTranspose(t) && n > 0 && k > 0 &&
		holds(a, lda, n, k, t != blas.NoTrans) && holds(c, ldc, n, n, false) &&
		fits(n, k, lda, ldc)
}

// triangularForeign reports whether a product or solve with a triangular matrix
// has valid arguments, and is large enough, for a foreign call.
func triangularForeign[T float](s blas.Side, ul blas.Uplo, tA blas.Transpose, d blas.Diag, m, n int, a []T, lda int, b []T, ldb int) bool {
	order := m
	if s == blas.Right {
		order = n
	}
	return (s == blas.Left || s == blas.Right) && isTriangle(ul) && isTranspose(tA) &&
		(d == blas.Unit || d == blas.NonUnit) && m > 0 && n > 0 &&
		m*n*order >= smallTriangular &&
		holds(a, lda, order, order, false) && holds(b, ldb, m, n, false) &&
		fits(m, n, lda, ldb)
}

func isTriangle(ul blas.Uplo) bool { return ul == blas.Upper || ul == blas.Lower }
