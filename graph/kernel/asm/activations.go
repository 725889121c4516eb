package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// activations emits exp, log, softplus and sigmoid.
func activations(s instructionSet) {
	l := begin(s, "exp", "func(dst, x []float32)", "writes eˣ.", "dst", "x")
	l.each(func() { l.store(s.exp(s.atMost(l.load("x", 0), s.constant(expMax))), "dst") })

	l = begin(s, "log", "func(dst, x []float32)", "writes log x.", "dst", "x")
	l.each(func() { l.store(s.log(l.load("x", 0)), "dst") })

	l = begin(s, "softplus", "func(dst, x []float32)", "writes log(1 + eˣ).", "dst", "x")
	l.each(func() {
		x := l.load("x", 0)
		l.store(s.softplus(x, s.expNegAbs(x)), "dst")
	})

	l = begin(s, "sigmoid", "func(dst, x []float32)", "writes 1/(1 + e⁻ˣ).", "dst", "x")
	l.each(func() {
		x := l.load("x", 0)
		l.store(s.sigmoid(x, s.expNegAbs(x)), "dst")
	})

	l = begin(s, "softplusSigmoid", "func(sp, sg, x []float32)", "writes log(1 + eˣ) and 1/(1 + e⁻ˣ).", "sp", "sg", "x")
	l.each(func() {
		x := l.load("x", 0)
		e := s.expNegAbs(x)
		sp, sg := s.softplus(x, e), s.sigmoid(x, e)
		l.store(sp, "sp")
		l.store(sg, "sg")
	})
}

// expMax bounds the argument of the exponential: beyond it the result is at its
// limit, 0 or Inf. It is 0 already below −126·log 2, where it would be
// subnormal.
const expMax = 104

// ln2High + ln2Low = log 2; products of ln2High with the integers that occur are
// exact.
const (
	ln2High = 0x1.63p-1
	ln2Low  = -0x1.bd0106p-13
)

// exp is e^x = 2ᵏ·e^r for x ≤ expMax, with |r| ≤ ½ log 2 and a minimax
// polynomial of relative error 3·10⁻⁹ for e^r.
func (s instructionSet) exp(x vector) vector {
	x = s.atLeast(x, s.constant(-expMax))
	n, k := s.mul(x, s.constant(math.Log2E)), s.new()
	VCVTPS2DQ(n, n)
	VCVTDQ2PS(n, k)
	r := s.subMul(k, s.constant(ln2High), x)
	r = s.subMul(k, s.constant(ln2Low), r)
	p := s.polynomial(r, 1, 1, 0x1.fffffcp-2, 0x1.55548cp-3, 0x1.555858p-5, 0x1.123dep-7, 0x1.6ac6b2p-10)
	return s.scale(p, k, n)
}

// expNegAbs is e^{−|x|}.
func (s instructionSet) expNegAbs(x vector) vector {
	return s.exp(s.or(x, s.bits(1<<31)))
}

// softplus is max(x, 0) + log1p(e) with e = e^{−|x|}, where
// log1p(e) = e + e²·Q(e) with a minimax polynomial of relative error 5·10⁻⁹;
// the form keeps the relative accuracy for small e.
func (s instructionSet) softplus(x, e vector) vector {
	// Even and odd powers are summed apart: in one long chain every term would
	// wait for the one before.
	log1p := s.mul(e, e)
	q := s.polynomial(log1p, -0x1.ffffd2p-2, -0x1.ff23e6p-3, -0x1.3a435ep-3, -0x1.d6b08cp-5, -0x1.af49cep-9)
	odd := s.polynomial(log1p, 0x1.554ddp-2, 0x1.934b54p-3, 0x1.b4ae08p-4, 0x1.4917cep-6)
	q = s.mulAdd(odd, e, q)
	VFMADD213PS(e, q, log1p)
	return s.add(s.atLeast(x, s.constant(0)), log1p)
}

// sigmoid is 1/(1 + e), or e/(1 + e) for x < 0, with e = e^{−|x|}.
func (s instructionSet) sigmoid(x, e vector) vector {
	one := s.constant(1)
	return s.div(s.where(less, x, s.constant(0), e, one), s.add(one, e))
}

// log is k·log 2 + log(1 + f) with x = 2ᵏ(1 + f), ½√2 ≤ 1 + f < √2, and
// log(1 + f) = f − f²/2 + f³·P(f) with a minimax polynomial P.
func (s instructionSet) log(x vector) vector {
	zero, inf := s.constant(0), s.constant(float32(math.Inf(1)))
	base := s.constant(math.Sqrt2 / 2)
	k, f := s.new(), s.new()
	VPSUBD(base, x, k)
	VPADDD(base, s.and(k, s.bits(1<<23-1)), f)
	VPSRAD(U8(23), k, k)
	VCVTDQ2PS(k, k)
	f = s.sub(f, s.constant(1))

	f2 := s.mul(f, f)
	y := s.polynomial(f, 0x1.555548p-2, -0x1.00007p-2, 0x1.99a542p-3, -0x1.552f06p-3, 0x1.230316p-3,
		-0x1.01056ap-3, 0x1.efe73p-4, -0x1.bc8fd8p-4, 0x1.aa1236p-5)
	y = s.mul(s.mul(y, f), f2)
	y = s.mulAdd(k, s.constant(ln2Low), y)
	y = s.subMul(s.constant(0.5), f2, y)
	y = s.mulAdd(k, s.constant(ln2High), s.add(f, y))

	y = s.where(equal, x, zero, s.constant(float32(math.Inf(-1))), y)
	y = s.where(less, x, zero, s.constant(float32(math.NaN())), y)
	return s.where(notLess, x, inf, x, y)
}
