package simd128

import (
	"fmt"
	"math"
)

// Module is the module as a browser compiles it.
func Module() []byte {
	all := []*function{softplus(), sigmoid(), softplusSigmoid(), sigmoidGrad()}
	for _, o := range []struct {
		name string
		code uint64
	}{{"add", f32Add}, {"sub", f32Sub}, {"mul", f32Mul}} {
		all = append(all, binary2(o.name, o.code))
	}
	all = append(all, mulAdd(), axpy(), affine())
	for _, width := range []int{8, 4} {
		for _, height := range []int{4, 1} {
			all = append(all, tile(height, width))
		}
	}
	return assemble(all)
}

// elementwise is a function of pointers and, at last, a positive count of numbers, a multiple
// of four; body gives four of them. scalars come before the count.
func elementwise(name string, pointers, scalars int, body func(f *function)) *function {
	f := &function{name: name}
	for range pointers {
		f.params = append(f.params, i32)
	}
	for range scalars {
		f.params = append(f.params, f32)
	}
	f.params = append(f.params, i32)
	count := len(f.params) - 1
	f.repeat(count, 4, func() {
		body(f)
		for p := range pointers {
			f.advance(p, 16)
		}
	})
	return f
}

// element is the vector at pointer p; store writes what follows to pointer p.
func (f *function) element(p int)             { f.get(p); f.vecLoad(v128Load, 0) }
func (f *function) store(p int, value func()) { f.get(p); value(); f.vecLoad(v128Store, 0) }

func binary2(name string, code uint64) *function {
	return elementwise(name, 3, 0, func(f *function) {
		f.store(0, func() { f.element(1); f.element(2); f.vec(code) })
	})
}

func mulAdd() *function {
	return elementwise("mulAdd", 3, 0, func(f *function) {
		f.store(0, func() { f.element(0); f.element(1); f.element(2); f.vec(f32Mul); f.vec(f32Add) })
	})
}

// axpy adds alpha·x; affine writes a·x + b.
func axpy() *function {
	return elementwise("axpy", 2, 1, func(f *function) {
		f.store(0, func() {
			f.element(0)
			f.get(2)
			f.vec(f32Splat)
			f.element(1)
			f.vec(f32Mul)
			f.vec(f32Add)
		})
	})
}

func affine() *function {
	return elementwise("affine", 2, 2, func(f *function) {
		f.store(0, func() {
			f.get(2)
			f.vec(f32Splat)
			f.element(1)
			f.vec(f32Mul)
			f.get(3)
			f.vec(f32Splat)
			f.vec(f32Add)
		})
	})
}

// The constants, and the order of operations, are those of package kernel's scalar functions,
// so that the results have the same bits.
const (
	expMin     = float32(-0x1.5d589ep6)
	negligible = float32(0x1p-25)
	ln2High    = float32(0x1.63p-1)
	ln2Low     = float32(-0x1.bd0106p-13)
	roundShift = float32(0x1.8p23)
	smallest   = float32(0x1p-126) // that is not subnormal
)

// decay leaves e^{−|t|} in e.
func (f *function) decay(t, e int) {
	x, shifted, k, r, r2 := f.local(v128), f.local(v128), f.local(v128), f.local(v128), f.local(v128)
	f.get(t)
	f.vec(f32Abs)
	f.vec(f32Neg)
	f.set(x)

	f.get(x)
	f.all(float32(math.Log2E))
	f.vec(f32Mul)
	f.all(roundShift)
	f.vec(f32Add)
	f.set(shifted)

	f.get(shifted)
	f.all(roundShift)
	f.vec(f32Sub)
	f.set(k)

	f.get(x)
	f.get(k)
	f.all(ln2High)
	f.vec(f32Mul)
	f.vec(f32Sub)
	f.get(k)
	f.all(ln2Low)
	f.vec(f32Mul)
	f.vec(f32Sub)
	f.set(r)

	f.get(r)
	f.get(r)
	f.vec(f32Mul)
	f.set(r2)

	f.all(1) // p = 1 + (r + r2·q)
	f.get(r)
	f.get(r2)
	f.linear(r, 0x1.fffffcp-2, 0x1.55548cp-3)
	f.get(r2)
	f.linear(r, 0x1.555858p-5, 0x1.123dep-7)
	f.get(r2)
	f.all(0x1.6ac6b2p-10)
	f.vec(f32Mul)
	f.vec(f32Add)
	f.vec(f32Mul)
	f.vec(f32Add)
	f.vec(f32Mul)
	f.vec(f32Add)
	f.vec(f32Add)

	f.get(shifted) // times 2ⁿ
	f.allBits(math.Float32bits(roundShift) - 127)
	f.vec(i32VecSub)
	f.int(23)
	f.vec(i32VecShl)
	f.vec(f32Mul)

	f.get(x) // or 0 where it would be subnormal
	f.all(expMin)
	f.vec(f32AtLeast)
	f.vec(v128And)
	f.set(e)
}

