package spectrum

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// inner is the product of columns j and k.
func inner(v blas32.General, j, k int) (sum float64) {
	for i := range v.Rows {
		sum += float64(batch.Row(v, i)[j]) * float64(batch.Row(v, i)[k])
	}
	return sum
}

// Columns become orthonormal though they are nearly parallel, and one that depends on those
// before it becomes 0.
func TestOrthonormalise(t *testing.T) {
	const d = 6
	v := batch.New(d, 4)
	rng := random.New(1, "columns", 0)
	for i := range d {
		common := rng.NormFloat64()
		for j := range 3 {
			batch.Row(v, i)[j] = float32(common + 1e-3*rng.NormFloat64())
		}
		batch.Row(v, i)[3] = batch.Row(v, i)[0]
	}
	orthonormalise(v)
	for j := range 4 {
		for k := range 4 {
			want := 0.0
			if j == k && j < 3 {
				want = 1
			}
			if got := inner(v, j, k); math.Abs(got-want) > 1e-6 {
				t.Errorf("columns %d and %d have the product %g, want %g", j, k, got, want)
			}
		}
	}
}

// Of data with deviations 5, 3 and 1 along known axes, the two leading directions are those of
// the first two, and the values are the sums of squares along them.
func TestLeading(t *testing.T) {
	const n, d = 3000, 3
	axes := [d][d]float64{{.6, .8, 0}, {-.8, .6, 0}, {0, 0, 1}}
	deviation := [d]float64{5, 3, 1}
	x := batch.New(n, d)
	rng := random.New(2, "data", 0)
	for i := range n {
		for k, axis := range axes {
			v := deviation[k] * rng.NormFloat64()
			for j := range d {
				batch.Row(x, i)[j] += float32(v * axis[j])
			}
		}
	}
	directions, values, err := Leading(x, 2, rng)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := directions.Dims(); r != 2 || len(values) != 2 {
		t.Fatalf("%d directions and values %v", r, values)
	}
	for i, value := range values {
		k := 1 - i // values ascend
		var along, size, squares float64
		for j := range d {
			along += directions.At(i, j) * axes[k][j]
			size += directions.At(i, j) * directions.At(i, j)
		}
		for row := range n {
			var inner float64
			for j := range d {
				inner += float64(batch.Row(x, row)[j]) * directions.At(i, j)
			}
			squares += inner * inner
		}
		if math.Abs(size-1) > 1e-5 || math.Abs(along) < .99 {
			t.Errorf("direction %d: length² %g, and %g along the axis of deviation %g", i, size, along, deviation[k])
		}
		if math.Abs(value-squares) > 1e-4*squares {
			t.Errorf("direction %d: value %g, but the sum of squares along it is %g", i, value, squares)
		}
	}
	if none, values, err := Leading(x, 0, rng); err != nil || values != nil || mat.Norm(none, 2) != 0 {
		t.Errorf("no direction: %v, %v, %v", none, values, err)
	}
}

// T = MongeMap(S, Σ) is symmetric, positive, and takes S to Σ: T·S·T = Σ.
func TestMongeMap(t *testing.T) {
	s := mat.NewSymDense(2, []float64{2, .7, .7, .5})
	cov := mat.NewSymDense(2, []float64{1, -.6, -.6, 4})
	m := MongeMap(s, cov)
	got := sandwich(m, s)
	var e mat.EigenSym
	if !e.Factorize(m, false) || e.Values(nil)[0] <= 0 {
		t.Errorf("the map %v is not positive", mat.Formatted(m))
	}
	var difference mat.Dense
	if difference.Sub(got, cov); mat.Norm(&difference, 2) > 1e-9 {
		t.Errorf("the map takes S to %v, want %v", mat.Formatted(got), mat.Formatted(cov))
	}
}
