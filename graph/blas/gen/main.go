// Command gen writes the assembly of the native products; go generate in
// graph/blas runs it.
//
// A micro-kernel holds a tile of C, a few rows of one or two vectors, in
// registers. For each l it adds column l of A, one broadcast element per row,
// times row l of a panel of B.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	for _, p := range []precision{single, double} {
		for _, v := range []vectors{avx512, avx2} {
			for n := 2; n > 0; n-- {
				for _, rows := range v.heights {
					microKernel(p, v, rows, n)
				}
				packRows(p, v, n)
			}
		}
		transpose(p)
	}
	dots(single)
	Generate()
}

// The fields of a segment, in bytes.
const (
	fieldK          = 8 * iota
	fieldA          // *T
	fieldRowStride  // elements
	fieldColStride  // elements
	fieldTileStride // elements
	fieldB          // *T
	fieldBStride    // elements
	sizeOfSegment
)

// microKernel writes one micro, documented in native.go: tiles with the given
// rows and n vectors.
func microKernel(p precision, v vectors, rows, n int) {
	TEXT(fmt.Sprintf("%smicro%dx%d%s", p.letter, rows, n*v.bytes/p.size, v.name), NOSPLIT,
		fmt.Sprintf("func(tiles int, segments *int, count int, c *%[1]s, ldc, cols int, alpha, beta %[1]s, bias *%[1]s)", p.name))
	restore := flushSubnormals()
	done := GP64() // tiles
	XORQ(done, done)
	c := Mem{Base: Load(Param("c"), GP64())}

	Label("tile")
	acc := make([][]reg.Register, rows)
	for i := range acc {
		for range n {
			acc[i] = append(acc[i], v.zero())
		}
	}
	segment, left := Mem{Base: Load(Param("segments"), GP64())}, Load(Param("count"), GP64())

	Label("segment")
	scaled := func(field int) reg.Register {
		r := GP64()
		MOVQ(segment.Offset(field), r)
		SHLQ(U8(p.shift), r)
		return r
	}
	first, k, b := GP64(), GP64(), Mem{Base: GP64()}
	offset := scaled(fieldTileStride)
	IMULQ(done, offset)
	MOVQ(segment.Offset(fieldA), first)
	ADDQ(offset, first)
	a := rowsFrom(first, scaled(fieldRowStride), rows)
	colStride, bStride := scaled(fieldColStride), scaled(fieldBStride)
	MOVQ(segment.Offset(fieldB), b.Base)
	MOVQ(segment.Offset(fieldK), k)

	Label("next")
	bs := make([]reg.Register, n)
	for j := range bs {
		bs[j] = v.register()
		p.move(b.Offset(j*v.bytes), bs[j])
	}
	for i := range acc {
		element := v.register()
		p.broadcast(a.row(i), element)
		for j := range bs {
			p.fma(element, bs[j], acc[i][j])
		}
	}
	a.advance(colStride)
	ADDQ(bStride, b.Base)
	DECQ(k)
	JNZ(LabelRef("next"))
	ADDQ(U8(sizeOfSegment), segment.Base)
	DECQ(left)
	JNZ(LabelRef("segment"))

	part := v.first(p, n)
	zero := XMM()
	VXORPS(zero, zero, zero)
	p.compareOne(parameter("alpha"))
	JEQ(LabelRef("scaled"))
	alpha := v.register()
	p.broadcast(parameter("alpha"), alpha)
	for i := range acc {
		for j := range acc[i] {
			p.multiply(alpha, acc[i][j], acc[i][j])
		}
	}

	Label("scaled")
	bias := Mem{Base: Load(Param("bias"), GP64())}
	TESTQ(bias.Base, bias.Base)
	JZ(LabelRef("biased"))
	for j := range n {
		x := v.register()
		part.load(bias.Offset(j*v.bytes), j, x)
		for i := range acc {
			p.add(x, acc[i][j], acc[i][j])
		}
	}

	Label("biased")
	ldc := stride("ldc", p)
	Comment("Under β = ±0, C is not read: it may hold NaN.")
	p.compare(parameter("beta"), zero)
	JNE(LabelRef("accumulate"))
	JNP(LabelRef("store"))

	Label("accumulate")
	betas, old := v.register(), GP64()
	p.broadcast(parameter("beta"), betas)
	MOVQ(c.Base, old)
	for i := range acc {
		for j := range acc[i] {
			x := v.register()
			part.load(Mem{Base: old}.Offset(j*v.bytes), j, x)
			p.fma(x, betas, acc[i][j])
		}
		ADDQ(ldc, old)
	}

	Label("store")
	for i := range acc {
		for j := range acc[i] {
			part.store(acc[i][j], j, c.Offset(j*v.bytes))
		}
		ADDQ(ldc, c.Base)
	}
	INCQ(done)
	DECQ(parameter("tiles"))
	JNZ(LabelRef("tile"))
	VZEROUPPER()
	restore()
	RET()
}

// flushSubnormals makes subnormal operands and results count as 0 until
// restore. Go does not preempt assembly, so no other code is affected.
func flushSubnormals() (restore func()) {
	if flushing == nil {
		m := ConstData("flushing", U32(0x1F80|1<<15|1<<6)) // the MXCSR of a new thread, with FTZ and DAZ
		flushing = &m
	}
	mode := AllocLocal(8)
	STMXCSR(mode)
	LDMXCSR(*flushing)
	return func() { LDMXCSR(mode) }
}

