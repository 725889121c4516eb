package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// vector is a register of width float32 lanes.
type vector = VecVirtual

// instructionSet holds what AVX2 and AVX-512 do differently.
type instructionSet struct {
	name  string
	width int // lanes of float32
	new   func() vector
}

var (
	avx2   = instructionSet{"AVX2", 8, YMM}
	avx512 = instructionSet{"AVX512", 16, ZMM}
)

// Predicates of VCMPPS, all false for NaN except notLess.
const (
	equal   = U8(0)
	less    = U8(1)
	notLess = U8(5)
)

var constants = map[uint32]Mem{}

// word is the address of a constant in memory.
func word(bits uint32) Mem {
	m, ok := constants[bits]
	if !ok {
		m = ConstData(fmt.Sprintf("word%08x", bits), U32(bits))
		constants[bits] = m
	}
	return m
}

// constant is c in every lane of a new register, which the caller may
// overwrite. It is loaded at each use: that takes no arithmetic unit, and no
// register for longer than needed.
func (s instructionSet) constant(c float32) vector { return s.bits(math.Float32bits(c)) }

// bits is the word b in every lane of a new register.
func (s instructionSet) bits(b uint32) vector {
	v := s.new()
	VBROADCASTSS(word(b), v)
	return v
}

func (s instructionSet) add(a, b vector) vector { d := s.new(); VADDPS(b, a, d); return d }
func (s instructionSet) sub(a, b vector) vector { d := s.new(); VSUBPS(b, a, d); return d }
func (s instructionSet) mul(a, b vector) vector { d := s.new(); VMULPS(b, a, d); return d }
func (s instructionSet) div(a, b vector) vector { d := s.new(); VDIVPS(b, a, d); return d }

// atLeast is max(x, c), or x where that is NaN.
func (s instructionSet) atLeast(x, c vector) vector { d := s.new(); VMAXPS(x, c, d); return d }

// atMost is min(x, c), or x where that is NaN.
func (s instructionSet) atMost(x, c vector) vector { d := s.new(); VMINPS(x, c, d); return d }

// mulAdd is a·b + c in the register of c.
func (s instructionSet) mulAdd(a, b, c vector) vector { VFMADD231PS(b, a, c); return c }

// subMul is c − a·b in the register of c.
func (s instructionSet) subMul(a, b, c vector) vector { VFNMADD231PS(b, a, c); return c }

// polynomial is Σ coef_j·xʲ by Horner's rule.
func (s instructionSet) polynomial(x vector, coef ...float32) vector {
	p := s.constant(coef[len(coef)-1])
	for j := len(coef) - 2; j >= 0; j-- {
		if s.name == avx512.name {
			VFMADD213PS_BCST(word(math.Float32bits(coef[j])), x, p)
		} else {
			VFMADD213PS(s.constant(coef[j]), x, p)
		}
	}
	return p
}

// and is the bitwise a & b.
func (s instructionSet) and(a, b vector) vector {
	d := s.new()
	if s.name == avx512.name {
		VPANDD(b, a, d)
	} else {
		VPAND(b, a, d)
	}
	return d
}

// or is the bitwise a | b.
func (s instructionSet) or(a, b vector) vector {
	d := s.new()
	if s.name == avx512.name {
		VPORD(b, a, d)
	} else {
		VPOR(b, a, d)
	}
	return d
}

// where is yes in the lanes with a ⟨predicate⟩ b, and no in the others.
func (s instructionSet) where(predicate Constant, a, b, yes, no vector) vector {
	d := s.new()
	if s.name == avx512.name {
		k := K()
		VCMPPS(predicate, b, a, k)
		VBLENDMPS(yes, no, k, d)
	} else {
		m := s.new()
		VCMPPS(predicate, b, a, m)
		VBLENDVPS(m, yes, no, d)
	}
	return d
}

// scale is x·2ᵏ, rounded once; k holds the float32 form of the integers n, and
// the result may be 0 or Inf.
func (s instructionSet) scale(x, k, n vector) vector {
	d := s.new()
	if s.name == avx512.name {
		VSCALEFPS(k, x, d)
		return d
	}
	// Two factors, since 2ᵏ itself may be out of range.
	half, rest := s.new(), s.new()
	VPSRAD(U8(1), n, half)
	VPSUBD(half, n, rest)
	for _, e := range []vector{half, rest} {
		VPADDD(s.bits(127), e, e)
		VPSLLD(U8(23), e, e)
	}
	VMULPS(half, x, d)
	VMULPS(rest, d, d)
	return d
}
