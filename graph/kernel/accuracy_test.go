package kernel

import (
	"math"
	"slices"
	"testing"
)

// eachPath runs the test once on each path of this processor.
func eachPath(t *testing.T, test func(t *testing.T)) {
	fast := active
	defer func() { active = fast }()
	for _, active = range paths {
		t.Run(Features(), test)
	}
}

// function is a kernel of one variable with its largest error in ulp.
type function struct {
	name  string
	apply func(dst, x []float32)
	exact func(float64) float64
	bound float64
}

var functions = []function{
	{"Exp", Exp[float32], math.Exp, 1},
	{"Log", Log[float32], math.Log, 1},
	{"Softplus", Softplus[float32], softplusExact, 2.5},
	{"Sigmoid", Sigmoid[float32], sigmoidExact, 2.5},
	{"SoftplusSigmoid.sp", softplusOfBoth[float32], softplusExact, 2.5},
	{"SoftplusSigmoid.sg", sigmoidOfBoth[float32], sigmoidExact, 2.5},
}

func softplusOfBoth[T Float](dst, x []T) { SoftplusSigmoid(dst, make([]T, len(x)), x) }

func sigmoidOfBoth[T Float](dst, x []T) { SoftplusSigmoid(make([]T, len(x)), dst, x) }

func softplusExact(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func sigmoidExact(x float64) float64 {
	if x < 0 {
		return math.Exp(x) / (1 + math.Exp(x))
	}
	return 1 / (1 + math.Exp(-x))
}

func TestSpecialValues(t *testing.T) {
	inf, nan, minusZero := float32(math.Inf(1)), float32(math.NaN()), float32(math.Copysign(0, -1))
	for _, c := range []struct {
		name    string
		apply   func(dst, x []float32)
		x, want []float32
	}{
		{"Exp", Exp[float32],
			[]float32{0, inf, -inf, nan, 88.8, -104, 1},
			[]float32{1, inf, 0, nan, inf, 0, math.E}},
		{"Log", Log[float32],
			[]float32{1, 0, minusZero, inf, -1, -inf, nan},
			[]float32{0, -inf, -inf, inf, nan, nan, nan}},
		{"Softplus", Softplus[float32],
			[]float32{0, inf, -inf, nan, 1e30},
			[]float32{math.Ln2, inf, 0, nan, 1e30}},
		{"Sigmoid", Sigmoid[float32],
			[]float32{0, inf, -inf, nan, 200, -200},
			[]float32{0.5, 1, 0, nan, 1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				got := make([]float32, len(c.x))
				c.apply(got, c.x)
				if !slices.EqualFunc(got, c.want, same) {
					t.Errorf("at %v: got %v, want %v", c.x, got, c.want)
				}
			})
		})
	}
}

func TestFunctionsAgainstFloat64(t *testing.T) {
	points := slices.Concat(everyMagnitude(), grid(-105, 105, 300_001), grid(-2, 3, 200_001))
	y := make([]float32, len(points))
	for _, f := range functions {
		exact := make([]float64, len(points))
		for i, x := range points {
			exact[i] = f.exact(float64(Flush(x)))
		}
		t.Run(f.name, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				f.apply(y, points)
				worst, at := 0.0, float32(0)
				for i, x := range points {
					if e := errorUlp(y[i], exact[i]); e > worst {
						worst, at = e, x
					}
				}
				t.Logf("%.3f ulp at %g", worst, at)
				if worst > f.bound {
					t.Errorf("error %g ulp at %g, want at most %g", worst, at, f.bound)
				}
			})
		})
	}
}

func TestSoftplusRelativeError(t *testing.T) {
	x := append(grid(-87, 90, 300_001), -80, -60, 20, 1e4, 3e38)
	y := make([]float32, len(x))
	eachPath(t, func(t *testing.T) {
		Softplus(y, x)
		worst := 0.0
		for i := range x {
			worst = max(worst, math.Abs(float64(y[i])/softplusExact(float64(x[i]))-1))
		}
		t.Logf("%.3g", worst)
		if !(worst <= 4e-7) {
			t.Errorf("relative error %g, want at most 4e-7", worst)
		}
	})
}

func TestFloat64Functions(t *testing.T) {
	for _, f := range []struct {
		name  string
		apply func(dst, x []float64)
		exact func(float64) float64
	}{
		{"Exp", Exp[float64], math.Exp},
		{"Log", Log[float64], math.Log},
		{"Softplus", Softplus[float64], softplusExact},
		{"Sigmoid", Sigmoid[float64], sigmoidExact},
		{"SoftplusSigmoid.sp", softplusOfBoth[float64], softplusExact},
		{"SoftplusSigmoid.sg", sigmoidOfBoth[float64], sigmoidExact},
	} {
		x := []float64{-700, -40, -1, 0, 1e-20, 0.5, 3, 40, 700, math.Inf(1), math.Inf(-1), math.NaN()}
		y := make([]float64, len(x))
		f.apply(y, x)
		for i, v := range x {
			want := f.exact(v)
			if y[i] != want && !(math.Abs(y[i]-want) <= 4e-16*math.Abs(want)) && !(y[i] != y[i] && want != want) {
				t.Errorf("%s(%g) = %g, want %g", f.name, v, y[i], want)
			}
		}
	}
}

// same is equality under which NaN equals itself.
func same(a, b float32) bool { return a == b || a != a && b != b }

// errorUlp is |got − want| in units in the last place of float32. It is 0 where
// got is want rounded, where both are NaN, and where got is 0 and want
// subnormal.
func errorUlp(got float32, want float64) float64 {
	const ulp = 0x1p-23
	if same(got, float32(want)) || got == 0 && math.Abs(want) < 0x1p-126*(1+ulp) {
		return 0
	}
	if got != 0 && got == got && Flush(got) == 0 {
		return math.Inf(1)
	}
	below := float32(math.Abs(want))
	if math.IsInf(float64(below), 0) {
		below = math.Nextafter32(math.MaxFloat32, 0)
	}
	e := math.Abs(float64(got)-want) / (float64(math.Nextafter32(below, math.MaxFloat32)) - float64(below))
	if math.IsNaN(e) {
		return math.Inf(1)
	}
	return e
}

// everyMagnitude is a grid over all bit patterns of float32: each sign and
// exponent with many mantissas, subnormals, infinities and NaNs.
func everyMagnitude() []float32 {
	var x []float32
	for bits := uint64(0); bits < 1<<32; bits += 20_011 {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	for _, v := range []float32{0, 1, math.SmallestNonzeroFloat32, math.MaxFloat32, float32(math.Inf(1))} {
		x = append(x, v, float32(math.Copysign(float64(v), -1)))
	}
	return x
}

// grid is n points evenly from lo to hi.
func grid(lo, hi float64, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(lo + (hi-lo)*float64(i)/float64(n-1))
	}
	return x
}
