package kernel

import "golang.org/x/sys/cpu"

//go:generate go -C asm run . -pkg kernel -out ../simd_amd64.s -stubs ../simd_amd64.go

// paths lists what this processor can run, the fastest last.
var paths = detect()

func detect() []path {
	all := []path{generic}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		all = append(all, avx2)
		if cpu.X86.HasAVX512F {
			all = append(all, avx512)
		}
	}
	return all
}

var avx2 = path{
	name:            "avx2",
	softplus:        softplusAVX2,
	sigmoid:         sigmoidAVX2,
	exp:             expAVX2,
	log:             logAVX2,
	softplusSigmoid: softplusSigmoidAVX2,
	sigmoidGrad:     sigmoidGradAVX2,
	sigmoidGrad2:    sigmoidGrad2AVX2,
	add:             addAVX2,
	sub:             subAVX2,
	mul:             mulAVX2,
	mulAdd:          mulAddAVX2,
	axpy:            axpyAVX2,
	affine:          affineAVX2,
	relu:            reluAVX2,
	step:            stepAVX2,
	sum:             sumAVX2,
	dot:             dotAVX2,
	sqDist:          sqDistAVX2,
	dsdot:           dsdotAVX2,
	adam:            adamAVX2,
}

var avx512 = path{
	name:            "avx512",
	softplus:        softplusAVX512,
	sigmoid:         sigmoidAVX512,
	exp:             expAVX512,
	log:             logAVX512,
	softplusSigmoid: softplusSigmoidAVX512,
	sigmoidGrad:     sigmoidGradAVX512,
	sigmoidGrad2:    sigmoidGrad2AVX512,
	add:             addAVX512,
	sub:             subAVX512,
	mul:             mulAVX512,
	mulAdd:          mulAddAVX512,
	axpy:            axpyAVX512,
	affine:          affineAVX512,
	relu:            reluAVX512,
	step:            stepAVX512,
	sum:             sumAVX512,
	dot:             dotAVX512,
	sqDist:          sqDistAVX512,
	dsdot:           dsdotAVX512,
	adam:            adamAVX512,
}
