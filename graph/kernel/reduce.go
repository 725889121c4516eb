package kernel

// Sum is Σ x_i.
//
// Like every reduction here it accumulates in lanes: in float32 64 of them
// with AVX, otherwise 8. With L lanes the error is at most
// (n/L + log₂ L)·ε·Σ|x_i|, ε = 2⁻²⁴ in float32 and 2⁻⁵³ in float64. The order
// of summation depends on n alone, so equal slices give equal results.
func Sum[T Float](x []T) T {
	if isFloat32[T]() {
		return T(active.sum(f32(x)))
	}
	return sum(x)
}

// SumSquares is Σ x_i², accumulated like [Sum].
func SumSquares[T Float](x []T) T { return Dot(x, x) }

// Dot is Σ a_i·b_i, accumulated like [Sum].
func Dot[T Float](a, b []T) T {
	sameLength(len(a), len(b))
	if isFloat32[T]() {
		return T(active.dot(f32(a), f32(b)))
	}
	return dot(a, b)
}

// Dsdot is Σ a_i·b_i with products and sum in float64, as BLAS has it: the error
// is at most n·2⁻⁵³·Σ|a_i·b_i|.
func Dsdot(a, b []float32) float64 {
	sameLength(len(a), len(b))
	return active.dsdot(a, b)
}

// SqDist is Σ (a_i − b_i)², accumulated like [Sum].
func SqDist[T Float](a, b []T) T {
	sameLength(len(a), len(b))
	if isFloat32[T]() {
		return T(active.sqDist(f32(a), f32(b)))
	}
	return sqDist(a, b)
}

// lanes are the partial sums of a reduction in plain Go.
type lanes[T Float] [8]T

func (l *lanes[T]) fold() T {
	return Flush(Flush(Flush(l[0]+l[4])+Flush(l[2]+l[6])) + Flush(Flush(l[1]+l[5])+Flush(l[3]+l[7])))
}

func sum[T Float](x []T) T {
	var l lanes[T]
	for ; len(x) >= len(l); x = x[len(l):] {
		for j := range l {
			l[j] = Flush(l[j] + Flush(x[j]))
		}
	}
	for j, t := range x {
		l[j] = Flush(l[j] + Flush(t))
	}
	return l.fold()
}

func dot[T Float](a, b []T) T {
	var l lanes[T]
	b = b[:len(a)]
	for ; len(a) >= len(l) && len(b) >= len(l); a, b = a[len(l):], b[len(l):] {
		for j := range l {
			l[j] = Flush(l[j] + Flush(Flush(a[j])*Flush(b[j])))
		}
	}
	for j := range a {
		l[j] = Flush(l[j] + Flush(Flush(a[j])*Flush(b[j])))
	}
	return l.fold()
}

func dsdot(a, b []float32) float64 {
	var l lanes[float64]
	b = b[:len(a)]
	for ; len(a) >= len(l) && len(b) >= len(l); a, b = a[len(l):], b[len(l):] {
		for j := range l {
			l[j] += float64(Flush(a[j])) * float64(Flush(b[j]))
		}
	}
	for j := range a {
		l[j] += float64(Flush(a[j])) * float64(Flush(b[j]))
	}
	return l.fold()
}

func sqDist[T Float](a, b []T) T {
	var l lanes[T]
	b = b[:len(a)]
	for ; len(a) >= len(l) && len(b) >= len(l); a, b = a[len(l):], b[len(l):] {
		for j := range l {
			d := Flush(Flush(a[j]) - Flush(b[j]))
			l[j] = Flush(l[j] + Flush(d*d))
		}
	}
	for j := range a {
		d := Flush(Flush(a[j]) - Flush(b[j]))
		l[j] = Flush(l[j] + Flush(d*d))
	}
	return l.fold()
}
