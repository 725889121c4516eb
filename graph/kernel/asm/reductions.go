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

// reduce emits the sum of a term, which accumulate adds to a total for the
// vector at an offset from the index. Element i goes to partial sum i mod lanes.
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
	VZEROUPPER()
	Store(x, ReturnIndex(0))
	RET()
}
