//go:build !amd64 && !(js && simd128)

package blas

// smallGemm is the number of multiply–adds below which native beats a foreign
// call.
const smallGemm = 1 << 9

func newKernels() (*kernels[float32], *kernels[float64]) {
	return newScalarKernels[float32](), newScalarKernels[float64]()
}
