package kernel

import "math"

// The scalar float32 functions stay in float32 throughout: a conversion to
// float64 costs more than it saves, because on amd64 it waits for the register
// that it writes and so chains each element to the one before.

const (
	// expMin and expMax bound x in e^x: beyond them the result, and
	// 1/(1 + e^x), is at its limit in float32. Just above expMin = −126·log 2
	// the result is 2⁻¹²⁶.
	expMin = float32(-0x1.5d589ep6)
	expMax = float32(104)

	// negligible is below half a unit in the last place of 1.
	negligible = float32(0x1p-25)

	log2E = float32(math.Log2E)

	// ln2High + ln2Low = log 2; k·ln2High is exact for the k that occur.
	ln2High = float32(0x1.63p-1)
	ln2Low  = float32(-0x1.bd0106p-13)

	// roundShift added to a small float32 leaves its nearest integer in the
	// low bits.
	roundShift = float32(0x1.8p23)
)

// The polynomials below are minimax for the relative error, 3·10⁻⁹ for e^r and
// 5·10⁻⁹ for log1p. Their terms are grouped so that few wait for one another.

// expScalar is e^x = 2ᵏ·e^r with |r| ≤ ½ log 2.
func expScalar(x float32) float32 {
	if abs32(x) < negligible {
		return 1 // r² would be subnormal
	}
	if x < expMin {
		return 0
	}
	if x > expMax {
		x = expMax
	}
	shifted := x*log2E + roundShift
	k := shifted - roundShift
	r := x - k*ln2High - k*ln2Low
	r2 := r * r
	q := (0x1.fffffcp-2 + r*0x1.55548cp-3) + r2*((0x1.555858p-5+r*0x1.123dep-7)+r2*0x1.6ac6b2p-10)
	p := 1 + (r + r2*q)
	// 2ᵏ in two factors, since it may be out of range where the result is not.
	n := int32(math.Float32bits(shifted) - math.Float32bits(roundShift))
	half := n >> 1
	return Flush(p * powerOf2(half) * powerOf2(n-half))
}

func powerOf2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// log1pScalar is log(1 + e) = e + e²·Q(e) for 0 ≤ e ≤ 1; the form keeps the
// relative accuracy for small e.
func log1pScalar(e float32) float32 {
	if e < negligible {
		return e // e² would be subnormal
	}
	e2 := e * e
	e4 := e2 * e2
	q := (-0x1.ffffd2p-2 + e*0x1.554ddp-2) + e2*(-0x1.ff23e6p-3+e*0x1.934b54p-3) +
		e4*((-0x1.3a435ep-3+e*0x1.b4ae08p-4)+e2*(-0x1.d6b08cp-5+e*0x1.4917cep-6)-e4*0x1.af49cep-9)
	return e + e2*q
}

// Signs of data are hard to predict, so choices by sign use bits and no
// branches.

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// allSignBits is all ones for a negative x, otherwise 0.
func allSignBits(x float32) uint32 { return uint32(int32(math.Float32bits(x)) >> 31) }

// positivePart is max(x, 0), also 0 for a negative NaN.
func positivePart(x float32) float32 {
	return math.Float32frombits(math.Float32bits(x) &^ allSignBits(x))
}

// sigmoidNumerator is e for negative x and 1 otherwise. With e = e^{−|x|} the
// sigmoid is this number over 1 + e.
func sigmoidNumerator(x, e float32) float32 {
	one := math.Float32bits(1)
	return math.Float32frombits(one ^ (one^math.Float32bits(e))&allSignBits(x))
}

// block is how many exponentials are computed before they are used: two short
// loops keep a processor busier than one long one.
const block = 64

// expBlock writes e^{−|x_i|} for the first items of x and returns how many.
func expBlock(e *[block]float32, x []float32) int {
	x = x[:min(len(x), block)]
	for i, t := range x {
		e[i] = expScalar(-abs32(t))
	}
	return len(x)
}

