package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// loop is a kernel under construction: a function over slices of one length.
type loop struct {
	instructionSet
	base  map[string]Register // of each slice
	index Register            // of the first lane
	left  Register            // elements from index on
	mask  Register            // lanes in use in the last, partial vector; nil in whole vectors
	mode  Mem                 // the caller's MXCSR
}

// flushing is the MXCSR of a new thread with FTZ and DAZ: subnormal results and
// operands count as 0.
var flushing = ConstData("flushing", U32(0x1F80|1<<15|1<<6))

// begin starts the function name with the given parameters; its loop goes over
// those named in slices. Subnormals are flushed until leave. Go does not
// preempt assembly, so no other code is affected.
func begin(s instructionSet, name, signature, doc string, slices ...string) *loop {
	TEXT(name+s.name, NOSPLIT, signature)
	Doc(name + s.name + " " + doc)
	l := &loop{instructionSet: s, base: map[string]Register{}, index: GP64()}
	for _, x := range slices {
		l.base[x] = Load(Param(x).Base(), GP64())
	}
	l.left = Load(Param(slices[0]).Len(), GP64())
	XORQ(l.index, l.index)
	l.mode = AllocLocal(8)
	STMXCSR(l.mode)
	LDMXCSR(flushing)
	return l
}

// leave ends the function.
func (l *loop) leave() {
	VZEROUPPER()
	LDMXCSR(l.mode)
	RET()
}

// scalar is a float32 parameter in every lane.
func (l *loop) scalar(name string) vector {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := l.new()
	VBROADCASTSS(p.Addr, v)
	return v
}

// each emits the body for all whole vectors and, masked, for the rest.
func (l *loop) each(body func()) {
	width := U8(l.width)
	Label("whole")
	CMPQ(l.left, width)
	JL(LabelRef("rest"))
	body()
	ADDQ(width, l.index)
	SUBQ(width, l.left)
	JMP(LabelRef("whole"))

	Label("rest")
	TESTQ(l.left, l.left)
	JZ(LabelRef("done"))
	l.setMask()
	body()

	Label("done")
	l.leave()
}

// setMask makes loads and stores take only the first l.left lanes; other lanes
// are loaded as 0.
func (l *loop) setMask() {
	left := l.new()
	VMOVD(l.left.(GPVirtual).As32(), left.AsX())
	VPBROADCASTD(left.AsX(), left)
	if l.name == avx512.name {
		k := K()
		VPCMPGTD(laneNumbers(), left, k)
		l.mask = k
	} else {
		VPCMPGTD(laneNumbers(), left, left)
		l.mask = left
	}
}

var numbers *Mem

// laneNumbers is the vector 0, 1, 2, … in memory.
func laneNumbers() Mem {
	if numbers == nil {
		m := GLOBL("lanes", RODATA|NOPTR)
		for i := range avx512.width {
			DATA(4*i, U32(uint32(i)))
		}
		numbers = &m
	}
	return *numbers
}

// load is the vector of slice x that begins offset lanes after the index.
func (l *loop) load(x string, offset int) vector {
	v, from := l.new(), l.at(x, offset)
	switch {
	case l.mask == nil:
		VMOVUPS(from, v)
	case l.name == avx512.name:
		VMOVUPS_Z(from, l.mask, v)
	default:
		VMASKMOVPS(from, l.mask, v)
	}
	return v
}

// store writes v at the index of slice x.
func (l *loop) store(v vector, x string) {
	to := l.at(x, 0)
	switch {
	case l.mask == nil:
		VMOVUPS(v, to)
	case l.name == avx512.name:
		VMOVUPS(v, l.mask, to)
	default:
		VMASKMOVPS(v, l.mask, to)
	}
}

func (l *loop) at(x string, offset int) Mem {
	return Mem{Base: l.base[x], Index: l.index, Scale: 4, Disp: 4 * offset}
}
