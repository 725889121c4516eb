package blas

import "unsafe"

// newScalarKernels are the micro-kernels in Go.
func newScalarKernels[T float]() *kernels[T] {
	return &kernels[T]{
		name:    scalarName,
		heights: []int{4, 1},
		panels:  []panel[T]{{width: 4, micros: []micro[T]{micro4x4[T], micro1x4[T]}, pack: packRows4[T]}},
	}
}

// micro4x4 names its sums one by one: an array would not stay in registers.
func micro4x4[T float](k int, a *T, rowStride, colStride int, b *T, bStride int, c *T, ldc, cols int, alpha, beta T) {
	as := unsafe.Slice(a, 3*rowStride+(k-1)*colStride+1)
	bs := unsafe.Slice(b, (k-1)*bStride+4)
	a0, a1, a2, a3 := as, as[rowStride:], as[2*rowStride:], as[3*rowStride:]
	var (
		t00, t01, t02, t03 T
		t10, t11, t12, t13 T
		t20, t21, t22, t23 T
		t30, t31, t32, t33 T
	)
	for l := 0; len(bs) >= 4; l, bs = l+colStride, bs[min(bStride, len(bs)):] {
		b0, b1, b2, b3 := bs[0], bs[1], bs[2], bs[3]
		x := a0[l]
		t00 += x * b0
		t01 += x * b1
		t02 += x * b2
		t03 += x * b3
		x = a1[l]
		t10 += x * b0
		t11 += x * b1
		t12 += x * b2
		t13 += x * b3
		x = a2[l]
		t20 += x * b0
		t21 += x * b1
		t22 += x * b2
		t23 += x * b3
		x = a3[l]
		t30 += x * b0
		t31 += x * b1
		t32 += x * b2
		t33 += x * b3
	}
	t := [4][4]T{{t00, t01, t02, t03}, {t10, t11, t12, t13}, {t20, t21, t22, t23}, {t30, t31, t32, t33}}
	cs := unsafe.Slice(c, 3*ldc+cols)
	for i := range t {
		update(cs[i*ldc:][:cols], &t[i], alpha, beta)
	}
}

func micro1x4[T float](k int, a *T, _, colStride int, b *T, bStride int, c *T, _, cols int, alpha, beta T) {
	as := unsafe.Slice(a, (k-1)*colStride+1)
	bs := unsafe.Slice(b, (k-1)*bStride+4)
	var t [4]T
	for l := 0; len(bs) >= 4; l, bs = l+colStride, bs[min(bStride, len(bs)):] {
		x := as[l]
		t[0] += x * bs[0]
		t[1] += x * bs[1]
		t[2] += x * bs[2]
		t[3] += x * bs[3]
	}
	update(unsafe.Slice(c, cols), &t, alpha, beta)
}

// update writes α·t + β·c into c, which β = 0 does not read.
func update[T float](c []T, t *[4]T, alpha, beta T) {
	for j := range c {
		sum := alpha * t[j]
		if beta != 0 {
			sum += beta * c[j]
		}
		c[j] = sum
	}
}

func packRows4[T float](dst, src *T, ld, k, cols int) {
	to, from := unsafe.Slice(dst, 4*k), unsafe.Slice(src, (k-1)*ld+cols)
	clear(to)
	for l := range k {
		copy(to[4*l:4*l+4], from[l*ld:][:cols])
	}
}

const scalarName = "scalar"
