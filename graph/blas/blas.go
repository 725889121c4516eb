// Package blas chooses the matrix products of the whole program at run time:
// OpenBLAS, opened as a shared library without cgo; native, our own packed
// products in Go and assembly; or gonum's pure Go.
//
// All matrices are row-major with a leading dimension (stride) that is counted
// in elements, as everywhere in gonum. Large products are split over goroutines
// by kernel.Parallel, at places that depend only on the shape and the number of
// threads. Native takes its sums in one order, whatever the split. OpenBLAS and
// gonum repeat their results only if the number of threads is the same and
// products do not run side by side.
package blas

import (
	"fmt"
	"slices"
	"strings"

	"cmf/graph/kernel"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/blas/gonum"
)

// BLAS is what gonum and Gorgonia ask of an implementation, in float32,
// float64 and complex arithmetic.
type BLAS interface {
	blas.Float32
	blas.Float64
	blas.Complex64
	blas.Complex128
}

// Backend describes the implementation in use.
type Backend struct {
	Name    string // openblas, native or gonum
	Version string // as the library gives it, or the kernels chosen for this processor
	Threads int    // largest number of parts of one product; gonum chooses its own
}

// opener makes an implementation and says what it is.
type opener func() (impl BLAS, version string, err error)

// backends are the names that Use knows besides auto.
var backends = map[string]opener{
	"openblas": openOpenBLAS,
	"native":   openNative,
	"gonum":    openGonum,
}

// current is the implementation of Gemm and of everything that Use registered.
var current BLAS = native{}

// Use makes the named backend the implementation of Gemm, of gonum's blas32 and
// blas64 (and so of mat and lapack), and of Implementation, with the given
// number of threads; 0 threads means one for each processor that Go may use.
//
// Names are openblas, native, gonum, and auto. auto is native where that has
// kernels for this processor, because there it is at least as fast; elsewhere
// it is openblas if the library is found, and native if not. An unknown name, a
// negative number of threads and an absent library are errors that leave
// everything as it was. gonum chooses the number of threads of its own products
// itself.
//
// Call Use at the start of a program: it must not run at the same time as a
// product. Without a call, Gemm is native and gonum keeps its own products.
func Use(name string, threads int) (Backend, error) {
	if threads < 0 {
		return Backend{}, fmt.Errorf("blas: %d threads; want a positive number, or 0 for one per processor", threads)
	}
	chosen := name
	if name == "auto" {
		chosen = automatic()
	}
	open, ok := backends[chosen]
	if !ok {
		known := []string{"auto"}
		for k := range backends {
			known = append(known, k)
		}
		slices.Sort(known)
		return Backend{}, fmt.Errorf("blas: unknown backend %q; known are %s", name, strings.Join(known, ", "))
	}
	impl, version, err := open()
	if err != nil {
		return Backend{}, fmt.Errorf("blas: %w", err)
	}
	kernel.SetThreads(threads)
	current = impl
	blas32.Use(impl)
	blas64.Use(impl)
	return Backend{Name: chosen, Version: version, Threads: kernel.Threads()}, nil
}

// automatic is the backend that auto stands for on this machine.
func automatic() string {
	if !vectorised() {
		if _, _, err := backends["openblas"](); err == nil {
			return "openblas"
		}
	}
	return "native"
}

// Implementation is the backend that Use chose last, in the form that
// gorgonia.Use takes.
func Implementation() BLAS { return current }

// Splits reports whether products give the same bits however they are split,
// and whatever runs beside them.
func Splits() bool {
	_, ours := current.(native)
	return ours
}

func openGonum() (BLAS, string, error) { return gonum.Implementation{}, "pure Go", nil }

// Gemm computes C ← α·op(A)·op(B) + β·C, where op(X) is X or, with its trans
// flag set, Xᵀ; op(A) has shape (m, k), op(B) (k, n) and C (m, n), all
// row-major, and C must overlap neither A nor B. With β = 0, C is written
// without being read, so it may hold NaN. It does not allocate.
//
// The caller checks shapes: a stride smaller than a row, or a slice shorter
// than its matrix, panics as in gonum.
func Gemm[T float32 | float64](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	switch a := any(a).(type) {
	case []float32:
		current.Sgemm(transpose(transA), transpose(transB), m, n, k,
			float32(alpha), a, lda, any(b).([]float32), ldb, float32(beta), any(c).([]float32), ldc)
	case []float64:
		current.Dgemm(transpose(transA), transpose(transB), m, n, k,
			float64(alpha), a, lda, any(b).([]float64), ldb, float64(beta), any(c).([]float64), ldc)
	}
}

func transpose(t bool) blas.Transpose {
	if t {
		return blas.Trans
	}
	return blas.NoTrans
}
