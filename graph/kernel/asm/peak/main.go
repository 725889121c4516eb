// Command peak writes loops that only do multiply–adds on registers. Package
// kernel uses them to measure how much a core can do at most; go generate in
// graph/kernel runs this command.
package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	half := ConstData("half", U32(math.Float32bits(.5)))
	one := ConstData("one", U32(math.Float32bits(1)))
	for _, set := range []struct {
		name   string
		new    func() reg.VecVirtual
		chains int // as many as fit beside two constants; two units of latency 4 need 8
	}{{"AVX2", YMM, 12}, {"AVX512", ZMM, 24}} {
		TEXT("multiplyAdds"+set.name, NOSPLIT, "func(n int)")
		Doc("multiplyAdds" + set.name + " runs n times x ← ½x + 1 on each of its vectors x.")
		left := Load(Param("n"), GP64())
		factor, term := set.new(), set.new()
		VBROADCASTSS(half, factor)
		VBROADCASTSS(one, term)
		chains := make([]reg.VecVirtual, set.chains)
		for i := range chains {
			chains[i] = set.new()
			VMOVAPS(term, chains[i])
		}
		Label("loop")
		for _, x := range chains {
			VFMADD213PS(term, factor, x)
		}
		DECQ(left)
		JNZ(LabelRef("loop"))
		VZEROUPPER()
		RET()
	}
	Generate()
}
