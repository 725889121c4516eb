package blas

import (
	"unsafe"

	"cmf/graph/kernel"
)

// newScalarKernels are the micro-kernels in Go.
func newScalarKernels[T float]() *kernels[T] {
	return &kernels[T]{
		name:    scalarName,
		heights: []int{4, 1},
		panels:  []panel[T]{{width: 4, micros: []micro[T]{micro4x4[T], micro1x4[T]}, pack: packRows4[T]}},
	}
}

func micro4x4[T float](tiles int, segments *int, count int, c *T, ldc, cols int, alpha, beta T, bias *T) {
	cs := unsafe.Slice(c, (4*tiles-1)*ldc+cols)
	for tile := range tiles {
		var sums [4][4]T
		for _, g := range segmentsAt[T](segments, count) {
			add4x4(&sums, &g, tile)
		}
		for i := range sums {
			update(cs[(4*tile+i)*ldc:][:cols], &sums[i], alpha, beta, bias)
		}
	}
}

// segmentsAt returns count segments, given the address of the first one's k.
func segmentsAt[T float](first *int, count int) []segment[T] {
	return unsafe.Slice((*segment[T])(unsafe.Pointer(first)), count)
}

// add4x4 has a variable for each sum: an array would not stay in registers.
func add4x4[T float](sums *[4][4]T, g *segment[T], tile int) {
	as := unsafe.Slice(g.a, tile*g.tileStride+3*g.rowStride+(g.k-1)*g.colStride+1)[tile*g.tileStride:]
	bs := unsafe.Slice(g.b, (g.k-1)*g.bStride+4)
	a0, a1, a2, a3 := as, as[g.rowStride:], as[2*g.rowStride:], as[3*g.rowStride:]
	t := *sums
	t00, t01, t02, t03 := t[0][0], t[0][1], t[0][2], t[0][3]
	t10, t11, t12, t13 := t[1][0], t[1][1], t[1][2], t[1][3]
	t20, t21, t22, t23 := t[2][0], t[2][1], t[2][2], t[2][3]
	t30, t31, t32, t33 := t[3][0], t[3][1], t[3][2], t[3][3]
	for l := 0; len(bs) >= 4; l, bs = l+g.colStride, bs[min(g.bStride, len(bs)):] {
		b0, b1, b2, b3 := kernel.Flush(bs[0]), kernel.Flush(bs[1]), kernel.Flush(bs[2]), kernel.Flush(bs[3])
		x := kernel.Flush(a0[l])
		t00 += x * b0
		t01 += x * b1
		t02 += x * b2
		t03 += x * b3
		x = kernel.Flush(a1[l])
		t10 += x * b0
		t11 += x * b1
		t12 += x * b2
		t13 += x * b3
		x = kernel.Flush(a2[l])
		t20 += x * b0
		t21 += x * b1
		t22 += x * b2
		t23 += x * b3
		x = kernel.Flush(a3[l])
		t30 += x * b0
		t31 += x * b1
		t32 += x * b2
		t33 += x * b3
	}
	*sums = [4][4]T{{t00, t01, t02, t03}, {t10, t11, t12, t13}, {t20, t21, t22, t23}, {t30, t31, t32, t33}}
}

func micro1x4[T float](tiles int, segments *int, count int, c *T, ldc, cols int, alpha, beta T, bias *T) {
	cs := unsafe.Slice(c, (tiles-1)*ldc+cols)
	for tile := range tiles {
		var t [4]T
		for _, g := range segmentsAt[T](segments, count) {
			as := unsafe.Slice(g.a, tile*g.tileStride+(g.k-1)*g.colStride+1)[tile*g.tileStride:]
			bs := unsafe.Slice(g.b, (g.k-1)*g.bStride+4)
			for l := 0; len(bs) >= 4; l, bs = l+g.colStride, bs[min(g.bStride, len(bs)):] {
				x := kernel.Flush(as[l])
				t[0] += x * kernel.Flush(bs[0])
				t[1] += x * kernel.Flush(bs[1])
				t[2] += x * kernel.Flush(bs[2])
				t[3] += x * kernel.Flush(bs[3])
			}
		}
		update(cs[tile*ldc:][:cols], &t, alpha, beta, bias)
	}
}

// update writes α·t + bias + β·C into c. With β = 0 it does not read c.
func update[T float](c []T, t *[4]T, alpha, beta T, bias *T) {
	for j := range c {
		sum := alpha * t[j]
		if bias != nil {
			sum += kernel.Flush(unsafe.Slice(bias, len(c))[j])
		}
		if beta != 0 {
			sum += kernel.Flush(beta * kernel.Flush(c[j]))
		}
		c[j] = kernel.Flush(sum)
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
