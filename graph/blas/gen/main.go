// Command gen writes the assembly of the native products; go generate in
// graph/blas runs it.
//
// A micro-kernel holds a tile of C, a few rows of one or two vectors, in
// registers. For each l it adds the column l of A, one broadcast element to a
// row, times the row l of a packed panel of B.
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
	Generate()
}

// microKernel writes one micro, documented in native.go: a tile with the given
// rows and n vectors.
func microKernel(p precision, v vectors, rows, n int) {
	TEXT(fmt.Sprintf("%smicro%dx%d%s", p.letter, rows, n*v.bytes/p.size, v.name), NOSPLIT,
		fmt.Sprintf("func(k int, a *%[1]s, rowStride, colStride int, b, c *%[1]s, ldc, cols int, alpha, beta %[1]s)", p.name))

	acc := make([][]reg.Register, rows)
	for i := range acc {
		for range n {
			acc[i] = append(acc[i], v.zero())
		}
	}
	k := Load(Param("k"), GP64())
	a := rowsAt("a", "rowStride", rows, p)
	colStride := stride("colStride", p)
	b := Mem{Base: Load(Param("b"), GP64())}

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
	ADDQ(U32(n*v.bytes), b.Base)
	DECQ(k)
	JNZ(LabelRef("next"))

	alpha := v.register()
	p.broadcast(parameter("alpha"), alpha)
	for i := range acc {
		for j := range acc[i] {
			p.multiply(alpha, acc[i][j], acc[i][j])
		}
	}
	c := Mem{Base: Load(Param("c"), GP64())}
	ldc := stride("ldc", p)
	part := v.first(p, n)

	Comment("Under β = ±0, C is not read: it may hold NaN.")
	zero := XMM()
	VXORPS(zero, zero, zero)
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
	VZEROUPPER()
	RET()
}

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

// transpose writes the packing of part of a panel of B from columns of B: a
// square block of one AVX vector a side at a time.
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
		// Each vector holds half a row, and that of the row side/2 below.
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