// linear is a + v·b.
func (f *function) linear(v int, a, b float32) {
	f.all(a)
	f.get(v)
	f.all(b)
	f.vec(f32Mul)
	f.vec(f32Add)
}

// log1p is log(1 + e) for 0 ≤ e ≤ 1.
func (f *function) log1p(e int) {
	c, e2, e4 := f.local(v128), f.local(v128), f.local(v128)
	f.get(e)
	f.all(negligible)
	f.vec(f32Max)
	f.set(c)

	f.get(c)
	f.get(c)
	f.vec(f32Mul)
	f.set(e2)

	f.get(e2)
	f.get(e2)
	f.vec(f32Mul)
	f.set(e4)

	f.get(c) // e + e²·q, or e where that is negligible
	f.get(e2)
	f.linear(c, -0x1.ffffd2p-2, 0x1.554ddp-2)
	f.get(e2)
	f.linear(c, -0x1.ff23e6p-3, 0x1.934b54p-3)
	f.vec(f32Mul)
	f.vec(f32Add)
	f.get(e4)
	f.linear(c, -0x1.3a435ep-3, 0x1.b4ae08p-4)
	f.get(e2)
	f.linear(c, -0x1.d6b08cp-5, 0x1.4917cep-6)
	f.vec(f32Mul)
	f.vec(f32Add)
	f.get(e4)
	f.all(0x1.af49cep-9)
	f.vec(f32Mul)
	f.vec(f32Sub)
	f.vec(f32Mul)
	f.vec(f32Add)
	f.vec(f32Mul)
	f.vec(f32Add)
	f.get(e)
	f.get(e)
	f.all(negligible)
	f.vec(f32AtLeast)
	f.vec(bitSelect)
}

// positive is max(t, 0) + what is on the stack.
func (f *function) positive(t int) {
	f.get(t)
	f.all(0)
	f.vec(f32Max)
	f.vec(f32Add)
}

// logistic is (t < 0 ? e : 1)/(1 + e).
func (f *function) logistic(t, e int) {
	f.get(e)
	f.all(1)
	f.get(t)
	f.all(0)
	f.vec(f32Less)
	f.vec(bitSelect)
	f.all(1)
	f.get(e)
	f.vec(f32Add)
	f.vec(f32Div)
}

func softplus() *function {
	return withDecay("softplus", 2, func(f *function, t, e int) {
		f.store(0, func() { f.log1p(e); f.positive(t) })
	})
}

func sigmoid() *function {
	return withDecay("sigmoid", 2, func(f *function, t, e int) {
		f.store(0, func() { f.logistic(t, e) })
	})
}

func softplusSigmoid() *function {
	return withDecay("softplusSigmoid", 3, func(f *function, t, e int) {
		f.store(0, func() { f.log1p(e); f.positive(t) })
		f.store(1, func() { f.logistic(t, e) })
	})
}

// withDecay is an elementwise function of the numbers at the last pointer.
func withDecay(name string, pointers int, body func(f *function, t, e int)) *function {
	return elementwise(name, pointers, 0, func(f *function) {
		t, e := f.local(v128), f.local(v128)
		f.element(pointers - 1)
		f.set(t)
		f.decay(t, e)
		body(f, t, e)
	})
}

// sigmoidGrad writes s(1 − s)·g.
func sigmoidGrad() *function {
	return elementwise("sigmoidGrad", 3, 0, func(f *function) {
		v := f.local(v128)
		f.element(1)
		f.all(1)
		f.element(1)
		f.vec(f32Sub)
		f.vec(f32Mul)
		f.set(v)
		f.flushed(v)
		f.element(2)
		f.vec(f32Mul)
		f.set(v)
		f.store(0, func() { f.flushed(v) })
	})
}

// flushed is v, or 0 where that is subnormal.
func (f *function) flushed(v int) {
	f.get(v)
	f.get(v)
	f.vec(f32Abs)
	f.all(smallest)
	f.vec(f32AtLeast)
	f.vec(v128And)
}

