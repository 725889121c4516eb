// Command asm writes the AVX2 and AVX-512 assembly of package kernel. It is a
// module of its own, so that users of the result do not depend on avo; `go
// generate` in the parent folder runs it.
//
// Both instruction sets run one description of each kernel, operation by
// operation, which is why their results agree bit for bit.
package main

import . "github.com/mmcloughlin/avo/build"

func main() {
	for _, set := range []instructionSet{avx2, avx512} {
		arithmetic(set)
		activations(set)
		adam(set)
		reductions(set)
		dsdot(set)
	}
	Generate()
}
