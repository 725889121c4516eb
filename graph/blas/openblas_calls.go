//go:build (linux || darwin) && (amd64 || arm64)

package blas

import (
	"math"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
	"gonum.org/v1/gonum/blas"
)

// arguments is the memory of a Fortran call: the scalars, and the pointers to
// them and to the matrices. It is pooled, so that a call allocates nothing, and
// it holds every pointer while the call lasts: what foreign code sees must be
// alive, and not on a stack, which may move.
type arguments[T float] struct {
	side, uplo, transA, transB, diag byte
	m, n, k, lda, ldb, ldc           int32
	alpha, beta                      T

	pointers [13]unsafe.Pointer
	words    [13]uintptr
}

var (
	arguments32 = sync.Pool{New: func() any { return new(arguments[float32]) }}
	arguments64 = sync.Pool{New: func() any { return new(arguments[float64]) }}
)

// call calls the routine at address and puts x back into its pool.
func (x *arguments[T]) call(address uintptr, pool *sync.Pool, pointers ...unsafe.Pointer) {
	n := copy(x.pointers[:], pointers)
	for i, p := range x.pointers[:n] {
		x.words[i] = uintptr(p)
	}
	purego.SyscallN(address, x.words[:n]...)
	runtime.KeepAlive(x)
	clear(x.pointers[:n])
	pool.Put(x)
}

// gemm requests Cᵀ ← α·op(B)ᵀ·op(A)ᵀ + β·Cᵀ.
func gemm[T float](address uintptr, pool *sync.Pool, p product[T]) {
	x := pool.Get().(*arguments[T])
	x.transA, x.transB = letter(p.transB), letter(p.transA)
	x.m, x.n, x.k = int32(p.n), int32(p.m), int32(p.k)
	x.lda, x.ldb, x.ldc = int32(p.ldb), int32(p.lda), int32(p.ldc)
	x.alpha, x.beta = p.alpha, p.beta
	x.call(address, pool,
		unsafe.Pointer(&x.transA), unsafe.Pointer(&x.transB),
		unsafe.Pointer(&x.m), unsafe.Pointer(&x.n), unsafe.Pointer(&x.k),
		unsafe.Pointer(&x.alpha),
		unsafe.Pointer(&p.b[0]), unsafe.Pointer(&x.lda),
		unsafe.Pointer(&p.a[0]), unsafe.Pointer(&x.ldb),
		unsafe.Pointer(&x.beta),
		unsafe.Pointer(&p.c[0]), unsafe.Pointer(&x.ldc))
}

// gemv asks for y ← α·op(Aᵀ)ᵀ·x + β·y, where A has shape (m, n).
func gemv[T float](address uintptr, pool *sync.Pool, trans bool, m, n int, alpha T, a []T, lda int, v []T, incV int, beta T, y []T, incY int) {
	if beta == 0 {
		// Some versions multiply y by β = 0, which keeps a NaN.
		rows := m
		if trans {
			rows = n
		}
		for i := range rows {
			y[i*max(incY, -incY)] = 0
		}
	}
	x := pool.Get().(*arguments[T])
	x.transA = letter(!trans)
	x.m, x.n, x.lda = int32(n), int32(m), int32(lda)
	x.ldb, x.ldc = int32(incV), int32(incY)
	x.alpha, x.beta = alpha, beta
	x.call(address, pool,
		unsafe.Pointer(&x.transA),
		unsafe.Pointer(&x.m), unsafe.Pointer(&x.n),
		unsafe.Pointer(&x.alpha),
		unsafe.Pointer(&a[0]), unsafe.Pointer(&x.lda),
		unsafe.Pointer(&v[0]), unsafe.Pointer(&x.ldb),
		unsafe.Pointer(&x.beta),
		unsafe.Pointer(&y[0]), unsafe.Pointer(&x.ldc))
}

// syrk asks for C ← α·op(Aᵀ)ᵀ·op(Aᵀ) + β·C in the other triangle, where C has
// shape (n, n).
func syrk[T float](address uintptr, pool *sync.Pool, ul blas.Uplo, trans bool, n, k int, alpha T, a []T, lda int, beta T, c []T, ldc int) {
	if beta == 0 {
		// As in gemv.
		for i := range n {
			if ul == blas.Upper {
				clear(c[i*ldc+i : i*ldc+n])
			} else {
				clear(c[i*ldc : i*ldc+i+1])
			}
		}
	}
	x := pool.Get().(*arguments[T])
	x.uplo, x.transA = otherTriangle(ul), letter(!trans)
	x.n, x.k, x.lda, x.ldc = int32(n), int32(k), int32(lda), int32(ldc)
	x.alpha, x.beta = alpha, beta
	x.call(address, pool,
		unsafe.Pointer(&x.uplo), unsafe.Pointer(&x.transA),
		unsafe.Pointer(&x.n), unsafe.Pointer(&x.k),
		unsafe.Pointer(&x.alpha),
		unsafe.Pointer(&a[0]), unsafe.Pointer(&x.lda),
		unsafe.Pointer(&x.beta),
		unsafe.Pointer(&c[0]), unsafe.Pointer(&x.ldc))
}

// triangular asks trsm or trmm for the transposed problem, with A on the other
// side of Bᵀ and in the other triangle; B has shape (m, n).
func triangular[T float](address uintptr, pool *sync.Pool, s blas.Side, ul blas.Uplo, trans bool, d blas.Diag, m, n int, alpha T, a []T, lda int, b []T, ldb int) {
	x := pool.Get().(*arguments[T])
	x.side, x.uplo, x.transA, x.diag = otherSide(s), otherTriangle(ul), letter(trans), byte(d)
	x.m, x.n, x.lda, x.ldb = int32(n), int32(m), int32(lda), int32(ldb)
	x.alpha = alpha
	x.call(address, pool,
		unsafe.Pointer(&x.side), unsafe.Pointer(&x.uplo),
		unsafe.Pointer(&x.transA), unsafe.Pointer(&x.diag),
		unsafe.Pointer(&x.m), unsafe.Pointer(&x.n),
		unsafe.Pointer(&x.alpha),
		unsafe.Pointer(&a[0]), unsafe.Pointer(&x.lda),
		unsafe.Pointer(&b[0]), unsafe.Pointer(&x.ldb))
}

func letter(trans bool) byte {
	if trans {
		return 'T'
	}
	return 'N'
}

func otherTriangle(ul blas.Uplo) byte {
	if ul == blas.Upper {
		return 'L'
	}
	return 'U'
}

func otherSide(s blas.Side) byte {
	if s == blas.Left {
		return 'R'
	}
	return 'L'
}

// fits reports whether every n fits a Fortran integer.
func fits(ns ...int) bool {
	for _, n := range ns {
		if n < math.MinInt32 || n > math.MaxInt32 {
			return false
		}
	}
	return true
}
