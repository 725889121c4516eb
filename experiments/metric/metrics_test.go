package metric

import (
	"math"
	"strings"
	"testing"

	"cmf/experiments/internal/exptest"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.9g, want %.9g ± %g", what, got, want, tolerance)
	}
}

func must(t *testing.T) func(v float64, err error) float64 {
	return func(v float64, err error) float64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestEnergyDistanceClosedForm(t *testing.T) {
	// On the line: X in {0, 2}, Y in {1, 5}. Cross distances 1, 5, 1, 3; within 2 and 4.
	got := must(t)(EnergyDistance(exptest.BatchOf(1, 0, 2), exptest.BatchOf(1, 1, 5)))
	near(t, "energy distance", got, 2*10./4-2-4, 1e-6)

	// N(0, 1) against N(μ, 1): 2·E|N(μ, 2)| − 2·E|N(0, 2)|.
	const mu = 1.0
	folded := 2/math.Sqrt(math.Pi)*math.Exp(-mu*mu/4) + mu*math.Erf(mu/2)
	want := 2*folded - 4/math.Sqrt(math.Pi)
	got = must(t)(EnergyDistance(exptest.Normal(3000, 1, 0, 1, 1), exptest.Normal(2500, 1, mu, 1, 2)))
	near(t, "energy distance of shifted normals", got, want, .05)
}

func TestEnergyDistanceIsUnbiased(t *testing.T) {
	var mean float64
	const runs = 200
	for s := range uint64(runs) {
		mean += must(t)(EnergyDistance(exptest.Normal(40, 3, 0, 1, 2*s), exptest.Normal(30, 3, 0, 1, 2*s+1))) / runs
	}
	// A V-statistic would average about E|X−X′|·(1/40+1/30) = 0.13 here.
	near(t, "mean energy distance under one law", mean, 0, .01)
}

func TestNearestNeighbourAccuracy(t *testing.T) {
	var same float64
	const runs = 20
	for s := range uint64(runs) {
		same += must(t)(NearestNeighbourAccuracy(exptest.Normal(300, 2, 0, 1, 2*s), exptest.Normal(300, 2, 0, 1, 2*s+1))) / runs
	}
	near(t, "mean accuracy under one law", same, 299./599, .015)
	near(t, "accuracy far apart", must(t)(NearestNeighbourAccuracy(exptest.Normal(600, 2, 0, 1, 1), exptest.Normal(600, 2, 50, 1, 2))), 1, 0)
	shifted := must(t)(NearestNeighbourAccuracy(exptest.Normal(600, 2, 0, 1, 1), exptest.Normal(600, 2, 1.5, 1, 2)))
	if shifted < same+.1 || shifted > .95 {
		t.Errorf("accuracy of overlapping laws = %g, want between those of one law and of distant laws", shifted)
	}
	x := exptest.Normal(600, 4, 0, 1, 3)
	// A clump within a wide law: rows of the clump have neighbours of their own
	// kind, rows of the wide law have few.
	own, others, err := NearestNeighbourShares(exptest.Normal(600, 100, 0, .3, 1), exptest.Normal(600, 100, 0, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	if own < .95 || others > .4 {
		t.Errorf("shares of a clump and of the law around it: %.3f and %.3f", own, others)
	}
	near(t, "accuracy of copies", must(t)(NearestNeighbourAccuracy(x, x)), 0, 0)
}

func TestNearestDistanceAgainstBruteForce(t *testing.T) {
	// More rows than a block holds, far from the origin, where |a|²+|b|²−2⟨a,b⟩ cancels.
	gen, train := exptest.Normal(600, 3, 1000, 1, 5), exptest.Normal(1100, 3, 1000, 1, 6)
	copy(batch.Row(gen, 7), batch.Row(train, 901))
	gen.Data[9*gen.Stride] = float32(math.NaN())
	distance, index, err := NearestDistance(t.Context(), gen, train)
	if err != nil {
		t.Fatal(err)
	}
	for i := range gen.Rows {
		best := math.Inf(1)
		for j := range train.Rows {
			best = min(best, euclidean(batch.Row(gen, i), batch.Row(train, j)))
		}
		switch {
		case i == 9:
			if !math.IsNaN(distance[i]) || index[i] != -1 {
				t.Fatalf("row with NaN: distance %g, index %d, want NaN and −1", distance[i], index[i])
			}
		case math.Abs(distance[i]-best) > 1e-4:
			t.Fatalf("row %d: distance %g, want %g", i, distance[i], best)
		}
	}
	if distance[7] != 0 || index[7] != 901 {
		t.Errorf("a copied row has distance %g to row %d, want 0 to row 901", distance[7], index[7])
	}
}

func TestFrechetClosedForms(t *testing.T) {
	// Diagonal Gaussians: Σ (μ−μ′)² + (σ−σ′)².
	sa, sb := mat.NewSymDense(3, nil), mat.NewSymDense(3, nil)
	for k, v := range [][2]float64{{1, 4}, {9, .25}, {0, 2}} {
		sa.SetSym(k, k, v[0])
		sb.SetSym(k, k, v[1])
	}
	got, err := frechetGaussians([]float64{1, 2, 3}, sa, []float64{0, 2, 5}, sb)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "Fréchet distance of diagonal Gaussians", got, 1+4+1+6.25+2, 1e-10)

	// Two dimensions, not commuting: tr M^{1/2} = √(tr M + 2√det M).
	sa, sb = mat.NewSymDense(2, []float64{2, 1.8, 1.8, 2}), mat.NewSymDense(2, []float64{3, -1, -1, .5})
	if got, err = frechetGaussians([]float64{0, 0}, sa, []float64{0, 0}, sb); err != nil {
		t.Fatal(err)
	}
	trace := 2*3 + 2*1.8*-1 + 2*.5
	near(t, "Fréchet distance in the plane", got, 7.5-2*math.Sqrt(trace+2*math.Sqrt(.76*.5)), 1e-10)
}

func TestFrechetDistanceOfSamples(t *testing.T) {
	a, b := exptest.Normal(4000, 5, 0, 1, 1), exptest.Normal(4000, 5, 0, 1, 2)
	near(t, "Fréchet distance under one law", must(t)(FrechetDistance(a, b)), 0, .02)
	near(t, "Fréchet distance to N(1, 4·I)", must(t)(FrechetDistance(a, exptest.Normal(4000, 5, 1, 2, 2))), 10, .4)
	// Fewer rows than columns: singular covariances are allowed.
	if v := must(t)(FrechetDistance(exptest.Normal(4, 9, 0, 1, 1), exptest.Normal(5, 9, 3, 1, 2))); !(v > 50) {
		t.Errorf("Fréchet distance of few rows = %g, want at least 50", v)
	}
}

func TestW2Line(t *testing.T) {
	near(t, "W2", must(t)(W2Line(exptest.BatchOf(1, 3, 1), exptest.BatchOf(1, 2, 5))), math.Sqrt((1+4)/2.), 1e-7)
	// Quantile steps at 1/2 and at 1/3, 2/3: pieces of length 1/3, 1/6, 1/6, 1/3.
	got := must(t)(W2Line(exptest.BatchOf(1, 0, 6), exptest.BatchOf(1, 9, 0, 3)))
	near(t, "W2 of unequal sizes", got, math.Sqrt(0*2./6+9*1./6+9*1./6+9*2./6), 1e-7)
}

func TestExactW2(t *testing.T) {
	// On the line the optimal matching joins equal ranks.
	x, y := exptest.Normal(400, 1, 0, 1, 1), exptest.Normal(400, 1, 3, 2, 2)
	near(t, "exact W2 on the line", must(t)(ExactW2(x, y)), must(t)(W2Line(x, y)), 1e-6)
	// Far from the origin, where |a|²+|b|²−2⟨a,b⟩ cancels: a shift is the best matching.
	a, b := exptest.Normal(300, 3, 1000, 1, 1), exptest.Normal(300, 3, 1000, 1, 1)
	for i := range b.Rows {
		b.Data[i*b.Stride] += 2
		b.Data[i*b.Stride+2]--
	}
	near(t, "exact W2 of a shift", must(t)(ExactW2(a, b)), math.Sqrt(5), 1e-4)
	if _, err := ExactW2(x, exptest.Normal(399, 1, 0, 1, 1)); err == nil || !strings.Contains(err.Error(), "as many of each") {
		t.Errorf("unequal sizes: %v", err)
	}
}

func TestSinkhornDivergence(t *testing.T) {
	x, y := exptest.Normal(300, 2, 0, 1, 1), exptest.Normal(300, 2, 0, 1, 1)
	for i := range y.Rows {
		y.Data[i*y.Stride] += 2
	}
	near(t, "Sinkhorn divergence of a shift", must(t)(SinkhornDivergence(x, y)), 4, 1e-3)
	near(t, "Sinkhorn divergence to itself", must(t)(SinkhornDivergence(x, x)), 0, 0)
	near(t, "Sinkhorn divergence under one law", must(t)(SinkhornDivergence(x, exptest.Normal(400, 2, 0, 1, 2))), 0, .15)
}

func TestSlicedW2(t *testing.T) {
	rng := func() *random.Stream { return random.Seeded(3, 1) }
	x := exptest.Normal(500, 4, 0, 1, 1)
	y := exptest.Normal(500, 4, 0, 1, 1)
	for i := range y.Rows {
		y.Data[i*y.Stride] += 2
	}
	// A shift by v moves direction θ by ⟨θ,v⟩, and E⟨θ,v⟩² = |v|²/d.
	near(t, "sliced W2 of a shift", must(t)(SlicedW2(x, y, 4000, rng())), 1, .03)
	near(t, "sliced W2 to itself", must(t)(SlicedW2(x, x, 10, rng())), 0, 0)
	near(t, "sliced W2 under one law", must(t)(SlicedW2(x, exptest.Normal(500, 4, 0, 1, 2), 100, rng())), 0, .2)
	line := must(t)(SlicedW2(exptest.Normal(50, 1, 0, 1, 1), exptest.Normal(70, 1, 2, 1, 2), 3, rng()))
	near(t, "sliced W2 on the line", line, must(t)(W2Line(exptest.Normal(50, 1, 0, 1, 1), exptest.Normal(70, 1, 2, 1, 2))), 1e-5)
}

func TestMetricsGiveNaNForNaN(t *testing.T) {
	x, y := exptest.Normal(20, 1, 0, 1, 1), exptest.Normal(20, 1, 0, 1, 2)
	y.Data[5*y.Stride] = float32(math.Inf(1))
	for name, f := range map[string]func(x, y blas32.General) (float64, error){
		"energy": EnergyDistance, "nearest": NearestNeighbourAccuracy, "Fréchet": FrechetDistance, "W2": W2Line,
		"exact W2": ExactW2, "Sinkhorn": SinkhornDivergence,
		"sliced": func(x, y blas32.General) (float64, error) { return SlicedW2(x, y, 3, random.Seeded(1, 1)) },
	} {
		for _, pair := range [][2]blas32.General{{x, y}, {y, x}} {
			if v, err := f(pair[0], pair[1]); err != nil || !math.IsNaN(v) {
				t.Errorf("%s: %g, %v, want NaN and no error", name, v, err)
			}
		}
	}
}

func TestMetricsRefuseShapes(t *testing.T) {
	x := exptest.Normal(10, 2, 0, 1, 1)
	torn := x
	torn.Data = torn.Data[:20]
	for _, c := range []struct {
		x, y blas32.General
		want string
	}{
		{x, exptest.Normal(10, 3, 0, 1, 1), "x has 2 columns and y 3"},
		{x, blas32.General{Cols: 2, Stride: 2}, "y has shape (0, 2)"},
		{torn, x, "do not hold it"},
	} {
		for name, f := range map[string]func(x, y blas32.General) error{
			"energy":  func(x, y blas32.General) error { _, err := EnergyDistance(x, y); return err },
			"nearest": func(x, y blas32.General) error { _, err := NearestNeighbourAccuracy(x, y); return err },
			"train":   func(x, y blas32.General) error { _, _, err := NearestDistance(t.Context(), x, y); return err },
			"Fréchet": func(x, y blas32.General) error { _, err := FrechetDistance(x, y); return err },
			"W2":      func(x, y blas32.General) error { _, err := W2Line(x, y); return err },
			"exact":   func(x, y blas32.General) error { _, err := ExactW2(x, y); return err },
			"divergence": func(x, y blas32.General) error {
				_, err := SinkhornDivergence(x, y)
				return err
			},
			"sliced": func(x, y blas32.General) error { _, err := SlicedW2(x, y, 1, random.Seeded(1, 1)); return err },
		} {
			if err := f(c.x, c.y); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want one that says %q", name, err, c.want)
			}
		}
	}
	if _, err := NearestNeighbourAccuracy(x, exptest.Normal(9, 2, 0, 1, 1)); err == nil || !strings.Contains(err.Error(), "as many of each") {
		t.Errorf("unequal sizes: %v", err)
	}
	if _, err := W2Line(x, x); err == nil || !strings.Contains(err.Error(), "it needs 1") {
		t.Errorf("two columns: %v", err)
	}
}

func BenchmarkEnergyDistance(b *testing.B) {
	x, y := exptest.Normal(2000, 784, 0, 1, 1), exptest.Normal(2000, 784, 0, 1, 2)
	for b.Loop() {
		if _, err := EnergyDistance(x, y); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNearestNeighbourAccuracy(b *testing.B) {
	x, y := exptest.Normal(2000, 784, 0, 1, 1), exptest.Normal(2000, 784, 0, 1, 2)
	for b.Loop() {
		if _, err := NearestNeighbourAccuracy(x, y); err != nil {
			b.Fatal(err)
		}
	}
}
