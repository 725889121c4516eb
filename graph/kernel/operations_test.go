package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// operation is an elementwise kernel on three vectors of one length: o is the
// destination and maybe an input, a and b are only read. exact is its result
// for one element.
type operation[T Float] struct {
	name  string
	apply func(o, a, b []T)
	exact func(o, a, b float64) float64
}

func operations[T Float]() []operation[T] {
	return []operation[T]{
		{"Add", Add[T], func(o, a, b float64) float64 { return a + b }},
		{"Sub", Sub[T], func(o, a, b float64) float64 { return a - b }},
		{"Mul", Mul[T], func(o, a, b float64) float64 { return a * b }},
		{"MulAdd", MulAdd[T], func(o, a, b float64) float64 { return o + a*b }},
		{"Axpy", func(o, a, b []T) { Axpy(o, 1.5, a) }, func(o, a, b float64) float64 { return o + 1.5*a }},
		{"Affine", func(o, a, b []T) { Affine(o, 1.5, a, -0.25) }, func(o, a, b float64) float64 { return 1.5*a - 0.25 }},
		{"Relu", func(o, a, b []T) { Relu(o, a) }, func(o, a, b float64) float64 { return max(a, 0) }},
		{"Step", func(o, a, b []T) { Step(o, a) }, func(o, a, b float64) float64 { return math.Ceil(max(0, min(a, 1))) }},
		{"Softplus", func(o, a, b []T) { Softplus(o, a) }, func(o, a, b float64) float64 { return softplusExact(a) }},
		{"Sigmoid", func(o, a, b []T) { Sigmoid(o, a) }, func(o, a, b float64) float64 { return sigmoidExact(a) }},
		{"SoftplusSigmoid.sp", func(o, a, b []T) { softplusOfBoth(o, a) }, func(o, a, b float64) float64 { return softplusExact(a) }},
		{"SoftplusSigmoid.sg", func(o, a, b []T) { sigmoidOfBoth(o, a) }, func(o, a, b float64) float64 { return sigmoidExact(a) }},
		{"SigmoidGrad", SigmoidGrad[T], func(o, a, b float64) float64 { return a * (1 - a) * b }},
		{"SigmoidGrad2", func(o, a, b []T) { SigmoidGrad2(o, a, b, o) }, func(o, a, b float64) float64 { return (1 - 2*a) * b * o }},
		{"Exp", func(o, a, b []T) { Exp(o, a) }, func(o, a, b float64) float64 { return math.Exp(a) }},
		{"Log", func(o, a, b []T) { Log(o, a) }, func(o, a, b float64) float64 { return math.Log(a) }},
	}
}

// Lengths on both sides of the vectors' widths, between guards that must not
// change.
func TestOperationsAtEveryLength(t *testing.T) {
	eachPath(t, checkOperations[float32])
	t.Run("float64", checkOperations[float64])
}

func checkOperations[T Float](t *testing.T) {
	const guard, most = 20, 70
	rng := rand.New(rand.NewPCG(1, 2))
	for _, op := range operations[T]() {
		for n := range most + 1 {
			before, a, b := normals[T](rng, n+2*guard), normals[T](rng, n), normals[T](rng, n)
			after := slices.Clone(before)
			op.apply(after[guard:guard+n], a, b)
			for i, got := range after {
				want := float64(before[i])
				if j := i - guard; j >= 0 && j < n {
					want = op.exact(want, float64(a[j]), float64(b[j]))
				}
				if math.Abs(float64(got)-want) > 1e-6*(1+math.Abs(want)) || math.IsNaN(float64(got)) != math.IsNaN(want) {
					t.Fatalf("%s, length %d, element %d: got %g, want %g", op.name, n, i-guard, got, want)
				}
			}
		}
	}
}

func TestOperationsInPlace(t *testing.T) {
	eachPath(t, checkInPlace[float32])
	t.Run("float64", checkInPlace[float64])
}

func checkInPlace[T Float](t *testing.T) {
	x := normals[T](rand.New(rand.NewPCG(3, 4)), 77)
	for _, op := range operations[T]() {
		o := slices.Clone(x)
		op.apply(o, o, o)
		for i, got := range o {
			v := float64(x[i])
			want := op.exact(v, v, v)
			if math.Abs(float64(got)-want) > 1e-6*(1+math.Abs(want)) || math.IsNaN(float64(got)) != math.IsNaN(want) {
				t.Fatalf("%s with one slice for all, element %d: got %g, want %g", op.name, i, got, want)
			}
		}
	}
}

// If the place of an element mattered, the number of threads would change
// results.
func TestPlaceDoesNotMatter(t *testing.T) {
	const n = 203
	rng := rand.New(rand.NewPCG(5, 6))
	a, b, o := normals[float32](rng, n), normals[float32](rng, n), normals[float32](rng, n)
	eachPath(t, func(t *testing.T) {
		for _, op := range operations[float32]() {
			whole, pieces := slices.Clone(o), slices.Clone(o)
			op.apply(whole, a, b)
			for lo, hi := 0, 0; lo < n; lo = hi {
				hi = min(n, lo+1+rng.IntN(40))
				op.apply(pieces[lo:hi], a[lo:hi], b[lo:hi])
			}
			if !slices.EqualFunc(whole, pieces, same) {
				t.Errorf("%s by pieces differs from the whole", op.name)
			}
		}
	})
}

