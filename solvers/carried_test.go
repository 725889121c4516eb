package solvers

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// The map of the carried moment of a Gaussian takes its noise to the Gaussian.
func TestCarriedMomentOfAGaussian(t *testing.T) {
	const n = 200000
	g := randomLaw(t, 3)
	for _, s := range []float64{0, .3} {
		w := g.CarriedMoment(s)
		y := g.SampleCarried(s, n, NewStream(2, "noise", 0))
		x := newBatch(n, 3)
		for i := range n {
			_, to, err := w.ConjugateAt(widened(row(y, i)))
			if err != nil {
				t.Fatal(err)
			}
			narrow(row(x, i), to)
		}
		fit, err := FitGaussian(x, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			closeTo(t, fmt.Sprintf("s = %g: mean along axis %d", s, i), fit.Mean[i], g.Mean[i], 5*math.Sqrt(g.Power(1).At(i, i)/n))
			for j := range 3 {
				v := g.Power(1)
				sd := math.Sqrt((v.At(i, i)*v.At(j, j) + v.At(i, j)*v.At(i, j)) / n)
				closeTo(t, fmt.Sprintf("s = %g: covariance (%d, %d)", s, i, j), fit.Power(1).At(i, j), v.At(i, j), 5*sd)
			}
		}
	}
}

// linked is w(x·F) of a curved w, for a symmetric F.
type linked struct {
	w Curved
	f blas32.General
}

func (l linked) Dim() int { return l.w.Dim() }

func (l linked) Eval(x blas32.General, value []float32, grad blas32.General) error {
	u, g := newBatch(x.Rows, x.Cols), newBatch(x.Rows, x.Cols)
	multiply(u, x, l.f)
	err := l.w.Eval(u, value, g)
	if grad.Data != nil {
		multiply(grad, g, l.f)
	}
	return err
}

func (l linked) HessVec(x, v, hv blas32.General) error {
	u, along, h := newBatch(x.Rows, x.Cols), newBatch(x.Rows, x.Cols), newBatch(x.Rows, x.Cols)
	multiply(u, x, l.f)
	multiply(along, v, l.f)
	err := l.w.HessVec(u, along, h)
	multiply(hv, h, l.f)
	return err
}

// A noise carried by C is the plain method in the coordinates C^{1/2}x: the
// densities of a potential that is no quadratic agree.
func TestCarriedIsAChangeOfCoordinates(t *testing.T) {
	const d, n = 3, 30
	g := randomLaw(t, d)
	w := doubleWell{d}
	x := newBatch(n, d)
	rng := NewStream(1, "points", 0)
	for i := range x.Data {
		x.Data[i] = .8 + rng.Float32() // where w is convex
	}
	noise, err := NewCarried(w, g.Power(.5))
	if err != nil {
		t.Fatal(err)
	}
	carried, _, err := Density{Potential: w, Noise: noise, LogZ: noise.LogDet()}.LogPDF(x)
	if err != nil {
		t.Fatal(err)
	}
	there := newBatch(n, d)
	multiply(there, x, float32s(g.Power(.25)))
	// Z of the plain noise is det C^{1/2} times that of w, as is the change of volume.
	plain, _, err := Density{Potential: linked{w, float32s(g.Power(-.25))}}.LogPDF(there)
	if err != nil {
		t.Fatal(err)
	}
	for i := range carried {
		closeTo(t, fmt.Sprintf("log q in row %d", i), carried[i], plain[i], 1e-3*(1+math.Abs(plain[i])))
	}
}

// The gradient and the Hessian of a carried noise are those of its value; a metric
// that is the inverse Hessian of w becomes that of the noise.
func TestCarriedDerivatives(t *testing.T) {
	const d, n, h = 3, 8, 1e-2
	g := randomLaw(t, d)
	noise, err := NewCarried(doubleWell{d}, g.Power(.5))
	if err != nil {
		t.Fatal(err)
	}
	y, v := newBatch(n, d), newBatch(n, d)
	rng := NewStream(1, "points", 0)
	rng.Normals(y.Data)
	rng.Normals(v.Data)
	moved := func(step float32) (value []float32, grad blas32.General) {
		at := newBatch(n, d)
		value, grad = make([]float32, n), newBatch(n, d)
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
	hv := newBatch(n, d)
	if err := noise.HessVec(y, v, hv); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		closeTo(t, "slope", float64(blas32.Dot(vector(row(grad, i)), vector(row(v, i)))), float64(high[i]-low[i])/(2*h), 2e-2*(1+math.Abs(float64(high[i]))))
		for k := range d {
			closeTo(t, "∇²v·u", float64(row(hv, i)[k]), float64(row(gradHigh, i)[k]-row(gradLow, i)[k])/(2*h), 5e-2)
		}
	}

	hessian := g.Power(-.7)
	metric, err := MetricFromHessian(hessian)
	if err != nil {
		t.Fatal(err)
	}
	want, err := MetricFromHessian(noise.Hessian(hessian))
	if err != nil {
		t.Fatal(err)
	}
	got := noise.Metric(metric)
	p, l := got.Factors()
	wantP, _ := want.Factors()
	product := newBatch(d, d)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, l, l, 0, product)
	for k := range p.Data {
		closeTo(t, "C·P·C", float64(p.Data[k]), float64(wantP.Data[k]), 1e-4)
		closeTo(t, "L·Lᵀ", float64(product.Data[k]), float64(p.Data[k]), 1e-5)
	}
	if noise.Metric(metric) != got {
		t.Error("the same metric was carried twice")
	}
}

func vector(v []float32) blas32.Vector { return blas32.Vector{N: len(v), Inc: 1, Data: v} }

// CMFGen with a noise that C carries finds the closed form of it.
func TestCMFGenCarried(t *testing.T) {
	const s = .25
	variances := []float64{4, .25, 9}
	g, err := NewGaussian([]float64{2, 0, -1}, mat.NewDiagDense(3, slices.Clone(variances)))
	if err != nil {
		t.Fatal(err)
	}
	b := newBowl(3)
	noise, err := NewCarried(curvedBowl{b}, g.Power(s))
	if err != nil {
		t.Fatal(err)
	}
	b.fit(t, g, noise, 1)
	truth := g.CarriedMoment(s)
	for k, v := range variances {
		closeTo(t, fmt.Sprintf("curvature along axis %d", k), float64(b.s[k])*math.Pow(v, (1-2*s)/3), 1, .1)
		closeTo(t, fmt.Sprintf("centre along axis %d", k), float64(b.c[k]), truth.Center[k], .25)
	}
}

// curvedBowl gives a bowl its Hessian.
type curvedBowl struct{ *bowl }

func (f curvedBowl) HessVec(_, v, hv blas32.General) error {
	for i := range v.Rows {
		for k, a := range row(v, i) {
			row(hv, i)[k] = f.s[k] * a
		}
	}
	return nil
}

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
		if _, err := NewCarried(doubleWell{c.d}, mat.NewSymDense(2, c.matrix)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want one that says %q", name, err, c.want)
		}
	}
	v, err := NewCarried(doubleWell{2}, mat.NewSymDense(2, []float64{1, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Eval(newBatch(4, 3), nil, newBatch(4, 3)); err == nil || !strings.Contains(err.Error(), "3 coordinates") {
		t.Errorf("points of another dimension: error %v", err)
	}
}
