package blas

import "golang.org/x/sys/cpu"

//go:generate go run -C gen . -out ../native_amd64.s -stubs ../native_stubs_amd64.go -pkg blas

// smallGemm is the number of multiply–adds below which native beats a foreign
// call. On the processors measured it does so at any size; from here on the
// caller gets the backend that was asked for.
const smallGemm = 8 << 10

// newKernels are the best micro-kernels that this processor runs.
func newKernels() (*kernels[float32], *kernels[float64]) {
	switch {
	case cpu.X86.HasAVX512F && cpu.X86.HasBMI2:
		return newAVX512()
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return newAVX2()
	}
	return newScalarKernels[float32](), newScalarKernels[float64]()
}

func newAVX512() (*kernels[float32], *kernels[float64]) {
	return &kernels[float32]{
			name: "AVX-512", heights: []int{12, 4, 2, 1},
			panels: []panel[float32]{
				{32, []micro[float32]{smicro12x32AVX512, smicro4x32AVX512, smicro2x32AVX512, smicro1x32AVX512}, spack32AVX512},
				{16, []micro[float32]{smicro12x16AVX512, smicro4x16AVX512, smicro2x16AVX512, smicro1x16AVX512}, spack16AVX512},
			},
			transpose: stranspose, side: 8,
			dots: sdots16AVX512,
		}, &kernels[float64]{
			name: "AVX-512", heights: []int{12, 4, 2, 1},
			panels: []panel[float64]{
				{16, []micro[float64]{dmicro12x16AVX512, dmicro4x16AVX512, dmicro2x16AVX512, dmicro1x16AVX512}, dpack16AVX512},
				{8, []micro[float64]{dmicro12x8AVX512, dmicro4x8AVX512, dmicro2x8AVX512, dmicro1x8AVX512}, dpack8AVX512},
			},
			transpose: dtranspose, side: 4,
		}
}

func newAVX2() (*kernels[float32], *kernels[float64]) {
	return &kernels[float32]{
			name: "AVX2", heights: []int{6, 2, 1},
			panels: []panel[float32]{
				{16, []micro[float32]{smicro6x16AVX2, smicro2x16AVX2, smicro1x16AVX2}, spack16AVX2},
				{8, []micro[float32]{smicro6x8AVX2, smicro2x8AVX2, smicro1x8AVX2}, spack8AVX2},
			},
			transpose: stranspose, side: 8,
		}, &kernels[float64]{
			name: "AVX2", heights: []int{6, 2, 1},
			panels: []panel[float64]{
				{8, []micro[float64]{dmicro6x8AVX2, dmicro2x8AVX2, dmicro1x8AVX2}, dpack8AVX2},
				{4, []micro[float64]{dmicro6x4AVX2, dmicro2x4AVX2, dmicro1x4AVX2}, dpack4AVX2},
			},
			transpose: dtranspose, side: 4,
		}
}
