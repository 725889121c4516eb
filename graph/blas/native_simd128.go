//go:build js && simd128

package blas

import "unsafe"

// The functions of the module that package simd128 makes.

//go:wasmimport kernels tile4x8
func tile4x8(tiles int32, segments unsafe.Pointer, count int32, c unsafe.Pointer, ldc, cols int32, alpha, beta float32, bias, scratch unsafe.Pointer)

//go:wasmimport kernels tile1x8
func tile1x8(tiles int32, segments unsafe.Pointer, count int32, c unsafe.Pointer, ldc, cols int32, alpha, beta float32, bias, scratch unsafe.Pointer)

//go:wasmimport kernels tile4x4
func tile4x4(tiles int32, segments unsafe.Pointer, count int32, c unsafe.Pointer, ldc, cols int32, alpha, beta float32, bias, scratch unsafe.Pointer)

//go:wasmimport kernels tile1x4
func tile1x4(tiles int32, segments unsafe.Pointer, count int32, c unsafe.Pointer, ldc, cols int32, alpha, beta float32, bias, scratch unsafe.Pointer)

// smallGemm is the number of multiply–adds below which native beats a foreign
// call.
const smallGemm = 1 << 9

// scratch is for columns that do not fill a tile. There is one thread.
var scratch [16]float32

func newKernels() (*kernels[float32], *kernels[float64]) {
	return &kernels[float32]{
		name:    "simd128",
		heights: []int{4, 1},
		panels: []panel[float32]{
			{width: 8, micros: []micro[float32]{tiled(tile4x8), tiled(tile1x8)}, pack: packRows8},
			{width: 4, micros: []micro[float32]{tiled(tile4x4), tiled(tile1x4)}, pack: packRows4[float32]},
		},
	}, newScalarKernels[float64]()
}

type tile = func(tiles int32, segments unsafe.Pointer, count int32, c unsafe.Pointer, ldc, cols int32, alpha, beta float32, bias, scratch unsafe.Pointer)

func tiled(t tile) micro[float32] {
	return func(tiles int, segments *int, count int, c *float32, ldc, cols int, alpha, beta float32, bias *float32) {
		t(int32(tiles), unsafe.Pointer(segments), int32(count), unsafe.Pointer(c), int32(ldc), int32(cols), alpha, beta, unsafe.Pointer(bias), unsafe.Pointer(&scratch))
	}
}

func packRows8(dst, src *float32, ld, k, cols int) {
	to, from := unsafe.Slice(dst, 8*k), unsafe.Slice(src, (k-1)*ld+cols)
	if cols < 8 {
		clear(to)
	}
	for l := range k {
		copy(to[8*l:8*l+8], from[l*ld:][:cols])
	}
}
