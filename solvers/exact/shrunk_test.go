package exact_test

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/mat"
)

// squaredError is the squared Frobenius norm of g's covariance less the truth.
func squaredError(g *exact.Gaussian, truth mat.Symmetric) (sum float64) {
	cov := g.Power(1)
	for i := range g.Dim() {
		for j := range g.Dim() {
			sum += math.Pow(cov.At(i, j)-truth.At(i, j), 2)
		}
	}
	return sum
}

// With independent columns the correlations of few rows are noise, and with correlated ones
// they are not.
func TestFitShrunk(t *testing.T) {
	const d = 20
	independent, correlated := mat.NewSymDense(d, nil), mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			correlated.SetSym(i, j, math.Pow(.9, float64(j-i)))
		}
		independent.SetSym(i, i, 1+float64(i))
	}
	for _, c := range []struct {
		name        string
		cov         *mat.SymDense
		rows        int
		least, most float64 // λ
		error       float64 // at most this multiple of the plain fit's
	}{
		{"few independent", independent, 60, .7, 1, .5},
		{"few correlated", correlated, 60, .005, .15, 1.02},
		{"many correlated", correlated, 20000, 0, .001, 1.001},
	} {
		law, err := exact.NewGaussian(make([]float64, d), c.cov)
		if err != nil {
			t.Fatal(err)
		}
		x := law.Sample(c.rows, random.New(1, c.name, 0))
		plain, err := exact.FitGaussian(x, 0)
		if err != nil {
			t.Fatal(err)
		}
		shrunk, lambda, err := exact.FitShrunk(x)
		if err != nil {
			t.Fatal(err)
		}
		if lambda < c.least || lambda > c.most {
			t.Errorf("%s: λ = %g, want %g to %g", c.name, lambda, c.least, c.most)
		}
		if was, is := squaredError(plain, c.cov), squaredError(shrunk, c.cov); is > c.error*was {
			t.Errorf("%s: the squared error is %g, that of the plain fit %g", c.name, is, was)
		}
	}
}

func TestFitShrunkOfOneColumn(t *testing.T) {
	x := batch.New(5, 1)
	random.New(1, "", 0).Normals(x.Data)
	plain, err := exact.FitGaussian(x, 0)
	if err != nil {
		t.Fatal(err)
	}
	shrunk, lambda, err := exact.FitShrunk(x)
	if err != nil || lambda != 0 || shrunk.Values[0] != plain.Values[0] {
		t.Errorf("λ = %g, variance %g, error %v; want 0, %g and none", lambda, shrunk.Values[0], err, plain.Values[0])
	}
}
