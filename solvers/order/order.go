// Package order sorts numbers and selects among them, without allocating.
package order

import (
	"math"
	"math/bits"
	"slices"

	"cmf/graph/kernel"
)

// Select returns the number that values[k] would be if slices.Sort had sorted values,
// NaN first. It reorders values so that nothing before values[k] is greater and nothing
// after it is smaller. It allocates nothing, and takes O(n) time on average and
// O(n log n) at worst. Zeros of both signs are equal: it may return either. An index k
// outside values panics.
//
// C. A. R. Hoare, "Algorithm 65: Find", Communications of the ACM 4(7), 1961,
// page 321.
func Select[T kernel.Float](values []T, k int) T {
	skipped := nanFirst(values)
	if k < skipped {
		return values[k]
	}
	rest := values[skipped:]
	// Each round about halves the rest; after too many unlucky rounds the rest is sorted.
	for rounds := 2 * bits.Len(uint(len(rest))); len(rest) > 24 && rounds > 0; rounds-- {
		pivot := middleOf(rest[0], rest[len(rest)/2], rest[len(rest)-1])
		less := 0
		for i, v := range rest {
			rest[i], rest[less] = rest[less], v
			if v < pivot { // without a branch, which could not be predicted
				less++
			}
		}
		if k-skipped < less {
			rest = rest[:less]
			continue
		}
		rest, skipped = rest[less:], skipped+less
		equal := 0
		for i, v := range rest {
			rest[i], rest[equal] = rest[equal], v
			if v == pivot {
				equal++
			}
		}
		if k-skipped < equal {
			return pivot
		}
		rest, skipped = rest[equal:], skipped+equal
	}
	slices.Sort(rest)
	return values[k]
}

// nanFirst moves NaNs to the front and returns their number.
func nanFirst[T kernel.Float](values []T) (n int) {
	for i, v := range values {
		if v != v {
			values[i], values[n] = values[n], v
			n++
		}
	}
	return n
}

func middleOf[T kernel.Float](a, b, c T) T { return max(min(a, b), min(max(a, b), c)) }

// Sort sorts values as slices.Sort does, except for the place of NaN (at either end, by
// its sign) and the order of zeros (−0 before 0). It makes three passes over digits of
// 11 bits. work must be at least as long as values.
//
// D. E. Knuth, "The Art of Computer Programming", volume 3, 2nd edition, 1998,
// section 5.2.5, algorithm R.
func Sort(values, work []float32) {
	const digit, cells = 11, 1 << 11
	if len(values) < 256 {
		slices.Sort(values)
		return
	}
	// The bits of a float, read as an integer, have the order of the floats once all bits
	// of negative numbers and the sign bit of the others are flipped.
	key := func(v float32) uint32 {
		b := math.Float32bits(v)
		return b ^ (uint32(int32(b)>>31) | 1<<31)
	}
	var start [3][cells]uint32
	for _, v := range values {
		b := key(v)
		start[0][b%cells]++
		start[1][b>>digit%cells]++
		start[2][b>>(2*digit)]++
	}
	for p := range start {
		var sum uint32
		for c, n := range start[p] {
			start[p][c] = sum
			sum += n
		}
	}
	from, to := values, work[:len(values)]
	for p := range start {
		at := &start[p]
		for _, v := range from {
			c := key(v) >> (p * digit) % cells
			to[at[c]] = v
			at[c]++
		}
		from, to = to, from
	}
	copy(values, from)
}

// Median is the upper median of values. It reorders values.
func Median(values []float32) float64 { return float64(Select(values, len(values)/2)) }