var flushing *Mem

// packRows writes the packing of a panel of B from rows of B.
func packRows(p precision, v vectors, n int) {
	TEXT(fmt.Sprintf("%spack%d%s", p.letter, n*v.bytes/p.size, v.name), NOSPLIT,
		fmt.Sprintf("func(dst, src *%s, ld, k, cols int)", p.name))
	dst := Mem{Base: Load(Param("dst"), GP64())}
	src := Mem{Base: Load(Param("src"), GP64())}
	ld := stride("ld", p)
	k := Load(Param("k"), GP64())
	part := v.first(p, n)
	Label("next")
	for j := range n {
		x := v.register()
		part.load(src.Offset(j*v.bytes), j, x)
		p.move(x, dst.Offset(j*v.bytes))
	}
	ADDQ(ld, src.Base)
	ADDQ(U32(n*v.bytes), dst.Base)
	DECQ(k)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// transpose writes the packing of part of a panel of B from columns of B, one
// square block at a time. A side of the block is one AVX vector.
func transpose(p precision) {
	TEXT(p.letter+"transpose", NOSPLIT,
		fmt.Sprintf("func(dst *%[1]s, width int, src *%[1]s, ld, blocks int)", p.name))
	side := 32 / p.size
	dst := Mem{Base: Load(Param("dst"), GP64())}
	width := stride("width", p)
	src := rowsAt("src", "ld", side, p)
	blocks := Load(Param("blocks"), GP64())

	Label("next")
	for half := range 2 {
		// Each vector holds half of a row and half of the row that is side/2
		// below it.
		x := make([]reg.VecVirtual, side/2)
		for i := range x {
			x[i] = YMM()
			VMOVUPS(src.row(i).Offset(16*half), x[i].AsX())
			VINSERTF128(U8(1), src.row(i+side/2).Offset(16*half), x[i], x[i])
		}
		for _, column := range p.transposed(x) {
			VMOVUPS(column, dst)
			ADDQ(width, dst.Base)
		}
	}
	step := GP64()
	MOVQ(U64(32), step)
	src.advance(step)
	DECQ(blocks)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// dots writes the products of 16 rows of A with one vector b, each of k
// elements, for single precision and AVX-512.
func dots(p precision) {
	const rows = 16
	TEXT(fmt.Sprintf("%sdots%dAVX512", p.letter, rows), NOSPLIT,
		fmt.Sprintf("func(k int, a *%[1]s, ld int, b *%[1]s, sums *[%[2]d]%[1]s)", p.name, rows))
	restore := flushSubnormals()
	acc := make([]reg.VecVirtual, rows)
	for i := range acc {
		acc[i] = ZMM()
		VPXORQ(acc[i], acc[i], acc[i])
	}
	k := Load(Param("k"), GP64())
	a := rowsAt("a", "ld", rows, p)
	b := Mem{Base: Load(Param("b"), GP64())}
	x, step := ZMM(), GP64()
	MOVQ(U64(64), step)

	Label("whole")
	CMPQ(k, U8(16))
	JL(LabelRef("rest"))
	p.move(b, x)
	for i := range acc {
		p.fma(a.row(i), x, acc[i])
	}
	a.advance(step)
	ADDQ(U8(64), b.Base)
	SUBQ(U8(16), k)
	JMP(LabelRef("whole"))

	Label("rest")
	TESTQ(k, k)
	JZ(LabelRef("fold"))
	ones, mask := GP64(), K()
	MOVQ(I32(-1), ones)
	BZHIQ(k, ones, ones)
	KMOVW(ones.As32(), mask)
	p.moveZero(b, mask, x)
	for i := range acc {
		y := ZMM()
		p.moveZero(a.row(i), mask, y)
		p.fma(y, x, acc[i])
	}

	Label("fold")
	// Each round adds the halves of vectors and joins two vectors into one,
	// until the last holds the 16 sums in order.
	join := func(low, high func(x, y, z reg.VecVirtual)) {
		for i := range len(acc) / 2 {
			l, h := ZMM(), ZMM()
			low(acc[2*i], acc[2*i+1], l)
			high(acc[2*i], acc[2*i+1], h)
			VADDPS(l, h, l)
			acc[i] = l
		}
		acc = acc[:len(acc)/2]
	}
	join(func(x, y, z reg.VecVirtual) { VUNPCKLPS(y, x, z) }, func(x, y, z reg.VecVirtual) { VUNPCKHPS(y, x, z) })
	join(func(x, y, z reg.VecVirtual) { VUNPCKLPD(y, x, z) }, func(x, y, z reg.VecVirtual) { VUNPCKHPD(y, x, z) })
	for range 2 {
		join(func(x, y, z reg.VecVirtual) { VSHUFF32X4(U8(0x88), y, x, z) }, func(x, y, z reg.VecVirtual) { VSHUFF32X4(U8(0xDD), y, x, z) })
	}
	p.move(acc[0], Mem{Base: Load(Param("sums"), GP64())})
	VZEROUPPER()
	restore()
	RET()
}
