package blas

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"cmf/graph/kernel"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

var names = []string{"openblas", "native", "gonum"}

// use makes the named backend current for one test, or skips the test.
func use(t testing.TB, name string, threads int) {
	t.Helper()
	before, before32, before64, parts := current, blas32.Implementation(), blas64.Implementation(), kernel.Threads()
	if _, err := Use(name, threads); err != nil {
		t.Skipf("backend not available here: %v", err)
	}
	t.Cleanup(func() {
		current = before
		blas32.Use(before32)
		blas64.Use(before64)
		kernel.SetThreads(parts)
	})
}

// naive is the product in float64, element by element.
func naive[T float](p product[T]) []T {
	c := append([]T(nil), p.c...)
	// The element (i, l) of op(A) is a[i·ai + l·al], and so on.
	ai, al, bl, bj := p.lda, 1, p.ldb, 1
	if p.transA {
		ai, al = al, ai
	}
	if p.transB {
		bl, bj = bj, bl
	}
	for i := range p.m {
		for j := range p.n {
			var s float64
			for l := range p.k {
				s += float64(p.a[i*ai+l*al]) * float64(p.b[l*bl+j*bj])
			}
			s *= float64(p.alpha)
			if p.beta != 0 {
				s += float64(p.beta) * float64(p.c[i*p.ldc+j])
			}
			c[i*p.ldc+j] = T(s)
		}
	}
	return c
}

// random makes a product of the given shape whose strides exceed its rows by
// pad.
func random[T float](r *rand.Rand, transA, transB bool, m, n, k, pad int) product[T] {
	p := product[T]{transA: transA, transB: transB, m: m, n: n, k: k, alpha: 1}
	fill := func(rows, cols int, trans bool) ([]T, int) {
		if trans {
			rows, cols = cols, rows
		}
		ld := max(1, cols+pad)
		x := make([]T, rows*ld)
		for i := range x {
			x[i] = T(r.NormFloat64())
		}
		return x, ld
	}
	p.a, p.lda = fill(m, k, transA)
	p.b, p.ldb = fill(k, n, transB)
	p.c, p.ldc = fill(m, n, false)
	return p
}

func (p product[T]) run() {
	Gemm(p.transA, p.transB, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc)
}

// bound is how far rounding may change one element of p when its factors are
// standard normal.
func (p product[T]) bound() float64 {
	epsilon := 0x1p-23
	if _, double := any(p.alpha).(float64); double {
		epsilon = 0x1p-52
	}
	return 16 * epsilon * (math.Sqrt(float64(p.k))*math.Abs(float64(p.alpha)) + math.Abs(float64(p.beta)) + 1) * 4
}

// check runs p and compares all of C, also the gaps between its rows, with the
// naive product.
func check[T float](t rapid.TB, p product[T]) {
	t.Helper()
	want := naive(p)
	p.run()
	for i, x := range want {
		if d := math.Abs(float64(p.c[i] - x)); !(d <= p.bound()) {
			t.Fatalf("%+v: c[%d] = %v, want %v", p.shape(), i, p.c[i], x)
		}
	}
}

func (p product[T]) shape() string {
	return fmt.Sprintf("%T m=%d n=%d k=%d transA=%t transB=%t lda=%d ldb=%d ldc=%d α=%v β=%v",
		p.alpha, p.m, p.n, p.k, p.transA, p.transB, p.lda, p.ldb, p.ldc, p.alpha, p.beta)
}

// everyBackend runs f with each backend and number of threads, and with each
// kind of micro-kernel that this processor has.
func everyBackend(t *testing.T, f func(t *testing.T)) {
	for _, name := range names {
		for _, threads := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d threads", name, threads), func(t *testing.T) {
				use(t, name, threads)
				f(t)
			})
		}
	}
	for _, v := range variants() {
		t.Run("native/"+v.single.name, func(t *testing.T) {
			use(t, "native", 2)
			before32, before64 := serial32, serial64
			t.Cleanup(func() { serial32, serial64 = before32, before64 })
			serial32, serial64 = v.single.multiply, v.double.multiply
			f(t)
		})
	}
}

type variant struct {
	single *kernels[float32]
	double *kernels[float64]
}

func scalarVariant() variant {
	return variant{newScalarKernels[float32](), newScalarKernels[float64]()}
}

func TestUse(t *testing.T) {
	use(t, "native", 1)
	for _, c := range []struct {
		name    string
		threads int
		want    string
	}{
		{"mkl", 1, "known are auto, gonum, native, openblas"},
		{"native", -1, "-1 threads"},
	} {
		if _, err := Use(c.name, c.threads); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Use(%q, %d): error %v, want one with %q", c.name, c.threads, err, c.want)
		}
	}
	if _, ok := Implementation().(native); !ok {
		t.Errorf("a refused Use changed the backend to %T", Implementation())
	}
	for _, name := range []string{"auto", "native", "gonum"} {
		b, err := Use(name, 2)
		if err != nil {
			t.Fatal(err)
		}
		if b.Threads != 2 || b.Version == "" || (name != "auto" && b.Name != name) {
			t.Errorf("Use(%q, 2) = %+v", name, b)
		}
		if blas32.Implementation() != Implementation() || blas64.Implementation() != Implementation() {
			t.Errorf("Use(%q) did not reach gonum", name)
		}
	}
}

// TestAuto: auto is native where that has assembly or the library is absent,
// otherwise openblas.
func TestAuto(t *testing.T) {
	use(t, "gonum", 1)
	open, name := backends["openblas"], kernels32.name
	t.Cleanup(func() { backends["openblas"], kernels32.name = open, name })
	for _, c := range []struct{ kernels, want string }{{"AVX2", "native"}, {scalarName, "openblas"}} {
		kernels32.name = c.kernels
		backends["openblas"] = openGonum
		if b, err := Use("auto", 1); err != nil || b.Name != c.want {
			t.Errorf("auto with %s kernels gives %+v, error %v; want %s", c.kernels, b, err, c.want)
		}
	}
	backends["openblas"] = func() (BLAS, string, error) { return nil, "", errors.New("absent") }
	if b, err := Use("auto", 1); err != nil || b.Name != "native" {
		t.Errorf("auto gives %+v, error %v", b, err)
	}
	if _, err := Use("openblas", 1); err == nil {
		t.Error("openblas gives no error")
	}
}

// TestCholesky uses the backends through gonum's mat: A = LLᵀ gives log det A =
// 2 Σ log Lᵢᵢ.
func TestCholesky(t *testing.T) {
	const n = 150
	r := rand.New(rand.NewPCG(8, 1))
	l := mat.NewTriDense(n, mat.Lower, nil)
	var want float64
	for i := range n {
		for j := range i {
			l.SetTri(i, j, r.NormFloat64()/math.Sqrt(n))
		}
		l.SetTri(i, i, 1+r.Float64())
		want += 2 * math.Log(l.At(i, i))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			use(t, name, 2)
			var a mat.Dense
			a.Mul(l, l.T())
			s := mat.NewSymDense(n, a.RawMatrix().Data)
			var c mat.Cholesky
			if !c.Factorize(s) {
				t.Fatal("L·Lᵀ is not positive definite")
			}
			if got := c.LogDet(); math.Abs(got-want) > 1e-9 {
				t.Errorf("log det = %v, want %v", got, want)
			}
		})
	}
}
