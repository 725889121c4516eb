package exact_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/internal/problem"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// The regression of a joint Gaussian finds its conditional law.
func TestRegressOnAJointGaussian(t *testing.T) {
	const n, d, k = 200_000, 2, 2
	joint := problem.RandomGaussian(t, d+k, 3)
	mean := make([]float64, d+k)
	batch.Widen(mean, joint.Mean)
	g, err := exact.NewGaussian(mean, joint.Cov)
	if err != nil {
		t.Fatal(err)
	}
	points := g.Sample(n, random.New(1, "points", 0))
	x := blas32.General{Rows: n, Cols: d, Stride: d + k, Data: points.Data}
	c := blas32.General{Rows: n, Cols: k, Stride: d + k, Data: points.Data[d:]}
	r, err := exact.Regress(x, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	truth, err := g.Given([]bool{false, false, true, true})
	if err != nil {
		t.Fatal(err)
	}
	at := batch.Gathered(points, []int{0, 1, 2, 3})
	if err := truth.Mean(at); err != nil {
		t.Fatal(err)
	}
	for i := range at.Rows {
		law, err := r.Given(batch.Row(c, i))
		if err != nil {
			t.Fatal(err)
		}
		for j, m := range law.Mean {
			problem.CloseTo(t, fmt.Sprintf("the mean of row %d along axis %d", i, j), m, float64(batch.Row(at, i)[j]), .02)
		}
	}
	// The precision of x in the joint law is the inverse of the residual covariance.
	precision, residual := g.Power(-1), r.Law.Power(-1)
	for i := range d {
		for j := range d {
			problem.CloseTo(t, fmt.Sprintf("the precision (%d, %d) of the residuals", i, j), residual.At(i, j), precision.At(i, j), .03*precision.At(i, i))
		}
	}
}

// Labels as corners of a simplex determine the mean of every class, though their columns
// sum to 1.
func TestRegressOnLabels(t *testing.T) {
	const n, classes = 30_000, 3
	rng := random.New(1, "labels", 0)
	x, c := batch.New(n, 1), batch.New(n, classes)
	for i := range n {
		k := rng.IntN(classes)
		batch.Row(c, i)[k] = 1
		batch.Row(x, i)[0] = float32(float64(k*k) + rng.NormFloat64())
	}
	r, err := exact.Regress(x, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	for k := range classes {
		corner := make([]float32, classes)
		corner[k] = 1
		law, err := r.Given(corner)
		if err != nil {
			t.Fatal(err)
		}
		problem.CloseTo(t, fmt.Sprintf("the mean of class %d", k), law.Mean[0], float64(k*k), .05)
		problem.CloseTo(t, "the variance of the residuals", law.Values[0], 1, .03)
	}
}

// The noise given a context and its conjugates are those of the closed form.
func TestRegressionGibbs(t *testing.T) {
	const n, d = 100_000, 2
	law, err := exact.NewGaussian([]float64{1, -2}, mat.NewSymDense(2, []float64{2, .5, .5, .3}))
	if err != nil {
		t.Fatal(err)
	}
	r := &exact.Regression{Context: []float64{.5}, Gain: mat.NewDense(2, 1, []float64{1, -3}), Law: law}
	c := batch.New(n, 1)
	for i := range c.Data {
		c.Data[i] = 1.5
	}
	given, err := r.Given([]float32{1.5})
	if err != nil {
		t.Fatal(err)
	}
	y, x, err := r.SampleGibbs(c, random.New(1, "noise", 0))
	if err != nil {
		t.Fatal(err)
	}
	w := given.ConjugateMoment()
	got, err := exact.FitGaussian(y, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range d {
		problem.CloseTo(t, "the mean of the noise", got.Mean[i], w.Center[i], .02)
		for j := range d {
			problem.CloseTo(t, "the covariance of the noise", got.Power(1).At(i, j), given.Power(1./3).At(i, j), .02)
		}
	}
	for i := range 10 {
		at := make([]float64, d)
		batch.Widen(at, batch.Row(y, i))
		_, want, err := w.ConjugateAt(at)
		if err != nil {
			t.Fatal(err)
		}
		for j, v := range batch.Row(x, i) {
			problem.CloseTo(t, "a conjugate", float64(v), want[j], 1e-5)
		}
	}
}

func TestRegressRefuses(t *testing.T) {
	for want, shapes := range map[string][3]int{
		"3 points on 4 contexts":         {3, 4, 1},
		"two points more than columns":   {3, 3, 2},
		"it needs at least one column":   {9, 9, 0},
		"must be positive definite: the": {9, 9, 1}, // points that are all 0
	} {
		_, err := exact.Regress(batch.New(shapes[0], 2), batch.New(shapes[1], shapes[2]), 0)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
	x := batch.New(9, 1)
	x.Data[0] = float32(math.NaN())
	if _, err := exact.Regress(x, batch.New(9, 1), 0); err == nil {
		t.Error("a point that is not a number was accepted")
	}
}
