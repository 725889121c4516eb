package blas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestGemmByHand(t *testing.T) {
	everyBackend(t, func(t *testing.T) {
		c := []float32{1, 1, 1, 1}
		Gemm(false, false, 2, 2, 3, 1, []float32{1, 2, 3, 4, 5, 6}, 3, []float32{1, 0, 0, 1, 1, 1}, 2, 10, c, 2)
		want := []float32{14, 15, 20, 21}
		for i := range c {
			if c[i] != want[i] {
				t.Fatalf("[1 2 3; 4 5 6]·[1 0; 0 1; 1 1] + 10 = %v, want %v", c, want)
			}
		}
	})
}

func TestGemmShapes(t *testing.T) {
	sizes := []int{0, 1, 2, 5, 16, 33, 67}
	everyBackend(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 1))
		for _, m := range sizes {
			for _, n := range sizes {
				for _, k := range sizes {
					for flags := range 4 {
						tA, tB, pad := flags&1 != 0, flags&2 != 0, r.IntN(2)*r.IntN(9)
						alpha, beta := []float64{0, 1, -0.5}[r.IntN(3)], []float64{0, 1, 0.25}[r.IntN(3)]
						p := random[float32](r, tA, tB, m, n, k, pad)
						p.alpha, p.beta = float32(alpha), float32(beta)
						check(t, p)
						q := random[float64](r, tA, tB, m, n, k, pad)
						q.alpha, q.beta = alpha, beta
						check(t, q)
					}
				}
			}
		}
	})
}

// TestGemmBlocks has sizes on both sides of every limit of blocking and
// splitting.
func TestGemmBlocks(t *testing.T) {
	everyBackend(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(2, 1))
		for i, s := range [][3]int{{500, 8, 330}, {13, 800, 33}, {70, 790, 20}, {110, 110, 90}, {3, 40, 2100}} {
			for flags := range 4 {
				tA, tB := flags&1 != 0, flags&2 != 0
				p := random[float32](r, tA, tB, s[0], s[1], s[2], i%2)
				p.beta = float32(i % 2)
				check(t, p)
				q := random[float64](r, tA, tB, s[0], s[1], s[2], i%2)
				q.beta = float64(i % 2)
				check(t, q)
			}
		}
	})
}

func TestGemmProperty(t *testing.T) {
	everyBackend(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			size := rapid.IntRange(0, 50)
			seed := rapid.Uint64().Draw(t, "seed")
			p := random[float32](rand.New(rand.NewPCG(seed, 0)),
				rapid.Bool().Draw(t, "transA"), rapid.Bool().Draw(t, "transB"),
				size.Draw(t, "m"), size.Draw(t, "n"), size.Draw(t, "k"), rapid.IntRange(0, 3).Draw(t, "pad"))
			p.alpha = float32(rapid.IntRange(-2, 2).Draw(t, "alpha"))
			p.beta = float32(rapid.IntRange(-2, 2).Draw(t, "beta"))
			check(t, p)
		})
	})
}

// TestGemmOverwritesNaN: β = 0 promises that C is not read.
func TestGemmOverwritesNaN(t *testing.T) {
	everyBackend(t, func(t *testing.T) {
		for _, s := range [][3]int{{3, 5, 7}, {40, 50, 60}, {100, 90, 400}, {4, 4, 0}} {
			p := random[float32](rand.New(rand.NewPCG(3, 1)), false, true, s[0], s[1], s[2], 0)
			for _, zero := range []float32{0, float32(math.Copysign(0, -1))} {
				p.beta = zero
				for i := range p.c {
					p.c[i] = float32(math.NaN())
				}
				p.run()
				for i, x := range p.c {
					if x != x {
						t.Fatalf("%s: c[%d] is NaN", p.shape(), i)
					}
				}
			}
		}
	})
}

// TestGemmCarriesNaN: a NaN in A must reach its row of C, and no other.
func TestGemmCarriesNaN(t *testing.T) {
	for _, name := range []string{"openblas", "native"} {
		t.Run(name, func(t *testing.T) {
			use(t, name, 1)
			for _, s := range [][3]int{{13, 5, 7}, {40, 50, 60}} {
				p := random[float32](rand.New(rand.NewPCG(3, 1)), false, false, s[0], s[1], s[2], 0)
				p.a[2*p.lda+3] = float32(math.NaN())
				p.run()
				for i, x := range p.c {
					if isNaN := x != x; isNaN != (i/p.ldc == 2) {
						t.Fatalf("%s: c[%d] = %v", p.shape(), i, x)
					}
				}
			}
		})
	}
}

