package density

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/exact"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/floats"
	"pgregory.net/rapid"
)

// With q = N(0, 1) and e^{−E} = 3·N(m, s²), log Z = log 3 and the share (E ω)²/E ω² has
// a closed form.
func TestImportanceOfTwoNormals(t *testing.T) {
	const m, s, n, seeds = .5, .8, 2000, 100
	var mean, squares, size float64
	for seed := range seeds {
		x := exact.StandardGaussian(1).Sample(n, random.New(uint64(seed), "points", 0))
		logQ, err := exact.StandardGaussian(1).LogPDF(x)
		if err != nil {
			t.Fatal(err)
		}
		energy := make([]float32, n)
		for i, v := range x.Data {
			u := (float64(v) - m) / s
			energy[i] = float32(u*u/2 + math.Log(s*math.Sqrt(2*math.Pi)) - math.Log(3))
		}
		w, err := NewImportance(energy, logQ)
		if err != nil {
			t.Fatal(err)
		}
		problem.CloseTo(t, "sum of the weights", floats.Sum(w.Weights), 1, 1e-12)
		z := (w.LogZ - math.Log(3)) / w.Error
		mean += z / seeds
		squares += z * z / seeds
		size += w.Size / seeds
		if w.Tail > .5 {
			t.Errorf("bounded weights have the tail %.2f", w.Tail)
		}
	}
	t.Logf("z has mean %.2f, root mean square %.2f; size %.4f", mean, math.Sqrt(squares), size)
	if math.Abs(mean) > .4 || math.Abs(math.Sqrt(squares)-1) > .3 {
		t.Errorf("z has mean %.2f, root mean square %.2f", mean, math.Sqrt(squares))
	}
	// E ω² = ∫ N(x; m, s²)²/N(x; 0, 1) dx for s² < 2.
	const a = 2/(s*s) - 1
	second := math.Exp(m*m/(s*s)*(2/(s*s*a)-1)) / (s * s * math.Sqrt(a))
	problem.CloseTo(t, "effective sample size", size, 1/second, .01)
}

// Rows that are not finite have weight 0 and are counted. A constant in the energy
// changes only log Z.
func TestImportanceCountsWhatFails(t *testing.T) {
	inf := float32(math.Inf(1))
	w, err := NewImportance([]float32{1, inf, 1, 1, float32(math.NaN())}, []float64{0, 0, math.NaN(), 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	if w.Failed() != 3 || w.Status[0] != potential.Converged || w.Status[1] != potential.NotFinite || !slices.Equal(w.Weights[1:3], []float64{0, 0}) || w.Weights[4] != 0 {
		t.Errorf("%+v", w)
	}
	problem.CloseTo(t, "size", w.Size, 2./5, 1e-12)
	problem.CloseTo(t, "log Z", w.LogZ, math.Log(2./5)-1, 1e-7)
	// Far from 1 no weight may overflow.
	far, err := NewImportance([]float32{-1e5, -1e5, inf, inf, inf}, make([]float64, 5))
	if err != nil {
		t.Fatal(err)
	}
	problem.CloseTo(t, "log Z far away", far.LogZ, math.Log(2./5)+1e5, 1e-6)
	problem.CloseTo(t, "weight far away", far.Weights[0], .5, 1e-9)

	if _, err := NewImportance([]float32{inf, inf}, make([]float64, 2)); err == nil || !strings.Contains(err.Error(), "none of 2") {
		t.Errorf("no finite row gave the error %v", err)
	}
	if _, err := NewImportance(make([]float32, 2), make([]float64, 3)); err == nil {
		t.Error("lengths that differ gave no error")
	}
}

// Systematic resampling draws row i ⌊nω_i⌋ or ⌈nω_i⌉ times, never one of weight 0.
func TestResampleIsSystematic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		energy := rapid.SliceOfN(rapid.Float32Range(-5, 5), 1, 40).Draw(t, "energy")
		if len(energy) > 1 {
			energy[rapid.IntRange(0, len(energy)-1).Draw(t, "zero")] = float32(math.Inf(1))
		}
		n := rapid.IntRange(0, 100).Draw(t, "n")
		w, err := NewImportance(energy, make([]float64, len(energy)))
		if err != nil {
			t.Fatal(err)
		}
		index := w.Resample(n, random.New(rapid.Uint64().Draw(t, "seed"), "resampling", 0))
		if len(index) != n || !slices.IsSorted(index) {
			t.Fatalf("%d rows drawn, want %d in increasing order", len(index), n)
		}
		count := make([]int, len(energy))
		for _, i := range index {
			count[i]++
		}
		for i, k := range count {
			if expected := float64(n) * w.Weights[i]; math.Abs(float64(k)-expected) > 1+1e-9 || expected == 0 && k > 0 {
				t.Errorf("row %d is drawn %d times, expected %g", i, k, expected)
			}
		}
	})
}

// Weights u^{−k} have a Pareto tail of exactly the shape k.
func TestParetoShape(t *testing.T) {
	const n = 20000
	for _, k := range []float64{.2, .5, .7, 1, 1.5} {
		var mean float64
		const seeds = 10
		for seed := range seeds {
			rng := random.New(uint64(seed), "weights", 0)
			l := make([]float64, n)
			for i := range l {
				l[i] = -k * math.Log(1-rng.Float64())
			}
			mean += paretoShape(l) / seeds
		}
		t.Logf("shape %.3f, want %g", mean, k)
		problem.CloseTo(t, "Pareto shape", mean, k, .06)
	}
	if k := paretoShape(make([]float64, 100)); !math.IsNaN(k) {
		t.Errorf("equal weights have the shape %g", k)
	}
}
