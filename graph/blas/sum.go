package blas

import (
	"fmt"
	"sync"

	"cmf/graph/kernel"
)

// Term is one product op(A)·op(B) of a [Sum]. op(A) has as many rows as C,
// op(B) as many columns as C, and K is the size that is summed over.
type Term[T float32 | float64] struct {
	TransA, TransB bool
	K              int
	A              []T
	LDA            int
	B              []T
	LDB            int
}

// Sum computes C ← bias + Σ op(A)·op(B), or adds that to C where add is set. A
// bias of n elements is added to every row; nil stands for none. C is written
// in one pass where every K is small, and must not overlap what is read.
// Without add C is not read, so it may hold NaN.
//
// The caller checks shapes, as with [Gemm]. Sum does not allocate after the
// first call.
func Sum[T float32 | float64](m, n int, terms []Term[T], bias []T, add bool, c []T, ldc int) {
	if len(terms) == 0 {
		panic("blas: a sum without terms")
	}
	// A product alone goes to Gemm, which may turn it for speed.
	if _, ours := current.(native); ours && len(terms) <= MaxTerms && (len(terms) > 1 || bias != nil) {
		switch c := any(c).(type) {
		case []float32:
			sumNative(m, n, any(terms).([]Term[float32]), any(bias).([]float32), add, c, ldc, &sums32, serial32)
		case []float64:
			sumNative(m, n, any(terms).([]Term[float64]), any(bias).([]float64), add, c, ldc, &sums64, serial64)
		}
		return
	}
	beta := T(0)
	if add {
		beta = 1
	}
	if bias != nil {
		for i := range m {
			row := c[i*ldc:][:n]
			if add {
				kernel.Add(row, row, bias[:n])
			} else {
				copy(row, bias[:n])
			}
		}
		beta = 1
	}
	for _, t := range terms {
		Gemm(t.TransA, t.TransB, m, n, t.K, 1, t.A, t.LDA, t.B, t.LDB, beta, c, ldc)
		beta = 1
	}
}

// MaxTerms is the largest number of products that a [Sum] takes in one pass.
const MaxTerms = 8

// sum is C ← α·Σ op(A)·op(B) + bias + β·C.
type sum[T float] struct {
	m, n  int
	terms []Term[T]
	alpha T
	bias  []T
	beta  T
	c     []T
	ldc   int
}

// work is the number of multiply–adds.
func (s *sum[T]) work() int {
	k := 0
	for i := range s.terms {
		k += s.terms[i].K
	}
	return s.m * s.n * k
}

// part is the rows [i0, i1) and the columns [j0, j1) of C.
type part struct{ i0, i1, j0, j1 int }

func sumNative[T float](m, n int, terms []Term[T], bias []T, add bool, c []T, ldc int, pool *sync.Pool, serial func(*sum[T], part)) {
	if m == 0 || n == 0 {
		return
	}
	for i := range terms {
		t := &terms[i]
		if !holds(t.A, t.LDA, m, t.K, t.TransA) || !holds(t.B, t.LDB, t.K, n, t.TransB) || t.K < 1 {
			panic(fmt.Sprintf("blas: term %d of a sum of shape (%d, %d): factors of %d and %d elements with strides %d and %d do not fit K = %d", i, m, n, len(t.A), len(t.B), t.LDA, t.LDB, t.K))
		}
	}
	if !holds(c, ldc, m, n, false) || bias != nil && len(bias) < n {
		panic(fmt.Sprintf("blas: a sum of shape (%d, %d) with stride %d in %d elements, and a bias of %d", m, n, ldc, len(c), len(bias)))
	}
	s := pool.Get().(*split[T])
	s.sum = sum[T]{m: m, n: n, terms: terms, alpha: 1, bias: bias, c: c, ldc: ldc}
	if add {
		s.beta = 1
	}
	s.run(serial)
	pool.Put(s)
}

// multiply runs p through serial as a sum of one term, in parts of C where C is
// large.
func multiply[T float](p product[T], pool *sync.Pool, serial func(*sum[T], part)) {
	if p.m == 0 || p.n == 0 {
		return
	}
	if p.k == 0 || p.alpha == 0 {
		p.scale()
		return
	}
	s := pool.Get().(*split[T])
	s.only[0] = Term[T]{TransA: p.transA, TransB: p.transB, K: p.k, A: p.a, LDA: p.lda, B: p.b, LDB: p.ldb}
	s.sum = sum[T]{m: p.m, n: p.n, terms: s.only[:], alpha: p.alpha, beta: p.beta, c: p.c, ldc: p.ldc}
	s.run(serial)
	pool.Put(s)
}

// product is the part at of a sum of one term.
func (s *sum[T]) product(at part) product[T] {
	t := &s.terms[0]
	p := product[T]{
		transA: t.TransA, transB: t.TransB, m: s.m, n: s.n, k: t.K,
		alpha: s.alpha, a: t.A, lda: t.LDA, b: t.B, ldb: t.LDB, beta: s.beta, c: s.c, ldc: s.ldc,
	}
	return p.rows(at.i0, at.i1).cols(at.j0, at.j1)
}

const (
	// serialWork is the number of multiply–adds (about 8 µs) below which a
	// second goroutine comes too late to help.
	serialWork = 1 << 20

	// A product is split at multiples of these rows or columns of C, which are
	// multiples of every micro-tile and, for columns, of a cache line.
	rowUnit, colUnit = 12, 32
)

// split is a sum that kernel.Parallel runs. It is pooled, with its method value
// made once, because a fresh closure would be an allocation for every product.
type split[T float] struct {
	sum[T]
	only   [1]Term[T] // the term of a product
	serial func(*sum[T], part)
	byRows bool
	body   func(lo, hi int)
}

func (s *split[T]) do(lo, hi int) {
	at := part{0, s.m, 0, s.n}
	if s.byRows {
		at.i0, at.i1 = lo*rowUnit, min(hi*rowUnit, s.m)
	} else {
		at.j0, at.j1 = lo*colUnit, min(hi*colUnit, s.n)
	}
	s.serial(&s.sum, at)
}

// run computes the sum through serial, in parts of C on several goroutines when
// it is large enough. Every element of C is computed by one goroutine.
func (s *split[T]) run(serial func(*sum[T], part)) {
	threads := kernel.Threads()
	if threads == 1 || s.work() < serialWork {
		serial(&s.sum, part{0, s.m, 0, s.n})
		s.sum = sum[T]{}
		return
	}
	s.serial = serial
	rows, cols := (s.m+rowUnit-1)/rowUnit, (s.n+colUnit-1)/colUnit
	// Columns are preferred: then no two goroutines pack the same part of B.
	s.byRows = cols < 4*threads && cols < rows
	if s.byRows {
		kernel.Parallel(rows, 1, s.body)
	} else {
		kernel.Parallel(cols, 1, s.body)
	}
	s.sum, s.serial = sum[T]{}, nil
}

// newSplits pools the splits of one element type.
func newSplits[T float]() sync.Pool {
	return sync.Pool{New: func() any {
		s := new(split[T])
		s.body = s.do
		return s
	}}
}

var (
	sums32 = newSplits[float32]()
	sums64 = newSplits[float64]()
)