// tile is the micro-kernel of package blas for tiles of height×width elements. Its parameters
// are tiles, segments, count, c, ldc, cols, alpha, beta, bias, scratch; the last has room for
// 2·width numbers, for columns that do not fill a tile.
func tile(height, width int) *function {
	f := &function{name: fmt.Sprintf("tile%dx%d", height, width), params: []byte{i32, i32, i32, i32, i32, i32, f32, f32, i32, i32}}
	const (
		tiles = iota
		segments
		count
		c
		ldc
		cols
		alpha
		beta
		bias
		scratch
	)
	// Of a segment in Go's memory.
	const (
		segK, segA, segRow, segCol, segTile, segB, segBStride = 0, 8, 16, 24, 32, 40, 48
		segSize                                               = 56
	)
	vectors := width / 4
	var sums [][]int
	var rows []int
	for range height {
		var row []int
		for range vectors {
			row = append(row, f.local(v128))
		}
		sums, rows = append(sums, row), append(rows, f.local(i32))
	}
	var b []int
	for range vectors {
		b = append(b, f.local(v128))
	}
	number, segment, left, k, pb, stepA, stepB, a := f.local(i32), f.local(i32), f.local(i32), f.local(i32), f.local(i32), f.local(i32), f.local(i32), f.local(v128)
	at, to, from, done := f.local(i32), f.local(i32), f.local(i32), f.local(i32)
	field := func(offset int) { f.get(segment); f.load(i32Load, offset) }
	bytes := func() { f.int(2); f.op(i32Shl) }

	f.get(ldc)
	bytes()
	f.set(ldc)
	f.repeat(tiles, 1, func() {
		for i := range sums {
			for _, s := range sums[i] {
				f.all(0)
				f.set(s)
			}
		}
		f.get(segments)
		f.set(segment)
		f.get(count)
		f.set(left)
		f.repeat(left, 1, func() {
			field(segA)
			field(segTile)
			f.get(number)
			f.op(0x6c) // i32.mul
			bytes()
			f.op(i32Add)
			f.set(rows[0])
			for i := 1; i < height; i++ {
				f.get(rows[i-1])
				field(segRow)
				bytes()
				f.op(i32Add)
				f.set(rows[i])
			}
			for _, v := range []struct{ to, offset int }{{k, segK}, {pb, segB}} {
				field(v.offset)
				f.set(v.to)
			}
			for _, v := range []struct{ to, offset int }{{stepA, segCol}, {stepB, segBStride}} {
				field(v.offset)
				bytes()
				f.set(v.to)
			}
			f.repeat(k, 1, func() {
				for j := range b {
					f.get(pb)
					f.vecLoad(v128Load, 16*j)
					f.set(b[j])
				}
				for i := range rows {
					f.get(rows[i])
					f.vecLoad(splatLoad, 0)
					f.set(a)
					for j := range b {
						f.get(sums[i][j])
						f.get(a)
						f.get(b[j])
						f.vec(f32Mul)
						f.vec(f32Add)
						f.set(sums[i][j])
					}
					f.move(rows[i], stepA)
				}
				f.move(pb, stepB)
			})
			f.advance(segment, segSize)
		})
		f.advance(number, 1)
		// copyRow copies cols numbers.
		copyRow := func(dst, src int) {
			f.get(dst)
			f.set(to)
			f.get(src)
			f.set(from)
			f.get(cols)
			f.set(done)
			f.repeat(done, 1, func() {
				f.get(to)
				f.get(from)
				f.load(f32Load, 0)
				f.load(f32Store, 0)
				f.advance(to, 4)
				f.advance(from, 4)
			})
		}
		partial := func(body func()) {
			f.get(cols)
			f.int(int32(width))
			f.op(i32Ne)
			f.when(body)
		}
		second := f.local(i32) // the bias, or its copy
		f.get(bias)
		f.set(second)
		f.get(bias)
		f.when(func() {
			partial(func() {
				f.get(scratch)
				f.int(int32(4 * width))
				f.op(i32Add)
				f.set(second)
				copyRow(second, bias)
			})
		})
		for i := range sums {
			f.get(c)
			f.set(at)
			partial(func() { f.get(scratch); f.set(at) })
			f.get(beta)
			f.op(f32Const, 0, 0, 0, 0)
			f.op(f32Ne)
			f.when(func() { partial(func() { copyRow(at, c) }) })
			for j, s := range sums[i] {
				f.get(s)
				f.get(alpha)
				f.vec(f32Splat)
				f.vec(f32Mul)
				f.set(s)
				f.get(second)
				f.when(func() {
					f.get(s)
					f.get(second)
					f.vecLoad(v128Load, 16*j)
					f.vec(f32Add)
					f.set(s)
				})
				f.get(beta)
				f.op(f32Const, 0, 0, 0, 0)
				f.op(f32Ne)
				f.when(func() {
					f.get(s)
					f.get(at)
					f.vecLoad(v128Load, 16*j)
					f.get(beta)
					f.vec(f32Splat)
					f.vec(f32Mul)
					f.vec(f32Add)
					f.set(s)
				})
				f.get(at)
				f.get(s)
				f.vecLoad(v128Store, 16*j)
			}
			partial(func() { copyRow(c, at) })
			f.move(c, ldc)
		}
	})
	return f
}