func TestVectorPathsAgree(t *testing.T) {
	if len(paths) < 3 {
		t.Skipf("this processor has %d of the 3 paths", len(paths))
	}
	rng := rand.New(rand.NewPCG(7, 8))
	const n = 1234
	points, a, b, o := everyMagnitude(), normals[float32](rng, n), normals[float32](rng, n), normals[float32](rng, n)
	var results [2][][]float32
	fast := active
	defer func() { active = fast }()
	for i, path := range paths[1:] {
		active = path
		for _, f := range functions {
			y := make([]float32, len(points))
			f.apply(y, points)
			results[i] = append(results[i], y)
		}
		for _, op := range operations[float32]() {
			y := slices.Clone(o)
			op.apply(y, a, b)
			results[i] = append(results[i], y)
		}
		var sums []float32
		for m := range n {
			double := Dsdot(a[:m], b[:m])
			high := float32(double)
			sums = append(sums, Sum(a[:m]), SumSquares(a[:m]), Dot(a[:m], b[:m]), SqDist(a[:m], b[:m]), high, float32(double-float64(high)))
		}
		value, m, v := slices.Clone(o), make([]float32, n), make([]float32, n)
		Adam(adamDefault(1), value, a, m, v)
		results[i] = append(results[i], sums, value, m, v)
	}
	for k := range results[0] {
		if !slices.EqualFunc(results[0][k], results[1][k], same) {
			t.Errorf("result %d differs between %s and %s", k, paths[1].name, paths[2].name)
		}
	}
}

func TestReductions(t *testing.T) {
	eachPath(t, checkReductions[float32])
	t.Run("float64", checkReductions[float64])
}

func checkReductions[T Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for n := range 300 {
		a, b := normals[T](rng, n), normals[T](rng, n)
		var sum, squares, dot, dist, size float64
		for i := range a {
			x, y := float64(a[i]), float64(b[i])
			sum, squares, dot, dist = sum+x, squares+x*x, dot+x*y, dist+(x-y)*(x-y)
			size += math.Abs(x) + 2*(x*x+y*y) // bounds the sum of the sizes of all terms
		}
		// The documented bound for 8 lanes, with room for rounded terms.
		bound := (float64(n)/8 + 3 + 3) * 0x1p-24 * size
		for name, e := range map[string]float64{
			"Sum":        float64(Sum(a)) - sum,
			"SumSquares": float64(SumSquares(a)) - squares,
			"Dot":        float64(Dot(a, b)) - dot,
			"SqDist":     float64(SqDist(a, b)) - dist,
		} {
			if !(math.Abs(e) <= bound) {
				t.Errorf("%s of %d elements is off by %g, want at most %g", name, n, e, bound)
			}
		}
	}
}

func TestDsdot(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(11, 12))
		for n := range 200 {
			a, b := normals[float32](rng, n), normals[float32](rng, n)
			var dot, size float64
			for i := range a {
				p := float64(a[i]) * float64(b[i])
				dot, size = dot+p, size+math.Abs(p)
			}
			if e, bound := math.Abs(Dsdot(a, b)-dot), 2*float64(n)*0x1p-53*size; !(e <= bound) {
				t.Errorf("%d elements: off by %g, want at most %g", n, e, bound)
			}
		}
	})
}

func TestMismatchedLengthsPanic(t *testing.T) {
	defer func() {
		const want = "kernel: argument slice 3 has length 2, the first has 3; they must be equal"
		if got := fmt.Sprint(recover()); got != want {
			t.Errorf("panic %q, want %q", got, want)
		}
	}()
	Add(make([]float32, 3), make([]float32, 3), make([]float32, 2))
}

func TestNothingAllocated(t *testing.T) {
	x, y, z := make([]float32, 100), make([]float32, 100), make([]float64, 100)
	eachPath(t, func(t *testing.T) {
		n := testing.AllocsPerRun(100, func() {
			Softplus(y, x)
			Add(z, z, z)
			Axpy(y, Sum(x)+float32(Dsdot(x, y)), x)
			Adam(adamDefault(1), y, x, y, y)
		})
		if n != 0 {
			t.Errorf("%g allocations per run, want 0", n)
		}
	})
}

func normals[T Float](rng *rand.Rand, n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(rng.NormFloat64())
	}
	return x
}

// Relu keeps NaN, and Step takes it for no number above 0.
func TestReluOfNaN(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		x := slices.Repeat([]float32{float32(math.NaN()), float32(math.Copysign(math.NaN(), -1)), float32(math.Inf(-1)), float32(math.Inf(1))}, 9)
		y, above := make([]float32, len(x)), make([]float32, len(x))
		Relu(y, x)
		Step(above, x)
		for i := range x {
			if want := max(x[i], 0); y[i] != want && !(y[i] != y[i] && want != want) {
				t.Errorf("Relu(%g) is %g", x[i], y[i])
			}
			if want := float32(i % 4 / 3); above[i] != want {
				t.Errorf("Step(%g) is %g", x[i], above[i])
			}
		}
	})
}
