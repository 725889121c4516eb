package kernel

import (
	"fmt"
	"math"
	"testing"
)

// edges are numbers of both signs: some near the smallest normal number, some
// whose products and squares are near it, and ordinary ones.
func edges[T Float]() []T {
	least := T(0x1p-126)
	if !isFloat32[T]() {
		least = T(math.Ldexp(1, -1022))
	}
	root := T(math.Sqrt(float64(least)))
	var x []T
	for _, v := range []T{0, least / 1024, least / 2, least - least/1024, least, least + least/1024, 2 * least, 1024 * least,
		root / 2, root * .999, root, root * 1.001, least / root * 3, 1e-9, .25, 1 - 1e-6, 1, 3, 60, 87, 88, 90, 104, 120, 700, 709, 740} {
		x = append(x, v, -v)
	}
	return x
}

func subnormal[T Float](x T) bool { return x != 0 && Flush(x) == 0 }

// No result is subnormal, and each equals the result with zeros in place of
// subnormal operands.
func TestSubnormalsCountAsZero(t *testing.T) {
	eachPath(t, checkSubnormals[float32])
	t.Run("float64", checkSubnormals[float64])
}

func checkSubnormals[T Float](t *testing.T) {
	all := edges[T]()
	n := len(all)
	var o, a, b []T
	for i := range n * n * n {
		o, a, b = append(o, all[i%n]), append(a, all[i/n%n]), append(b, all[i/n/n])
	}
	zeros := func(x []T) []T {
		y := make([]T, len(x))
		for i, v := range x {
			y[i] = Flush(v)
		}
		return y
	}
	operands := func(i int) string { return fmt.Sprintf("(%g, %g, %g)", o[i], a[i], b[i]) }
	for _, op := range operations[T]() {
		got, want := append([]T(nil), o...), zeros(o)
		op.apply(got, a, b)
		op.apply(want, zeros(a), zeros(b))
		for i := range got {
			if subnormal(got[i]) || got[i] != want[i] && !(got[i] != got[i] && want[i] != want[i]) {
				t.Fatalf("%s of %s is %g, with zeros for subnormals %g", op.name, operands(i), got[i], want[i])
			}
		}
	}
	// Sums of few elements, so that no element hides another.
	for i := 0; i < len(o); i += 2 {
		x, y := []T{a[i], o[i]}, []T{b[i], a[i]}
		for name, f := range map[string]func(x, y []T) T{
			"Sum":        func(x, _ []T) T { return Sum(x) },
			"SumSquares": func(x, _ []T) T { return SumSquares(x) },
			"Dot":        Dot[T],
			"SqDist":     SqDist[T],
		} {
			if got, want := f(x, y), f(zeros(x), zeros(y)); subnormal(got) || got != want {
				t.Fatalf("%s of %v and %v is %g, with zeros for subnormals %g", name, x, y, got, want)
			}
		}
	}
}

func TestSubnormalsInAdam(t *testing.T) {
	all := edges[float32]()
	eachPath(t, func(t *testing.T) {
		for _, g := range all {
			for _, moment := range all {
				// A step with a huge ε leaves the value alone.
				value, grad, m, v := []float32{g}, []float32{g}, []float32{moment}, []float32{abs32(moment)}
				p := adamDefault(1)
				p.Eps = 1e30
				Adam(p, value, grad, m, v)
				for name, x := range map[string]float32{"value": value[0], "m": m[0], "v": v[0]} {
					if subnormal(x) {
						t.Fatalf("gradient %g and moment %g leave %s = %g", g, moment, name, x)
					}
				}
			}
		}
	})
}

func TestSubnormalsInDsdot(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		if got := Dsdot([]float32{0x1p-127, 0x1p-126}, []float32{0x1p100, 0x1p-126}); got != 0x1p-252 {
			t.Errorf("2⁻¹²⁷·2¹⁰⁰ + 2⁻¹²⁶·2⁻¹²⁶ is %g, want 2⁻²⁵², with zero for the subnormal", got)
		}
	})
}

// The mode that the assembly sets ends with the call.
func TestSubnormalsSurviveOutside(t *testing.T) {
	x, y := make([]float32, 100), []float32{0x1p-126}
	eachPath(t, func(t *testing.T) {
		Softplus(x, x)
		Adam(adamDefault(1), x, x, x, x)
		sum := Sum(x) + float32(Dsdot(x, x))
		half := y[0] * .5
		if bits := math.Float32bits(half); bits != 1<<22 {
			t.Errorf("after kernels (%g), 2⁻¹²⁶/2 has the bits %#x in plain Go, want %#x", sum, bits, 1<<22)
		}
	})
}
