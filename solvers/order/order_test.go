package order

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"cmf/graph/kernel"
	"cmf/solvers/random"

	"pgregory.net/rapid"
)

func TestSelectGivesWhatSortingGave(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		checkSelect(r, someFloats[float32](r))
		checkSelect(r, someFloats[float64](r))
	})
}

// These orders are hard for pivots from the ends and the middle.
func TestSelectOfOrderedValues(t *testing.T) {
	const n = 3000
	for name, of := range map[string]func(i int) float32{
		"rising":   func(i int) float32 { return float32(i) },
		"falling":  func(i int) float32 { return float32(-i) },
		"equal":    func(int) float32 { return 1 },
		"infinite": func(int) float32 { return float32(math.Inf(1)) },
		"NaN":      func(int) float32 { return float32(math.NaN()) },
		"roof":     func(i int) float32 { return float32(min(i, n-i)) },
		"valley":   func(i int) float32 { return float32(max(i, n-i)) },
		"teeth":    func(i int) float32 { return float32(i % 7) },
	} {
		values := make([]float32, n)
		for i := range values {
			values[i] = of(i)
		}
		for _, k := range []int{0, 1, n / 3, n / 2, n - 1} {
			sorted, work := slices.Sorted(slices.Values(values)), slices.Clone(values)
			if got := Select(work, k); !same(got, sorted[k]) {
				t.Errorf("%s: value %d is %g, want %g", name, k, got, sorted[k])
			}
		}
	}
}

func TestSelectRefuses(t *testing.T) {
	for _, k := range []int{-1, 5} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("value %d of 5 was given", k)
				}
			}()
			Select([]float64{1, 2, 3, 4, 5}, k)
		}()
	}
}

func TestSort(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		values := someFloats[float32](r)
		sorted := slices.DeleteFunc(slices.Sorted(slices.Values(values)), func(v float32) bool { return v != v })
		Sort(values, make([]float32, len(values)))
		values = slices.DeleteFunc(values, func(v float32) bool { return v != v })
		if !slices.Equal(values, sorted) {
			r.Fatalf("sorted to %v, want %v", values, sorted)
		}
	})
}

func TestOrderAllocatesNothing(t *testing.T) {
	values, fresh, work := make([]float32, 2000), make([]float32, 2000), make([]float32, 2000)
	random.New(3, "values", 0).Normals(fresh)
	if n := testing.AllocsPerRun(10, func() {
		copy(values, fresh)
		Select(values, 700)
		Sort(values, work)
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// someFloats draws 1 to 1000 values, many or few of them distinct, some not finite.
func someFloats[T kernel.Float](r *rapid.T) []T {
	values := make([]T, rapid.IntRange(1, 1000).Draw(r, "n"))
	rng := random.New(rapid.Uint64().Draw(r, "seed"), "values", 0)
	kinds := rapid.IntRange(1, 2000).Draw(r, "kinds")
	strange := rapid.IntRange(0, 20).Draw(r, "percent not finite")
	for i := range values {
		values[i] = T(rng.IntN(kinds)-kinds/2) / 8
		if rng.IntN(100) < strange {
			values[i] = T([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}[rng.IntN(4)])
		}
	}
	return values
}

func checkSelect[T kernel.Float](r *rapid.T, values []T) {
	sorted := slices.Sorted(slices.Values(values))
	k := rapid.IntRange(0, len(values)-1).Draw(r, "k")
	if got := Select(values, k); !same(got, sorted[k]) || !same(values[k], sorted[k]) {
		r.Fatalf("value %d is %g and %g in place, want %g", k, got, values[k], sorted[k])
	}
	for i, v := range values {
		if c := cmp.Compare(v, values[k]); i < k && c > 0 || i > k && c < 0 {
			r.Fatalf("value %d, %g, is on the wrong side of value %d, %g", i, v, k, values[k])
		}
	}
	slices.Sort(values)
	if !slices.EqualFunc(values, sorted, same) {
		r.Fatalf("the values are others: %v, want %v", values, sorted)
	}
}

// same is equality, except that NaN equals NaN.
func same[T kernel.Float](a, b T) bool { return cmp.Compare(a, b) == 0 }
