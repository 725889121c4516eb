// Package kernel holds the elementwise arithmetic of potentials, their
// gradients and Adam on slices of float32 and float64, and the pool of threads
// that runs it.
//
// Every element of a result depends on the inputs of that element alone, not
// on its place in the slice, so splitting a slice over threads changes no bit.
// Slices of float32 go to AVX-512 or AVX2 code where the processor has it; the
// two agree bit for bit. Elsewhere, and for float64, plain Go does the work.
//
// No kernel computes with subnormal numbers or returns one: operands of less
// than 2⁻¹²⁶ in size (2⁻¹⁰²² in float64) count as 0, and so do results. On some
// processors an operation on a subnormal number takes a hundred times as long,
// and the tails of sharp hinges are full of them. The assembly sets the
// processor's flush-to-zero for the length of a call, in which Go switches to
// no other goroutine, and then restores what was set before; plain Go looks at
// each number.
//
// A destination may be the same slice as any input but must not overlap one
// otherwise. The slices of one call have one length; anything else is a mistake
// of the caller and panics.
package kernel

import (
	"fmt"
	"unsafe"
)

// Float is the element type of a slice.
type Float interface{ float32 | float64 }

// Features names the instructions in use for float32: "avx512", "avx2" or
// "generic".
func Features() string { return active.name }

// path is one implementation of every float32 kernel.
type path struct {
	name string

	softplus, sigmoid, exp, log func(dst, x []float32)
	softplusSigmoid             func(sp, sg, x []float32)
	sigmoidGrad                 func(dst, s, g []float32)
	sigmoidGrad2                func(dst, s, g, u []float32)

	add, sub, mul, mulAdd func(dst, a, b []float32)
	axpy                  func(dst []float32, alpha float32, x []float32)
	affine                func(dst []float32, a float32, x []float32, b float32)
	relu, step            func(dst, x []float32)

	sum         func(x []float32) float32
	dot, sqDist func(a, b []float32) float32
	dsdot       func(a, b []float32) float64

	adam func(value, grad, m, v []float32, beta1, rest1, beta2, rest2, rate, scale2, eps, floor float32)
}

var generic = path{
	name:            "generic",
	softplus:        softplus32,
	sigmoid:         sigmoid32,
	exp:             exp32,
	log:             log[float32],
	softplusSigmoid: softplusSigmoid32,
	sigmoidGrad:     sigmoidGrad[float32],
	sigmoidGrad2:    sigmoidGrad2[float32],
	add:             add[float32],
	sub:             sub[float32],
	mul:             mul[float32],
	mulAdd:          mulAdd[float32],
	axpy:            axpy[float32],
	affine:          affine[float32],
	relu:            relu32,
	step:            step32,
	sum:             sum[float32],
	dot:             dot[float32],
	sqDist:          sqDist[float32],
	dsdot:           dsdot,
	adam:            adam,
}

// active is the path in use: the last, fastest of paths. Only tests write it.
var active = paths[len(paths)-1]

// f32 is x under its concrete type; T must be float32.
func f32[T Float](x []T) []float32 { return any(x).([]float32) }

// f64 is x under its concrete type; T must be float64.
func f64[T Float](x []T) []float64 { return any(x).([]float64) }

// Flush is x, or 0 where x is subnormal: where its exponent field is 0.
func Flush[T Float](x T) T {
	if unsafe.Sizeof(x) == 4 {
		if *(*uint32)(unsafe.Pointer(&x))&(0xFF<<23) == 0 {
			return 0
		}
	} else if *(*uint64)(unsafe.Pointer(&x))&(0x7FF<<52) == 0 {
		return 0
	}
	return x
}

func isFloat32[T Float]() bool {
	var zero T
	_, ok := any(zero).(float32)
	return ok
}

// sameLength panics unless every slice of the call has the length n of the
// first.
func sameLength(n int, others ...int) {
	for i, m := range others {
		if m != n {
			panic(fmt.Sprintf("kernel: argument slice %d has length %d, the first has %d; they must be equal", i+2, m, n))
		}
	}
}
