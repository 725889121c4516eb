package exact

import (
	"math"
	"testing"

	"cmf/solvers/internal/problem"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// The Monge map between Gaussians takes the mean to the mean and the covariance to the
// covariance, its conjugate takes them back, and its slope is symmetric and positive.
func TestMongeTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.IntRange(1, 4).Draw(t, "d")
		rng := random.New(rapid.Uint64().Draw(t, "seed"), "laws", 0)
		law := func() *Gaussian {
			root := mat.NewDense(d, d, nil)
			root.Apply(func(i, j int, _ float64) float64 {
				if i == j {
					return 1.5 + rng.Float64()
				}
				return .5 * rng.NormFloat64()
			}, root)
			cov, mean := mat.NewSymDense(d, nil), make([]float64, d)
			cov.SymOuterK(1, root)
			for j := range mean {
				mean[j] = 3 * rng.NormFloat64()
			}
			g, err := NewGaussian(mean, cov)
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		from, to := law(), law()
		w, err := from.MongeTo(to)
		if err != nil {
			t.Fatal(err)
		}
		_, image, err := w.At(from.Mean)
		if err != nil {
			t.Fatal(err)
		}
		_, back, err := w.ConjugateAt(to.Mean)
		if err != nil {
			t.Fatal(err)
		}
		for j := range d {
			if math.Abs(image[j]-to.Mean[j]) > 1e-9 || math.Abs(back[j]-from.Mean[j]) > 1e-9 {
				t.Fatalf("the means %v and %v go to %v and %v", from.Mean, to.Mean, image, back)
			}
		}
		a := w.Gibbs().Power(-1)
		var cov mat.Dense
		cov.Product(a, from.Power(1), a)
		if !mat.EqualApprox(&cov, to.Power(1), 1e-8) {
			t.Fatalf("the covariance becomes %v, want %v", mat.Formatted(&cov), mat.Formatted(to.Power(1)))
		}
		if !(w.Values[0] > 0) {
			t.Fatalf("slopes %v", w.Values)
		}
	})
	if _, err := StandardGaussian(2).MongeTo(StandardGaussian(3)); err == nil {
		t.Error("laws of two dimensions were accepted")
	}
	w, err := StandardGaussian(2).MongeTo(StandardGaussian(2))
	if err != nil {
		t.Fatal(err)
	}
	problem.CloseTo(t, "slope between equal laws", w.Values[0], 1, 1e-12)
}
