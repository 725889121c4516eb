//go:build (linux || darwin) && (amd64 || arm64)

package blas

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// TestRoutines compares the other routines of a backend with gonum's.
func TestRoutines(t *testing.T) {
	use(t, "openblas", 1)
	const m, n, pad = 90, 61, 3
	r := rand.New(rand.NewPCG(7, 1))
	values := func(size int) ([]float32, []float64) {
		s, d := make([]float32, size), make([]float64, size)
		for i := range s {
			s[i] = float32(r.NormFloat64())
			d[i] = float64(s[i])
		}
		return s, d
	}
	// triangle is well conditioned: its diagonal is large.
	triangle := func(order int) ([]float32, []float64, int) {
		ld := order + pad
		s, d := values(order * ld)
		for i := range order {
			s[i*ld+i] = 4 * float32(math.Sqrt(float64(order)))
			d[i*ld+i] = float64(s[i*ld+i])
		}
		return s, d, ld
	}
	var g gonum.Implementation
	o := Implementation()
	// compare runs a routine of the backend and of gonum, each on a copy of its
	// output.
	compare := func(name string, size int, s32 func(b BLAS, out []float32), s64 func(b BLAS, out []float64)) {
		t.Helper()
		got32, got64 := values(size)
		want32, want64 := append([]float32(nil), got32...), append([]float64(nil), got64...)
		s32(o, got32)
		s32(g, want32)
		s64(o, got64)
		s64(g, want64)
		for i := range got32 {
			if d := math.Abs(float64(got32[i] - want32[i])); !(d < 3e-4) {
				t.Fatalf("S%s: element %d is %v, gonum has %v", name, i, got32[i], want32[i])
			}
			if d := math.Abs(got64[i] - want64[i]); !(d < 1e-11) {
				t.Fatalf("D%s: element %d is %v, gonum has %v", name, i, got64[i], want64[i])
			}
		}
	}

	a32, a64 := values(m * (n + pad))
	x32, x64 := values(2 * m)
	for _, tr := range []blas.Transpose{blas.NoTrans, blas.Trans} {
		for _, inc := range []int{1, 2, -2} {
			compare("gemv", 2*m,
				func(b BLAS, y []float32) { b.Sgemv(tr, m, n, 2, a32, n+pad, x32, inc, 0.5, y, -inc) },
				func(b BLAS, y []float64) { b.Dgemv(tr, m, n, 2, a64, n+pad, x64, inc, 0.5, y, -inc) })
		}
		for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
			order, k := m, n
			if tr == blas.Trans {
				order, k = n, m
			}
			compare("syrk", order*(order+pad),
				func(b BLAS, c []float32) { b.Ssyrk(ul, tr, order, k, 2, a32, n+pad, 0.5, c, order+pad) },
				func(b BLAS, c []float64) { b.Dsyrk(ul, tr, order, k, 2, a64, n+pad, 0.5, c, order+pad) })
			for _, side := range []blas.Side{blas.Left, blas.Right} {
				order := m
				if side == blas.Right {
					order = n
				}
				t32, t64, ld := triangle(order)
				diag := blas.NonUnit
				compare("trsm", m*(n+pad),
					func(b BLAS, c []float32) { b.Strsm(side, ul, tr, diag, m, n, 2, t32, ld, c, n+pad) },
					func(b BLAS, c []float64) { b.Dtrsm(side, ul, tr, diag, m, n, 2, t64, ld, c, n+pad) })
				for _, diag := range []blas.Diag{blas.NonUnit, blas.Unit} {
					compare("trmm", m*(n+pad),
						func(b BLAS, c []float32) { b.Strmm(side, ul, tr, diag, m, n, 0.1, t32, ld, c, n+pad) },
						func(b BLAS, c []float64) { b.Dtrmm(side, ul, tr, diag, m, n, 0.1, t64, ld, c, n+pad) })
				}
			}
		}
	}
}

// TestRoutinesOverwriteNaN: β = 0 promises that the output is not read.
func TestRoutinesOverwriteNaN(t *testing.T) {
	use(t, "openblas", 1)
	const n = 100
	a, x, out := make([]float64, n*n), make([]float64, n), make([]float64, n*n)
	fill := func() {
		for i := range out {
			out[i] = math.NaN()
		}
	}
	o := Implementation()
	for _, tr := range []blas.Transpose{blas.NoTrans, blas.Trans} {
		for _, inc := range []int{1, -2} {
			fill()
			o.Dgemv(tr, n, n, 1, a, n, x, 1, 0, out, inc)
			for i := range n {
				if got := out[i*max(inc, -inc)]; got != 0 {
					t.Fatalf("Dgemv with increment %d leaves %v in element %d", inc, got, i)
				}
			}
		}
		for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
			fill()
			o.Dsyrk(ul, tr, n, n, 1, a, n, 0, out, n)
			for i := range n {
				for j := range n {
					inside := j >= i
					if ul == blas.Lower {
						inside = j <= i
					}
					if got := out[i*n+j]; inside != (got == 0) {
						t.Fatalf("Dsyrk leaves %v in (%d, %d), inside the triangle: %t", got, i, j, inside)
					}
				}
			}
		}
	}
}

func TestAbsentLibrary(t *testing.T) {
	_, err := openLibrary([]string{"libabsent.so.0", "libabsent.so"})
	if err == nil || !strings.Contains(err.Error(), "tried libabsent.so.0, libabsent.so") {
		t.Errorf("error %v, want one that names the libraries tried", err)
	}
}
