package exact_test

import (
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// classed are points of classes k with the means (k, −k) and the deviations k+1, n of each but
// of the last, which has few.
func classed(n, few int) (x, c blas32.General) {
	rng := random.New(1, "classes", 0)
	x, c = batch.New(2*n+few, 2), batch.New(2*n+few, 3)
	for i := range x.Rows {
		k := min(i/n, 2)
		batch.Row(c, i)[k] = 1
		for j := range 2 {
			batch.Row(x, i)[j] = float32(float64(k)*float64(1-2*j) + float64(k+1)*rng.NormFloat64())
		}
	}
	return x, c
}

// Every class of many points has its own mean and covariance; one of a single point has its
// place, and the covariance within the others.
func TestFitClasses(t *testing.T) {
	x, c := classed(20_000, 1)
	laws, err := exact.FitClasses(x, c)
	if err != nil {
		t.Fatal(err)
	}
	within := 0.5 * (1 + 4)
	for k, want := range []float64{1, 4, within} {
		g, cov := laws[k], laws[k].Power(1)
		mean := []float32{float32(k), -float32(k)}
		if k == 2 {
			mean = batch.Row(x, x.Rows-1)
		}
		for j := range 2 {
			if math.Abs(g.Mean[j]-float64(mean[j])) > .05 || math.Abs(cov.At(j, j)/want-1) > .05 {
				t.Errorf("class %d: mean %v and variance %g along axis %d; want %v and %g", k, g.Mean, cov.At(j, j), j, mean, want)
			}
		}
		if math.Abs(cov.At(0, 1)) > .1 {
			t.Errorf("class %d: covariance %g, want 0", k, cov.At(0, 1))
		}
	}
}

func TestFitClassesRefuses(t *testing.T) {
	for want, change := range map[string]func(x, c *blas32.General){
		"row 3 of the classes is [1 1 0]":   func(_, c *blas32.General) { copy(batch.Row(*c, 3), []float32{1, 1, 0}) },
		"row 3 of the classes is [0 0 0]":   func(_, c *blas32.General) { copy(batch.Row(*c, 3), []float32{0, 0, 0}) },
		"row 3 of the classes is [0.5 0 0]": func(_, c *blas32.General) { copy(batch.Row(*c, 3), []float32{.5, 0, 0}) },
		"class 2 of 3 has no rows":          func(_, c *blas32.General) { copy(batch.Row(*c, c.Rows-1), []float32{1, 0, 0}) },
		"21 points of 20 classes":           func(_, c *blas32.General) { *c = batch.Rows(*c, 0, 20) },
		"the points of class 0":             func(x, _ *blas32.General) { batch.Row(*x, 0)[0] = float32(math.NaN()) },
	} {
		x, c := classed(10, 1)
		change(&x, &c)
		if _, err := exact.FitClasses(x, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
}