func softplus32(dst, x []float32) {
	var e [block]float32
	for len(x) > 0 {
		n := expBlock(&e, x)
		for i, t := range x[:n] {
			dst[i] = positivePart(t) + log1pScalar(e[i])
		}
		dst, x = dst[n:], x[n:]
	}
}

func sigmoid32(dst, x []float32) {
	var e [block]float32
	for len(x) > 0 {
		n := expBlock(&e, x)
		for i, t := range x[:n] {
			dst[i] = sigmoidNumerator(t, e[i]) / (1 + e[i])
		}
		dst, x = dst[n:], x[n:]
	}
}

func softplusSigmoid32(sp, sg, x []float32) {
	var e [block]float32
	for len(x) > 0 {
		n := expBlock(&e, x)
		for i, t := range x[:n] {
			sp[i] = positivePart(t) + log1pScalar(e[i])
			sg[i] = sigmoidNumerator(t, e[i]) / (1 + e[i])
		}
		sp, sg, x = sp[n:], sg[n:], x[n:]
	}
}

func exp32(dst, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = expScalar(x[i])
	}
}

// exp64Min is where e^x reaches the smallest normal float64, 2⁻¹⁰²².
const exp64Min = -1022 * math.Ln2

func expScalar64(x float64) float64 {
	if x < exp64Min {
		return 0
	}
	return Flush(math.Exp(x))
}

func softplus64(dst, x []float64) {
	for i, t := range x {
		dst[i] = max(t, 0) + math.Log1p(expScalar64(-math.Abs(t)))
	}
}

func sigmoid64(dst, x []float64) {
	for i, t := range x {
		e := expScalar64(-math.Abs(t))
		s := 1.0
		if t < 0 {
			s = e
		}
		dst[i] = Flush(s / (1 + e))
	}
}

func softplusSigmoid64(sp, sg, x []float64) {
	for i, t := range x {
		e := expScalar64(-math.Abs(t))
		s := 1.0
		if t < 0 {
			s = e
		}
		sp[i] = max(t, 0) + math.Log1p(e)
		sg[i] = Flush(s / (1 + e))
	}
}

func exp64(dst, x []float64) {
	for i, t := range x {
		dst[i] = expScalar64(t)
	}
}

func log[T Float](dst, x []T) {
	for i, t := range x {
		dst[i] = T(math.Log(float64(Flush(t))))
	}
}

func sigmoidGrad[T Float](dst, s, g []T) {
	s, g = s[:len(dst)], g[:len(dst)]
	for i := range dst {
		v := Flush(s[i])
		dst[i] = Flush(Flush(v*(1-v)) * Flush(g[i]))
	}
}

func sigmoidGrad2[T Float](dst, s, g, u []T) {
	s, g, u = s[:len(dst)], g[:len(dst)], u[:len(dst)]
	for i := range dst {
		dst[i] = Flush(Flush((1-2*Flush(s[i]))*Flush(g[i])) * Flush(u[i]))
	}
}

// The signs of data are hard to predict, so relu32 and step32 choose by the order of bits, which
// compiles to moves instead of branches. As bits, floats ascend from 0 by subnormal, normal and
// infinite ones to NaN, and those with the sign set follow.
const (
	leastNormal = 0x0080_0000
	infinite    = 0x7f80_0000
	signed      = 0x8000_0000
)

// relu32 writes max(x, 0), 0 for subnormal x and NaN for NaN.
func relu32(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		bits, out := math.Float32bits(v), uint32(0)
		if bits-leastNormal < signed-leastNormal {
			out = bits
		}
		if bits > signed+infinite {
			out = bits
		}
		dst[i] = math.Float32frombits(out)
	}
}

// step32 writes 1 where x > 0, and 0 for the rest, subnormal x and NaN.
func step32(dst, x []float32) {
	dst, one := dst[:len(x)], math.Float32bits(1)
	for i, v := range x {
		out := uint32(0)
		if math.Float32bits(v)-leastNormal <= infinite-leastNormal {
			out = one
		}
		dst[i] = math.Float32frombits(out)
	}
}
