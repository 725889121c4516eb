package transport

import (
	"math"
	"slices"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

func TestLineW2(t *testing.T) {
	for _, c := range []struct {
		x, y []float32
		want float64 // of the square
	}{
		{[]float32{3, 1}, []float32{2, 5}, (1 + 4) / 2.},
		// The quantile functions step at 1/2 and at 1/3, 2/3: the pieces have length 1/3, 1/6, 1/6, 1/3.
		{[]float32{0, 6}, []float32{9, 0, 3}, (9*1. + 9*1 + 9*2) / 6},
		{[]float32{4}, []float32{1, 7}, 9},
	} {
		if got, err := LineW2(c.x, c.y); err != nil || math.Abs(got-math.Sqrt(c.want)) > 1e-12 {
			t.Errorf("W2 of %v and %v is %g, %v, want %g", c.x, c.y, got, err, math.Sqrt(c.want))
		}
	}
	if _, err := LineW2(nil, []float32{1}); err == nil {
		t.Error("no points were taken")
	}
	if _, err := LineW2([]float32{1}, []float32{float32(math.NaN())}); err == nil {
		t.Error("a point that is not finite was taken")
	}
}

func TestLineW2IsTheAssignmentOnALine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		law := rapid.SliceOfN(rapid.Float32Range(-10, 10), 1, 8)
		x, y := law.Draw(r, "x"), law.Draw(r, "y")
		got, err := LineW2(x, y)
		if err != nil {
			r.Fatal(err)
		}
		// Repeating the rows of both, so that they have equally many, does not change their laws.
		xs, ys := slices.Repeat(x, len(y)), slices.Repeat(y, len(x))
		n := len(xs)
		cost := batch.New(n, n)
		for i := range n {
			for j := range n {
				batch.Row(cost, i)[j] = (xs[i] - ys[j]) * (xs[i] - ys[j])
			}
		}
		a, err := Assign(cost)
		if err != nil {
			r.Fatal(err)
		}
		if want := math.Sqrt(a.Total / float64(n)); math.Abs(got-want) > 1e-4 {
			r.Fatalf("W2 = %g, the assignment says %g", got, want)
		}
	})
}

func TestSlicedW2(t *testing.T) {
	distance := func(x, y blas32.General, directions int) float64 {
		t.Helper()
		d, err := SlicedW2(x, y, directions, random.New(3, "directions", 0))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	x, shifted := problem.NormalBatch(500, 4, "x"), batch.New(500, 4)
	batch.Copy(shifted, x)
	for i := range shifted.Rows {
		batch.Row(shifted, i)[0] += 2
	}
	// A shift by v moves direction θ by ⟨θ,v⟩, and E⟨θ,v⟩² = |v|²/d.
	if got := distance(x, shifted, 4000); math.Abs(got-1) > .03 {
		t.Errorf("sliced W2 of a shift is %g, want 1", got)
	}
	if got := distance(x, x, 10); got != 0 {
		t.Errorf("sliced W2 to itself is %g", got)
	}
	if a, b := distance(x, shifted, 100), distance(x, shifted, 100); a != b {
		t.Errorf("sliced W2 is %v and then %v by the same directions", a, b)
	}
	u, v := problem.NormalBatch(50, 1, "u"), problem.NormalBatch(70, 1, "v")
	want, err := LineW2(u.Data, v.Data)
	if err != nil {
		t.Fatal(err)
	}
	if got := distance(u, v, 70); math.Abs(got-want) > 1e-6 {
		t.Errorf("sliced W2 on the line is %g, want %g", got, want)
	}
	x.Data[7] = float32(math.Inf(1))
	for _, f := range []func() (float64, error){
		func() (float64, error) { return SlicedW2(x, shifted, 3, random.New(3, "directions", 0)) },
		func() (float64, error) { return SlicedW2(shifted, shifted, 0, random.New(3, "directions", 0)) },
		func() (float64, error) { return SlicedW2(shifted, u, 3, random.New(3, "directions", 0)) },
	} {
		if _, err := f(); err == nil {
			t.Error("a point that is not finite, no direction or another width was taken")
		}
	}
}

func BenchmarkSlicedW2(b *testing.B) {
	x, y := problem.NormalBatch(2048, 2, "x"), problem.NormalBatch(2048, 2, "y")
	for b.Loop() {
		if _, err := SlicedW2(x, y, 100, random.New(3, "directions", 0)); err != nil {
			b.Fatal(err)
		}
	}
}
