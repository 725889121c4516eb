package blas

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// sumCase is a sum of random products, and its value computed element by
// element.
type sumCase[T float] struct {
	m, n  int
	terms []Term[T]
	bias  []T
	add   bool
	c     []T
	ldc   int
}

func randomSum[T float](r *rand.Rand, m, n int, ks ...int) (s sumCase[T]) {
	s = sumCase[T]{m: m, n: n, add: r.IntN(2) == 0}
	for _, k := range ks {
		p := random[T](r, r.IntN(2) == 0, r.IntN(2) == 0, m, n, k, r.IntN(3))
		s.terms = append(s.terms, Term[T]{TransA: p.transA, TransB: p.transB, K: k, A: p.a, LDA: p.lda, B: p.b, LDB: p.ldb})
		s.c, s.ldc = p.c, p.ldc
	}
	if r.IntN(2) == 0 {
		for range n {
			s.bias = append(s.bias, T(r.NormFloat64()))
		}
	}
	return s
}

// run computes the sum on a copy of C.
func (s sumCase[T]) run() []T {
	c := slices.Clone(s.c)
	Sum(s.m, s.n, s.terms, s.bias, s.add, c, s.ldc)
	return c
}

func (s sumCase[T]) naive() []T {
	p := product[T]{m: s.m, n: s.n, alpha: 1, c: slices.Clone(s.c), ldc: s.ldc}
	if s.add {
		p.beta = 1
	}
	for _, t := range s.terms {
		p.transA, p.transB, p.k, p.a, p.lda, p.b, p.ldb = t.TransA, t.TransB, t.K, t.A, t.LDA, t.B, t.LDB
		p.c, p.beta = naive(p), 1
	}
	for i := range s.m {
		for j, b := range s.bias {
			p.c[i*s.ldc+j] += b
		}
	}
	return p.c
}

func (s sumCase[T]) check(t rapid.TB, got []T) {
	t.Helper()
	bound := 0.
	for _, x := range s.terms {
		bound += product[T]{k: x.K, alpha: 1, beta: 1}.bound()
	}
	for i, want := range s.naive() {
		if d := float64(got[i] - want); !(max(d, -d) <= bound) {
			t.Fatalf("(%d, %d), %d terms, bias %t, add %t: c[%d] = %v, want %v", s.m, s.n, len(s.terms), s.bias != nil, s.add, i, got[i], want)
		}
	}
}

func TestSum(t *testing.T) {
	everyBackend(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			size := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1, 900))
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			m, n := rapid.IntRange(1, 70).Draw(t, "m"), rapid.IntRange(1, 70).Draw(t, "n")
			ks := rapid.SliceOfN(size, 1, MaxTerms+2).Draw(t, "ks")
			single, double := randomSum[float32](r, m, n, ks...), randomSum[float64](r, m, n, ks...)
			single.check(t, single.run())
			double.check(t, double.run())
		})
	})
}

// The split over threads changes no bit.
func TestSumRepeats(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 1))
	for _, shape := range [][2]int{{700, 200}, {70, 2000}, {3000, 3}} {
		s := randomSum[float32](r, shape[0], shape[1], 700, 64, 333)
		var first []float32
		for _, threads := range []int{1, 2, 3} {
			use(t, "native", threads)
			got := s.run()
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Fatalf("shape %v: %d threads change the result", shape, threads)
			}
		}
	}
}

func TestSumDoesNotAllocate(t *testing.T) {
	s := randomSum[float32](rand.New(rand.NewPCG(11, 1)), 200, 70, 30, 400)
	for _, threads := range []int{1, 2} {
		use(t, "native", threads)
		if n := testing.AllocsPerRun(50, func() { Sum(s.m, s.n, s.terms, s.bias, s.add, s.c, s.ldc) }); n != 0 && !raceDetector {
			t.Errorf("%d threads: %v allocations", threads, n)
		}
	}
}

func TestSumRefusesShortSlices(t *testing.T) {
	use(t, "native", 1)
	for name, harm := range map[string]func(s *sumCase[float32]){
		"A":    func(s *sumCase[float32]) { s.terms[1].A = s.terms[1].A[:10] },
		"B":    func(s *sumCase[float32]) { s.terms[0].B = nil },
		"C":    func(s *sumCase[float32]) { s.c = s.c[:len(s.c)-s.ldc] },
		"bias": func(s *sumCase[float32]) { s.bias = make([]float32, s.n-1) },
	} {
		s := randomSum[float32](rand.New(rand.NewPCG(12, 1)), 20, 20, 30, 40)
		harm(&s)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a short %s: no panic", name)
				}
			}()
			s.run()
		}()
	}
}

// Subnormal factors, addends and results count as 0.
func TestProductsFlushSubnormals(t *testing.T) {
	run := func(t *testing.T) {
		for _, m := range []int{1, 5, 12, 40} {
			for _, n := range []int{1, 3, 32, 50} {
				for _, v := range []struct{ a, b, c, want float32 }{
					{0x1p-127, 0x1p100, 0, 0},
					{0x1p100, -0x1p-130, 0, 0},
					{0x1p-70, 0x1p-60, 0, 0},
					{0x1p-63, 0x1p-63, 0, 0x1p-126},
					{0x1p-126, 1, 0, 0x1p-126},
					{0, 1, 0x1p-127, 0},
					{0x1p-126, -1.5, 0x1p-126, 0},
				} {
					const k = 9
					a, b, c := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
					for i := range m {
						a[i*k+4] = v.a
					}
					for j := range n {
						b[4*n+j] = v.b
					}
					for i := range c {
						c[i] = v.c
					}
					Gemm(false, false, m, n, k, 1, a, k, b, n, 1, c, n)
					for i, got := range c {
						if got != v.want {
							t.Fatalf("(%d, %d): %g·%g + %g = %g at %d, want %g", m, n, v.a, v.b, v.c, got, i, v.want)
						}
					}
				}
			}
		}
		if tiny := []float32{0x1p-126}; tiny[0]/2 == 0 {
			t.Error("a product leaves subnormals flushed in plain Go")
		}
	}
	for _, v := range variants() {
		t.Run(v.single.name, func(t *testing.T) {
			use(t, "native", 1)
			before := serial32
			t.Cleanup(func() { serial32 = before })
			serial32 = v.single.multiply
			run(t)
		})
	}
}