// TestGemmRepeats: native sums in one order whatever the split, and each
// backend repeats itself.
func TestGemmRepeats(t *testing.T) {
	for _, name := range names {
		for _, s := range []struct {
			transA, transB bool
			m, n, k        int
		}{{false, true, 211, 130, 333}, {false, true, 3001, 2, 333}, {true, false, 3001, 1, 400}, {true, false, 2, 3001, 400}, {false, false, 40, 4, 9000}} {
			t.Run(fmt.Sprintf("%s/%dx%dx%d", name, s.m, s.n, s.k), func(t *testing.T) {
				p := random[float32](rand.New(rand.NewPCG(4, 1)), s.transA, s.transB, s.m, s.n, s.k, 0)
				var first []float32
				for _, threads := range []int{2, 2, 1, 3} {
					use(t, name, threads)
					p.run()
					if first == nil || (name != "native" && threads != 2) {
						first = append([]float32(nil), p.c...)
					}
					for i := range first {
						if p.c[i] != first[i] {
							t.Fatalf("%d threads: c[%d] = %v, before it was %v", threads, i, p.c[i], first[i])
						}
					}
				}
			})
		}
	}
}

func TestGemmFromManyGoroutines(t *testing.T) {
	everyBackend(t, func(t *testing.T) {
		var group sync.WaitGroup
		for g := range 3 {
			group.Go(func() {
				r := rand.New(rand.NewPCG(5, uint64(g)))
				for _, s := range [][3]int{{110, 120, 90}, {3, 4, 5}, {100, 33, 64}} {
					p := random[float32](r, false, g%2 == 0, s[0], s[1], s[2], 0)
					want := naive(p)
					p.run()
					for i := range want {
						if math.Abs(float64(p.c[i]-want[i])) > p.bound() {
							t.Errorf("%s: c[%d] = %v, want %v", p.shape(), i, p.c[i], want[i])
							return
						}
					}
				}
			})
		}
		group.Wait()
	})
}

func TestGemmDoesNotAllocate(t *testing.T) {
	for _, name := range []string{"openblas", "native"} {
		for _, threads := range []int{1, 2} {
			for _, m := range []int{8, 200} {
				t.Run(fmt.Sprintf("%s/%d threads/%d rows", name, threads, m), func(t *testing.T) {
					use(t, name, threads)
					p := random[float32](rand.New(rand.NewPCG(6, 1)), false, true, m, 70, 80, 0)
					q := random[float64](rand.New(rand.NewPCG(6, 1)), true, false, m, 70, 80, 0)
					if n := testing.AllocsPerRun(100, func() { p.run(); q.run() }); n != 0 && !raceDetector {
						t.Fatalf("%v allocations", n)
					}
				})
			}
		}
	}
}

func TestGemmRefusesShortSlices(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			use(t, name, 1)
			for _, p := range []product[float32]{
				{m: 40, n: 40, k: 40, alpha: 1, a: make([]float32, 1599), lda: 40, b: make([]float32, 1600), ldb: 40, c: make([]float32, 1600), ldc: 40},
				{m: 40, n: 40, k: 40, alpha: 1, a: make([]float32, 1600), lda: 40, b: make([]float32, 1600), ldb: 39, c: make([]float32, 1600), ldc: 40},
				{m: 40, n: 40, k: 40, alpha: 1, a: make([]float32, 1600), lda: 40, b: make([]float32, 1600), ldb: 40, c: make([]float32, 1599), ldc: 40},
				{m: -1, n: 40, k: 40, alpha: 1, lda: 40, b: make([]float32, 1600), ldb: 40, ldc: 40},
			} {
				func() {
					defer func() {
						if recover() == nil {
							t.Errorf("%s with %d, %d, %d elements: no panic", p.shape(), len(p.a), len(p.b), len(p.c))
						}
					}()
					p.run()
				}()
			}
		})
	}
}
