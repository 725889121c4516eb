package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// lanes is the number of partial sums of every reduction: enough to keep two
// FMA units busy over their latency, and the same for both instruction sets.
const lanes = 64

// reductions emits sums over slices.
func reductions(s instructionSet) {
	l := begin(s, "sum", "func(x []float32) float32", "is Σ x.", "x")
	l.reduce(func(total vector, offset int) { VADDPS(l.load("x", offset), total, total) })

	d := begin(s, "dot", "func(a, b []float32) float32", "is Σ a·b.", "a", "b")
	d.reduce(func(total vector, offset int) {
		s.mulAdd(d.load("a", offset), d.load("b", offset), total)
	})

	q := begin(s, "sqDist", "func(a, b []float32) float32", "is Σ (a − b)².", "a", "b")
	q.reduce(func(total vector, offset int) {
		diff := s.sub(q.load("a", offset), q.load("b", offset))
		s.mulAdd(diff, diff, total)
	})
}

// dsdot emits the sum of products in double precision. Element i goes to
// partial sum i mod 32; a register holds l.width/2 of these.
func dsdot(s instructionSet) {
	const lanes = 32
	l := begin(s, "dsdot", "func(a, b []float32) float64", "is Σ a·b, summed in float64.", "a", "b")
	totals := make([]vector, 2*lanes/l.width)
	for j := range totals {
		totals[j] = l.constant(0)
	}
	halves := func(x vector) (low, high vector) {
		low, high = s.new(), s.new()
		if s.name == avx512.name {
			VEXTRACTF64X4(U8(1), x, high.AsY())
			VCVTPS2PD(x.AsY(), low)
			VCVTPS2PD(high.AsY(), high)
		} else {
			VEXTRACTF128(U8(1), x, high.AsX())
			VCVTPS2PD(x.AsX(), low)
			VCVTPS2PD(high.AsX(), high)
		}
		return low, high
	}
	accumulate := func(j int) {
		a, a2 := halves(l.load("a", j*l.width))
		b, b2 := halves(l.load("b", j*l.width))
		VFMADD231PD(a, b, totals[2*j])
		VFMADD231PD(a2, b2, totals[2*j+1])
	}

	Label("whole")
	CMPQ(l.left, U8(lanes))
	JL(LabelRef("rest"))
	for j := range len(totals) / 2 {
		accumulate(j)
	}
	ADDQ(U8(lanes), l.index)
	SUBQ(U8(lanes), l.left)
	JMP(LabelRef("whole"))

	Label("rest")
	for j := range len(totals) / 2 {
		TESTQ(l.left, l.left)
		JLE(LabelRef("fold"))
		l.setMask()
		accumulate(j)
		SUBQ(U8(l.width), l.left)
	}

	Label("fold")
	for half := len(totals) / 2; half > 0; half /= 2 {
		for j := range half {
			VADDPD(totals[j+half], totals[j], totals[j])
		}
	}
	total, other := totals[0], l.new()
	if s.name == avx512.name {
		VEXTRACTF64X4(U8(1), total, other.AsY())
		VADDPD(other.AsY(), total.AsY(), total.AsY())
	}
	x, y := total.AsX(), other.AsX()
	VEXTRACTF128(U8(1), total.AsY(), y)
	VADDPD(y, x, x)
	VUNPCKHPD(x, x, y)
	VADDSD(y, x, x)
	Store(x, ReturnIndex(0))
	l.leave()
}

// reduce emits the sum of a term. accumulate adds the term to total, for the
// vector at the given offset from the index. Element i goes to partial sum i
// mod lanes.
func (l *loop) reduce(accumulate func(total vector, offset int)) {
	totals := make([]vector, lanes/l.width)
	for j := range totals {
		totals[j] = l.constant(0)
	}

	Label("whole")
	CMPQ(l.left, U8(lanes))
	JL(LabelRef("rest"))
	for j, total := range totals {
		accumulate(total, j*l.width)
	}
	ADDQ(U8(lanes), l.index)
	SUBQ(U8(lanes), l.left)
	JMP(LabelRef("whole"))

	Label("rest")
	for j, total := range totals {
		TESTQ(l.left, l.left)
		JLE(LabelRef("fold"))
		l.setMask()
		accumulate(total, j*l.width)
		SUBQ(U8(l.width), l.left)
	}

	Label("fold")
	for half := len(totals) / 2; half > 0; half /= 2 {
		for j := range half {
			VADDPS(totals[j+half], totals[j], totals[j])
		}
	}
	total, other := totals[0], l.new()
	if l.name == avx512.name {
		VEXTRACTF64X4(U8(1), total, other.AsY())
		VADDPS(other.AsY(), total.AsY(), total.AsY())
	}
	x, y := total.AsX(), other.AsX()
	VEXTRACTF128(U8(1), total.AsY(), y)
	VADDPS(y, x, x)
	VMOVHLPS(x, x, y)
	VADDPS(y, x, x)
	VMOVSHDUP(x, y)
	VADDSS(y, x, x)
	Store(x, ReturnIndex(0))
	l.leave()
}
