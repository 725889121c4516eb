//go:build js && simd128

package kernel

import "unsafe"

// The functions of the module that package simd128 makes.

//go:wasmimport kernels softplus
func softplusVectors(dst, x unsafe.Pointer, n int32)

//go:wasmimport kernels sigmoid
func sigmoidVectors(dst, x unsafe.Pointer, n int32)

//go:wasmimport kernels softplusSigmoid
func softplusSigmoidVectors(sp, sg, x unsafe.Pointer, n int32)

//go:wasmimport kernels sigmoidGrad
func sigmoidGradVectors(dst, s, g unsafe.Pointer, n int32)

//go:wasmimport kernels add
func addVectors(dst, a, b unsafe.Pointer, n int32)

//go:wasmimport kernels sub
func subVectors(dst, a, b unsafe.Pointer, n int32)

//go:wasmimport kernels mul
func mulVectors(dst, a, b unsafe.Pointer, n int32)

//go:wasmimport kernels mulAdd
func mulAddVectors(dst, a, b unsafe.Pointer, n int32)

//go:wasmimport kernels axpy
func axpyVectors(dst, x unsafe.Pointer, alpha float32, n int32)

//go:wasmimport kernels affine
func affineVectors(dst, x unsafe.Pointer, a, b float32, n int32)

// paths lists what a browser can run.
var paths = []path{generic, simd128}

var simd128 = func() path {
	p := generic
	p.name = "simd128"
	p.softplus = unary(softplusVectors, generic.softplus)
	p.sigmoid = unary(sigmoidVectors, generic.sigmoid)
	p.softplusSigmoid = ternary(softplusSigmoidVectors, generic.softplusSigmoid)
	p.sigmoidGrad = ternary(sigmoidGradVectors, generic.sigmoidGrad)
	p.add = ternary(addVectors, generic.add)
	p.sub = ternary(subVectors, generic.sub)
	p.mul = ternary(mulVectors, generic.mul)
	p.mulAdd = ternary(mulAddVectors, generic.mulAdd)
	p.axpy = func(dst []float32, alpha float32, x []float32) {
		n := whole(dst)
		if n > 0 {
			axpyVectors(first(dst), first(x), alpha, int32(n))
		}
		generic.axpy(dst[n:], alpha, x[n:])
	}
	p.affine = func(dst []float32, a float32, x []float32, b float32) {
		n := whole(dst)
		if n > 0 {
			affineVectors(first(dst), first(x), a, b, int32(n))
		}
		generic.affine(dst[n:], a, x[n:], b)
	}
	return p
}()

// whole is how many numbers fill vectors.
func whole(x []float32) int { return len(x) &^ 3 }

func first(x []float32) unsafe.Pointer { return unsafe.Pointer(&x[0]) }

// unary and ternary are functions by vectors, with the rest one by one.
func unary(vectors func(dst, x unsafe.Pointer, n int32), rest func(dst, x []float32)) func(dst, x []float32) {
	return func(dst, x []float32) {
		n := whole(dst)
		if n > 0 {
			vectors(first(dst), first(x), int32(n))
		}
		rest(dst[n:], x[n:])
	}
}

func ternary(vectors func(dst, a, b unsafe.Pointer, n int32), rest func(dst, a, b []float32)) func(dst, a, b []float32) {
	return func(dst, a, b []float32) {
		n := whole(dst)
		if n > 0 {
			vectors(first(dst), first(a), first(b), int32(n))
		}
		rest(dst[n:], a[n:], b[n:])
	}
}
