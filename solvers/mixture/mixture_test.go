package mixture

import (
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// two are n points of ⅓·N((−3, 0), I) + ⅔·N((3, 1), diag(4, ¼)).
func two(n int, rng *random.Stream) blas32.General {
	x := batch.New(n, 2)
	for i := range n {
		a, b := rng.NormFloat64(), rng.NormFloat64()
		to := batch.Row(x, i)
		if rng.IntN(3) == 0 {
			to[0], to[1] = float32(a-3), float32(b)
		} else {
			to[0], to[1] = float32(2*a+3), float32(b/2+1)
		}
	}
	return x
}

func TestFitFindsTheParts(t *testing.T) {
	x := two(20000, random.New(1, "points", 0))
	m, err := Fit(x, 2, 100, random.New(1, "fit", 0))
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	if m.Means.Data[0] > m.Means.Data[2] {
		left = 1
	}
	got := []float64{m.Weights[left], float64(m.Means.Data[2*left]), float64(m.Means.Data[2*left+1]), m.Covariances[left].At(0, 0), m.Covariances[left].At(0, 1),
		float64(m.Means.Data[2-2*left]), float64(m.Means.Data[3-2*left]), m.Covariances[1-left].At(0, 0), m.Covariances[1-left].At(1, 1)}
	for k, want := range []float64{1. / 3, -3, 0, 1, 0, 3, 1, 4, .25} {
		if math.Abs(got[k]-want) > .12 {
			t.Errorf("parameter %d is %.3f, want %.3f", k, got[k], want)
		}
	}
}

// The mean density of points of the mixture is what the closed form says, and drawn
// points have the moments of the mixture.
func TestDensityAndDraws(t *testing.T) {
	x := two(20000, random.New(1, "points", 0))
	m, err := Fit(x, 2, 100, random.New(1, "fit", 0))
	if err != nil {
		t.Fatal(err)
	}
	at := blas32.General{Rows: 2, Cols: 2, Stride: 2, Data: []float32{-3, 0, 3, 1}}
	logs, err := m.LogPDF(at)
	if err != nil {
		t.Fatal(err)
	}
	normal := func(dx, dy, sx, sy float64) float64 {
		return math.Exp(-dx*dx/(2*sx*sx)-dy*dy/(2*sy*sy)) / (2 * math.Pi * sx * sy)
	}
	for i, want := range []float64{normal(0, 0, 1, 1)/3 + 2*normal(-6, -1, 2, .5)/3, normal(6, 1, 1, 1)/3 + 2*normal(0, 0, 2, .5)/3} {
		if math.Abs(logs[i]-math.Log(want)) > .05 {
			t.Errorf("log density %.4f, want %.4f", logs[i], math.Log(want))
		}
	}
	y := m.Sample(20000, random.New(1, "draws", 0))
	a, err := exact.FitGaussian(x, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := exact.FitGaussian(y, 0)
	if err != nil {
		t.Fatal(err)
	}
	for j := range 2 {
		if math.Abs(a.Mean[j]-b.Mean[j]) > .1 || math.Abs(a.Values[j]/b.Values[j]-1) > .05 {
			t.Errorf("moments %v %v of the points, %v %v of draws", a.Mean, a.Values, b.Mean, b.Values)
		}
	}
}

func TestFitErrors(t *testing.T) {
	rng := random.New(1, "points", 0)
	x := two(10, rng)
	if _, err := Fit(x, 6, 10, rng); err == nil || !strings.Contains(err.Error(), "6 parts for 10 points") {
		t.Errorf("too many parts: %v", err)
	}
	x.Data[3] = float32(math.NaN())
	if _, err := Fit(x, 2, 10, rng); err == nil {
		t.Error("points that are not finite were fitted")
	}
	m, err := Fit(two(100, rng), 2, 10, rng)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.LogPDF(batch.New(1, 3)); err == nil || !strings.Contains(err.Error(), "3 coordinates") {
		t.Errorf("points of another dimension: %v", err)
	}
}
