package site_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"cmf/experiments/internal/exptest"
	"cmf/graph/kernel/simd128"
	"cmf/solvers/random"
)

// kernels calls functions of the module simd128 in a browser, on a memory that begins with
// given bytes.
type kernels struct {
	*exptest.Browser
	memory []byte
}

func newKernels(t *testing.T) *kernels {
	if testing.Short() {
		t.Skip("-short")
	}
	k := &kernels{exptest.NewBrowser(t), make([]byte, 1<<15)}
	exptest.Eval[any](k.Browser, fmt.Sprintf(`(() => {
		window.bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
		window.memory = new WebAssembly.Memory({ initial: 1 });
		window.kernels = new WebAssembly.Instance(new WebAssembly.Module(bytes(%q)), { env: { memory } }).exports;
	})()`, base64.StdEncoding.EncodeToString(simd128.Module())))
	return k
}

func (k *kernels) put(at int, values ...float32) {
	for i, v := range values {
		binary.LittleEndian.PutUint32(k.memory[at+4*i:], math.Float32bits(v))
	}
}

func (k *kernels) value(at int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(k.memory[at:]))
}

// call calls a function with arguments in JavaScript.
func (k *kernels) call(name, arguments string) {
	text := exptest.Eval[string](k.Browser, fmt.Sprintf(`(() => {
		const all = new Uint8Array(memory.buffer);
		all.set(bytes(%q));
		kernels.%s(%s);
		return btoa(String.fromCharCode(...all.subarray(0, %d)));
	})()`, base64.StdEncoding.EncodeToString(k.memory), name, arguments, len(k.memory)))
	k.memory, _ = base64.StdEncoding.DecodeString(text)
}

func TestKernelsInABrowser(t *testing.T) {
	k := newKernels(t)
	const n, a, b, c, second = 512, 0, 4096, 8192, 12288
	rng := random.New(1, "kernels", 0)
	x, y, z := make([]float32, n), make([]float32, n), make([]float32, n)
	for i := range x {
		x[i], y[i], z[i] = float32(40*rng.NormFloat64()), float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	copy(x, []float32{0, 1e-9, -1e-9, 88, -88, 200, -200, -86.9, -87.5, 1e30, -1e30, 17, -17, .5, -.5, 3})
	softplus := func(v float64) float64 { return max(v, 0) + math.Log1p(math.Exp(-math.Abs(v))) }
	sigmoid := func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
	for _, f := range []struct {
		name, arguments string
		want, other     func(x, y, z float64) float64 // at a, and at second if there is another result
	}{
		{"softplus", "0, 4096, 512", func(x, _, _ float64) float64 { return softplus(x) }, nil},
		{"sigmoid", "0, 4096, 512", func(x, _, _ float64) float64 { return sigmoid(x) }, nil},
		{"softplusSigmoid", "0, 12288, 4096, 512", func(x, _, _ float64) float64 { return softplus(x) }, func(x, _, _ float64) float64 { return sigmoid(x) }},
		{"sigmoidGrad", "0, 4096, 8192, 512", func(x, y, _ float64) float64 { return x * (1 - x) * y }, nil},
		{"add", "0, 4096, 8192, 512", func(x, y, _ float64) float64 { return x + y }, nil},
		{"sub", "0, 4096, 8192, 512", func(x, y, _ float64) float64 { return x - y }, nil},
		{"mul", "0, 4096, 8192, 512", func(x, y, _ float64) float64 { return x * y }, nil},
		{"mulAdd", "0, 4096, 8192, 512", func(x, y, z float64) float64 { return z + x*y }, nil},
		{"axpy", "0, 4096, 1.5, 512", func(x, _, z float64) float64 { return z + 1.5*x }, nil},
		{"affine", "0, 4096, 1.5, -2, 512", func(x, _, _ float64) float64 { return 1.5*x - 2 }, nil},
	} {
		k.put(a, z...)
		k.put(b, x...)
		k.put(c, y...)
		k.call(f.name, f.arguments)
		for i := range n {
			for _, r := range []struct {
				at   int
				want func(x, y, z float64) float64
			}{{a, f.want}, {second, f.other}} {
				if r.want == nil {
					continue
				}
				v := [3]float64{float64(x[i]), float64(y[i]), float64(z[i])}
				got, want := float64(k.value(r.at+4*i)), float64(float32(r.want(v[0], v[1], v[2])))
				scale := math.Abs(want)
				if f.name == "mulAdd" || f.name == "axpy" || f.name == "affine" { // terms may cancel
					scale += math.Abs(v[2]) + 2
				}
				if math.Abs(got-want) > 4e-7*scale+0x1p-126 {
					t.Errorf("%s at %g, %g, %g is %g, want %g", f.name, v[0], v[1], v[2], got, want)
				}
			}
		}
	}
	if troubles := k.Troubles(); len(troubles) > 0 {
		t.Errorf("troubles: %q", troubles)
	}
}

// Tiles of products are those of the definition, C ← α·ΣA·B + bias + β·C, with columns that fill
// a tile or do not, and nothing else is written.
func TestTilesInABrowser(t *testing.T) {
	k := newKernels(t)
	const segments, a, b, c, bias, scratch = 64, 1024, 4096, 8192, 12288, 12544
	const deep, lda, ldc, untouched = 7, 9, 11, 77
	rng := random.New(2, "tiles", 0)
	for _, width := range []int{4, 8} {
		for _, height := range []int{1, 4} {
			for cols := width - 3; cols <= width; cols += 3 {
				for _, beta := range []float64{0, .5} {
					for _, from := range []int{0, bias} {
						const tiles = 3
						rows := tiles * height
						in := func(at, count int) {
							for i := range count {
								k.put(at+4*i, float32(rng.NormFloat64()))
							}
						}
						in(a, rows*lda)
						in(b, 2*deep*width)
						in(bias, width)
						for i := range 40 * ldc {
							k.put(c+4*i, untouched)
						}
						for i := range rows {
							in(c+4*i*ldc, cols)
						}
						old := append([]byte(nil), k.memory...)
						// Two segments: the rows of A from its first and from its second element.
						for s := range 2 {
							for f, v := range []uint64{deep, uint64(a + 4*s), lda, 1, uint64(height * lda), uint64(b + 4*s*deep*width), uint64(width)} {
								binary.LittleEndian.PutUint64(k.memory[segments+56*s+8*f:], v)
							}
						}
						k.call(fmt.Sprintf("tile%dx%d", height, width), fmt.Sprintf("%d, %d, 2, %d, %d, %d, 1.25, %g, %d, %d", tiles, segments, c, ldc, cols, beta, from, scratch))
						was := func(at int) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(old[at:]))) }
						for i := range rows {
							for j := range ldc {
								at, want := c+4*(i*ldc+j), float64(untouched)
								if j < cols {
									want = beta * was(at)
									if from != 0 {
										want += was(bias + 4*j)
									}
									for s := range 2 {
										for l := range deep {
											want += 1.25 * was(a+4*(i*lda+l+s)) * was(b+4*(s*deep*width+l*width+j))
										}
									}
								}
								if got := float64(k.value(at)); math.Abs(got-want) > 1e-4 {
									t.Fatalf("tile %d×%d, %d columns, β = %g, bias %t: C(%d, %d) is %g, want %g", height, width, cols, beta, from != 0, i, j, got, want)
								}
							}
						}
					}
				}
			}
		}
	}
}
