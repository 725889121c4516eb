package batch

import (
	"math"

	"cmf/graph/kernel"
)

// shortRow is the length up to which a plain loop is faster than a call.
const shortRow = 8

// Inner is aᵀb, summed in float64.
func Inner(a, b []float32) float64 {
	if len(a) > shortRow {
		return kernel.Dsdot(a, b)
	}
	var sum float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// Norm is ‖a‖, summed in float64.
func Norm(a []float32) float64 { return math.Sqrt(Inner(a, a)) }

// SumSquares is ‖a‖², summed in float64 from first to last.
func SumSquares(a []float32) float64 {
	var s float64
	for _, v := range a {
		s += float64(v) * float64(v)
	}
	return s
}

// RootMeanSquare is √(‖a‖²/n).
func RootMeanSquare(a []float32) float64 { return math.Sqrt(SumSquares(a) / float64(len(a))) }

// AddScaled adds c·a to dst.
func AddScaled(dst []float32, c float64, a []float32) {
	if len(a) > shortRow {
		kernel.Axpy(dst, float32(c), a)
		return
	}
	for i, v := range a {
		dst[i] += float32(c) * v
	}
}

// SubtractFrom writes a − b into b.
func SubtractFrom(a, b []float32) {
	if len(a) > shortRow {
		kernel.Sub(b, a, b)
		return
	}
	for i, v := range a {
		b[i] = v - b[i]
	}
}

// Finite says whether v is neither NaN nor infinite.
func Finite(v float64) bool { return v-v == 0 }

// AllFinite says whether no value is NaN or infinite.
func AllFinite[T float32 | float64](values []T) bool {
	for _, v := range values {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// Widen writes v into dst.
func Widen(dst []float64, v []float32) {
	for i, x := range v {
		dst[i] = float64(x)
	}
}

// Narrow writes v, rounded, into dst.
func Narrow(dst []float32, v []float64) {
	for i, x := range v {
		dst[i] = float32(x)
	}
}
