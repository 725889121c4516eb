package blas

import (
	"cmf/graph/kernel"

	"gonum.org/v1/gonum/blas"
)

// float is the element type of a real matrix.
type float interface{ float32 | float64 }

// product is one call C ← α·op(A)·op(B) + β·C in row-major storage.
type product[T float] struct {
	transA, transB bool
	m, n, k        int
	alpha          T
	a              []T
	lda            int
	b              []T
	ldb            int
	beta           T
	c              []T
	ldc            int
}

// newProduct reports ok = false for arguments on which gonum would panic. Only
// checked arguments may reach foreign code or assembly.
func newProduct[T float](tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) (p product[T], ok bool) {
	p = product[T]{
		transA: tA != blas.NoTrans, transB: tB != blas.NoTrans,
		m: m, n: n, k: k,
		alpha: alpha, a: a, lda: lda, b: b, ldb: ldb, beta: beta, c: c, ldc: ldc,
	}
	if m < 0 || n < 0 || k < 0 || !isTranspose(tA) || !isTranspose(tB) {
		return p, false
	}
	return p, holds(a, lda, m, k, p.transA) && holds(b, ldb, k, n, p.transB) && holds(c, ldc, m, n, false)
}

func isTranspose(t blas.Transpose) bool {
	return t == blas.NoTrans || t == blas.Trans || t == blas.ConjTrans
}

// holds reports whether data with stride ld is large enough for a matrix whose
// op has shape (rows, cols).
func holds[T float](data []T, ld, rows, cols int, trans bool) bool {
	if trans {
		rows, cols = cols, rows
	}
	if ld < max(1, cols) {
		return false
	}
	return rows == 0 || cols == 0 || len(data) >= (rows-1)*ld+cols
}

// work is the number of multiply–adds.
func (p *product[T]) work() int { return p.m * p.n * p.k }

// rows is the part of p that computes the rows [lo, hi) of C.
func (p product[T]) rows(lo, hi int) product[T] {
	if p.transA {
		p.a = p.a[lo:]
	} else {
		p.a = p.a[lo*p.lda:]
	}
	p.c = p.c[lo*p.ldc:]
	p.m = hi - lo
	return p
}

// cols is the part of p that computes the columns [lo, hi) of C.
func (p product[T]) cols(lo, hi int) product[T] {
	if p.transB {
		p.b = p.b[lo*p.ldb:]
	} else {
		p.b = p.b[lo:]
	}
	p.c = p.c[lo:]
	p.n = hi - lo
	return p
}

// scale computes C ← β·C, for k = 0 or α = 0.
func (p *product[T]) scale() {
	if p.beta == 1 {
		return
	}
	for i := range p.m {
		row := p.c[i*p.ldc:][:p.n]
		if p.beta == 0 {
			clear(row)
			continue
		}
		kernel.Affine(row, p.beta, row, 0)
	}
}
