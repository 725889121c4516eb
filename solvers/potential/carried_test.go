package potential_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// The map of a Gaussian's carried moment takes its noise to the Gaussian.
func TestCarriedMomentOfAGaussian(t *testing.T) {
	const n = 200000
	g := randomLaw(t, 3)
	for _, s := range []float64{0, .3} {
		w := g.CarriedMoment(s)
		y := g.SampleCarried(s, n, random.New(2, "noise", 0))
		x := batch.New(n, 3)
		for i := range n {
			_, to, err := w.ConjugateAt(problem.Widened(batch.Row(y, i)))
			if err != nil {
				t.Fatal(err)
			}
			batch.Narrow(batch.Row(x, i), to)
		}
		fit, err := exact.FitGaussian(x, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			problem.CloseTo(t, fmt.Sprintf("s = %g: mean along axis %d", s, i), fit.Mean[i], g.Mean[i], 5*math.Sqrt(g.Power(1).At(i, i)/n))
			for j := range 3 {
				v := g.Power(1)
				sd := math.Sqrt((v.At(i, i)*v.At(j, j) + v.At(i, j)*v.At(i, j)) / n)
				problem.CloseTo(t, fmt.Sprintf("s = %g: covariance (%d, %d)", s, i, j), fit.Power(1).At(i, j), v.At(i, j), 5*sd)
			}
		}
	}
}

// linked is w(x·F) of a curved w, for a symmetric F.
type linked struct {
	w potential.Curved
	f blas32.General
}

func (l linked) Dim() int { return l.w.Dim() }

func (l linked) Eval(x blas32.General, value []float32, grad blas32.General) error {
	u, g := batch.New(x.Rows, x.Cols), batch.New(x.Rows, x.Cols)
	batch.Multiply(u, x, l.f)
	err := l.w.Eval(u, value, g)
	if grad.Data != nil {
		batch.Multiply(grad, g, l.f)
	}
	return err
}

func (l linked) HessVec(x, v, hv blas32.General) error {
	u, along, h := batch.New(x.Rows, x.Cols), batch.New(x.Rows, x.Cols), batch.New(x.Rows, x.Cols)
	batch.Multiply(u, x, l.f)
	batch.Multiply(along, v, l.f)
	err := l.w.HessVec(u, along, h)
	batch.Multiply(hv, h, l.f)
	return err
}

// Noise carried by C is the plain method in the coordinates C^{1/2}x: the densities of a
// potential that is not quadratic agree.
func TestCarriedIsAChangeOfCoordinates(t *testing.T) {
	const d, n = 3, 30
	g := randomLaw(t, d)
	w := problem.DoubleWell{D: d}
	x := batch.New(n, d)
	rng := random.New(1, "points", 0)
	for i := range x.Data {
		x.Data[i] = .8 + rng.Float32() // where w is convex
	}
	noise, err := potential.NewCarried(w, g.Power(.5))
	if err != nil {
		t.Fatal(err)
	}
	carried, _, err := density.Pushforward{Potential: w, Noise: noise, LogZ: noise.LogDet()}.LogPDF(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	there := batch.New(n, d)
	batch.Multiply(there, x, batch.FromMatrix(g.Power(.25)))
	// Z of the plain noise is det C^{1/2} times that of w; the change of volume has the same factor.
	plain, _, err := density.Pushforward{Potential: linked{w, batch.FromMatrix(g.Power(-.25))}}.LogPDF(t.Context(), there)
	if err != nil {
		t.Fatal(err)
	}
	for i := range carried {
		problem.CloseTo(t, fmt.Sprintf("log q in row %d", i), carried[i], plain[i], 1e-3*(1+math.Abs(plain[i])))
	}
}

// The gradient and the Hessian of carried noise are the derivatives of its value. If a
// preconditioner is the inverse Hessian of w, the carried one is that of the noise.
func TestCarriedDerivatives(t *testing.T) {
	const d, n, h = 3, 8, 1e-2
	g := randomLaw(t, d)
	noise, err := potential.NewCarried(problem.DoubleWell{D: d}, g.Power(.5))
	if err != nil {
		t.Fatal(err)
	}
	y, v := batch.New(n, d), batch.New(n, d)
	rng := random.New(1, "points", 0)
	rng.Normals(y.Data)
	rng.Normals(v.Data)
	moved := func(step float32) (value []float32, grad blas32.General) {
		at := batch.New(n, d)
		value, grad = make([]float32, n), batch.New(n, d)
		for i := range at.Data {
			at.Data[i] = y.Data[i] + step*v.Data[i]
		}
		if err := noise.Eval(at, value, grad); err != nil {
			t.Fatal(err)
		}
		return value, grad
	}
	high, gradHigh := moved(h)
	low, gradLow := moved(-h)
	_, grad := moved(0)
	hv := batch.New(n, d)
	if err := noise.HessVec(y, v, hv); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		problem.CloseTo(t, "slope", float64(blas32.Dot(vector(batch.Row(grad, i)), vector(batch.Row(v, i)))), float64(high[i]-low[i])/(2*h), 2e-2*(1+math.Abs(float64(high[i]))))
		for k := range d {
			problem.CloseTo(t, "∇²v·u", float64(batch.Row(hv, i)[k]), float64(batch.Row(gradHigh, i)[k]-batch.Row(gradLow, i)[k])/(2*h), 5e-2)
		}
	}

	hessian := g.Power(-.7)
	preconditioner, err := potential.PreconditionerFromHessian(hessian)
	if err != nil {
		t.Fatal(err)
	}
	want, err := potential.PreconditionerFromHessian(noise.Hessian(hessian))
	if err != nil {
		t.Fatal(err)
	}
	got := noise.Preconditioner(preconditioner)
	p, l := got.Factors()
	wantP, _ := want.Factors()
	product := batch.New(d, d)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, l, l, 0, product)
	for k := range p.Data {
		problem.CloseTo(t, "C·P·C", float64(p.Data[k]), float64(wantP.Data[k]), 1e-4)
		problem.CloseTo(t, "L·Lᵀ", float64(product.Data[k]), float64(p.Data[k]), 1e-5)
	}
	if noise.Preconditioner(preconditioner) != got {
		t.Error("the same preconditioner was carried twice")
	}
}

func vector(v []float32) blas32.Vector { return blas32.Vector{N: len(v), Inc: 1, Data: v} }

func TestCarriedRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		d      int
		matrix []float64
		want   string
	}{
		"another dimension": {3, []float64{1, 0, 0, 1}, "dimension 3 carried by a matrix of dimension 2"},
		"indefinite":        {2, []float64{1, 2, 2, 1}, "not positive definite"},
		"infinite":          {2, []float64{math.Inf(1), 0, 0, 1}, "not positive definite"},
	} {
		if _, err := potential.NewCarried(problem.DoubleWell{D: c.d}, mat.NewSymDense(2, c.matrix)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want one that says %q", name, err, c.want)
		}
	}
	v, err := potential.NewCarried(problem.DoubleWell{D: 2}, mat.NewSymDense(2, []float64{1, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Eval(batch.New(4, 3), nil, batch.New(4, 3)); err == nil || !strings.Contains(err.Error(), "3 coordinates") {
		t.Errorf("points of another dimension: error %v", err)
	}
}

// randomLaw is a Gaussian with its mean away from 0.
func randomLaw(t testing.TB, d int) *exact.Gaussian {
	t.Helper()
	w := problem.RandomGaussian(t, d, uint64(d))
	mean := make([]float64, d)
	batch.Widen(mean, w.Mean)
	g, err := exact.NewGaussian(mean, w.Cov)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
