package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// precision gives the instructions of one element type.
type precision struct {
	name      string
	letter    string // as BLAS has it
	size      int    // bytes of an element
	shift     int    // log₂ of size
	broadcast func(...Op)
	move      func(...Op)
	moveZero  func(mem, k, to Op) // AVX-512: zero outside the mask
	moveMask  func(x, y, z Op)    // AVX2
	multiply  func(...Op)
	add       func(...Op)
	fma       func(...Op) // adds the product of the other arguments to the last
	compare   func(x, y Op)
	// compareOne compares the bits of x with those of 1.
	compareOne func(x Mem)
	// transposed returns the columns of half a block of rows.
	transposed func([]reg.VecVirtual) []reg.VecVirtual
}

var single = precision{
	name: "float32", letter: "s", size: 4, shift: 2,
	broadcast: VBROADCASTSS, move: VMOVUPS, moveZero: VMOVUPS_Z, moveMask: VMASKMOVPS,
	multiply: VMULPS, add: VADDPS, fma: VFMADD231PS, compare: VUCOMISS,
	compareOne: func(x Mem) { CMPL(x, U32(0x3F800000)) },
	transposed: func(x []reg.VecVirtual) []reg.VecVirtual {
		low, high := interleave(VUNPCKLPS, VUNPCKHPS, x[0], x[1])
		low2, high2 := interleave(VUNPCKLPS, VUNPCKHPS, x[2], x[3])
		columns := []reg.VecVirtual{YMM(), YMM(), YMM(), YMM()}
		VSHUFPS(U8(0x44), low2, low, columns[0])
		VSHUFPS(U8(0xEE), low2, low, columns[1])
		VSHUFPS(U8(0x44), high2, high, columns[2])
		VSHUFPS(U8(0xEE), high2, high, columns[3])
		return columns
	},
}

var double = precision{
	name: "float64", letter: "d", size: 8, shift: 3,
	broadcast: VBROADCASTSD, move: VMOVUPD, moveZero: VMOVUPD_Z, moveMask: VMASKMOVPD,
	multiply: VMULPD, add: VADDPD, fma: VFMADD231PD, compare: VUCOMISD,
	compareOne: func(x Mem) {
		one := GP64()
		MOVQ(U64(0x3FF0000000000000), one)
		CMPQ(x, one)
	},
	transposed: func(x []reg.VecVirtual) []reg.VecVirtual {
		low, high := interleave(VUNPCKLPD, VUNPCKHPD, x[0], x[1])
		return []reg.VecVirtual{low, high}
	},
}

func interleave(unpackLow, unpackHigh func(...Op), x, y reg.VecVirtual) (low, high reg.VecVirtual) {
	low, high = YMM(), YMM()
	unpackLow(y, x, low)
	unpackHigh(y, x, high)
	return low, high
}

// vectors is a set of vector registers.
type vectors struct {
	name     string
	bytes    int
	heights  []int // rows of a tile: as many as fill the registers, then fewer, for the last rows of C
	register func() reg.Register
	zero     func() reg.Register
	first    func(p precision, n int) part
}

// part loads and stores the first elements of n vectors in a row; the parameter
// cols is their number. load puts zeros in place of the others.
type part struct {
	load  func(from Mem, i int, to Op)
	store func(from Op, i int, to Mem)
}

var avx512 = vectors{
	name: "AVX512", bytes: 64, heights: []int{12, 4, 2, 1},
	register: func() reg.Register { return ZMM() },
	zero: func() reg.Register {
		z := ZMM()
		VPXORQ(z, z, z)
		return z
	},
	first: func(p precision, n int) part {
		cols, ones := Load(Param("cols"), GP64()), GP64()
		MOVQ(I32(-1), ones)
		BZHIQ(cols, ones, ones)
		masks := make([]Op, n)
		for i := range masks {
			masks[i] = K()
			KMOVW(ones.As32(), masks[i])
			SHRQ(U8(64/p.size), ones)
		}
		return part{
			load:  func(from Mem, i int, to Op) { p.moveZero(from, masks[i], to) },
			store: func(from Op, i int, to Mem) { p.move(from, masks[i], to) },
		}
	},
}

var avx2 = vectors{
	name: "AVX2", bytes: 32, heights: []int{6, 2, 1},
	register: func() reg.Register { return YMM() },
	zero: func() reg.Register {
		z := YMM()
		VXORPS(z, z, z)
		return z
	},
	first: func(p precision, n int) part {
		// In the table the lanes before byte 64 are set: start cols lanes
		// before it.
		table, cols := Mem{Base: GP64()}, stride("cols", p)
		LEAQ(laneTable(), table.Base)
		SUBQ(cols, table.Base)
		masks := make([]Op, n)
		for i := range masks {
			masks[i] = YMM()
			VMOVUPS(table.Offset(64+32*i), masks[i])
		}
		return part{
			load:  func(from Mem, i int, to Op) { p.moveMask(from, masks[i], to) },
			store: func(from Op, i int, to Mem) { p.moveMask(from, masks[i], to) },
		}
	},
}

var lanes *Mem

// laneTable is 64 bytes of ones before 64 bytes of zeros.
func laneTable() Mem {
	if lanes == nil {
		table := GLOBL("lanes", RODATA|NOPTR)
		for i := range 16 {
			DATA(8*i, []U64{^U64(0), 0}[i/8])
		}
		lanes = &table
	}
	return *lanes
}

// rowAddresses addresses the rows of a matrix, with one base register per six
// rows.
type rowAddresses struct {
	bases            []reg.Register
	one, three, five reg.Register // multiples of the row stride, in bytes
}

const rowsPerBase = 6

// rowsAt loads the named parameters for that many rows.
func rowsAt(base, rowStride string, rows int, p precision) rowAddresses {
	return rowsFrom(Load(Param(base), GP64()), stride(rowStride, p), rows)
}

// rowsFrom addresses that many rows from the first on, rowStride bytes apart.
func rowsFrom(first, rowStride reg.Register, rows int) rowAddresses {
	r := rowAddresses{one: rowStride, three: GP64(), five: GP64()}
	LEAQ(Mem{Base: r.one, Index: r.one, Scale: 2}, r.three)
	LEAQ(Mem{Base: r.one, Index: r.one, Scale: 4}, r.five)
	r.bases = []reg.Register{first}
	for i := rowsPerBase; i < rows; i += rowsPerBase {
		next := GP64()
		LEAQ(Mem{Base: r.bases[len(r.bases)-1], Index: r.three, Scale: 2}, next)
		r.bases = append(r.bases, next)
	}
	return r
}

func (r rowAddresses) row(i int) Mem {
	m := Mem{Base: r.bases[i/rowsPerBase]}
	switch i % rowsPerBase {
	case 1:
		return m.Idx(r.one, 1)
	case 2:
		return m.Idx(r.one, 2)
	case 3:
		return m.Idx(r.three, 1)
	case 4:
		return m.Idx(r.one, 4)
	case 5:
		return m.Idx(r.five, 1)
	}
	return m
}

func (r rowAddresses) advance(bytes reg.Register) {
	for _, b := range r.bases {
		ADDQ(bytes, b)
	}
}

// stride loads a number of elements as bytes.
func stride(name string, p precision) reg.Register {
	s := Load(Param(name), GP64())
	SHLQ(U8(p.shift), s)
	return s
}

// parameter is the memory of a scalar parameter.
func parameter(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}
