package solvers

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// Figure 1's covariance, with the reference of Σ^{1/3} as published there, cut to five digits and the
// identities that define it to 1e-12.
func TestGaussianClosedForm(t *testing.T) {
	cov := mat.NewSymDense(2, []float64{2, 1.8, 1.8, 2})
	g, err := NewGaussian([]float64{1, -2}, cov)
	if err != nil {
		t.Fatal(err)
	}
	root := g.Power(1. / 3)
	for i, want := range []float64{1.07264, .48784, .48784, 1.07264} {
		if got := root.At(i/2, i%2); math.Abs(got-want) > 1e-5 {
			t.Errorf("Σ^{1/3}[%d] = %.6f, want %.5f", i, got, want)
		}
	}
	var square, cube mat.Dense
	square.Mul(root, root)
	cube.Mul(&square, root)
	if !mat.EqualApprox(&cube, cov, 1e-12) {
		t.Errorf("(Σ^{1/3})³ = %v", mat.Formatted(&cube))
	}
	// ∇w* pushes N(c, Σ^{1/3}) to N(m, Σ): Σ^{1/3}c + c = m.
	c := mat.NewVecDense(2, g.Center())
	var m mat.VecDense
	m.MulVec(root, c)
	m.AddVec(&m, c)
	for i, want := range g.Mean {
		if math.Abs(m.AtVec(i)-want) > 1e-12 {
			t.Errorf("the map's mean is %v, want %v", m.RawVector().Data, g.Mean)
		}
	}
	want := math.Log(2*math.Pi) + .5*math.Log(mat.Det(root))
	if got := g.LogZ(); math.Abs(got-want) > 1e-12 {
		t.Errorf("log Z = %v, want %v", got, want)
	}
}

func TestGaussianErrors(t *testing.T) {
	for _, c := range []struct {
		mean []float64
		cov  []float64
		want string
	}{
		{[]float64{0}, []float64{1, 0, 0, 1}, "length 1"},
		{[]float64{0, 0}, []float64{1, 2, 2, 1}, "positive definite"},
		{[]float64{0, 0}, []float64{1, math.NaN(), math.NaN(), 1}, "entry (0, 1)"},
		{[]float64{0, math.Inf(1)}, []float64{1, 0, 0, 1}, "entry 1 of a mean"},
	} {
		_, err := NewGaussian(c.mean, mat.NewSymDense(2, c.cov))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewGaussian(%v, %v): %v; want %q", c.mean, c.cov, err, c.want)
		}
	}
}

// Draws have the law's moments, and a fit to them finds the law again.
func TestGaussianDrawsAndFit(t *testing.T) {
	cov := mat.NewSymDense(3, []float64{4, 1, 0, 1, 2, -.5, 0, -.5, 1})
	g, err := NewGaussian([]float64{1, 2, 3}, cov)
	if err != nil {
		t.Fatal(err)
	}
	const n = 200000
	for name, c := range map[string]struct {
		power float64
		mean  []float64
	}{"ρ": {1, g.Mean}, "the Gibbs factor": {1. / 3, g.Center()}} {
		x := g.Sample(n, NewStream(1, name, 0))
		if c.power != 1 {
			x = g.SampleGibbs(n, NewStream(1, name, 0))
		}
		fit, err := FitGaussian(x, 0)
		if err != nil {
			t.Fatal(err)
		}
		want := g.Power(c.power)
		for i := range 3 {
			if se := math.Sqrt(want.At(i, i) / n); math.Abs(fit.Mean[i]-c.mean[i]) > 5*se {
				t.Errorf("%s: mean[%d] = %v, want %v", name, i, fit.Mean[i], c.mean[i])
			}
			for j := range 3 {
				se := math.Sqrt((want.At(i, i)*want.At(j, j) + want.At(i, j)*want.At(i, j)) / n)
				if got := fit.Power(1).At(i, j); math.Abs(got-want.At(i, j)) > 5*se {
					t.Errorf("%s: covariance[%d,%d] = %v, want %v ± %v", name, i, j, got, want.At(i, j), se)
				}
			}
		}
	}
}

// A metric's factors: L·Lᵀ = P = H⁻¹, and Root of white noise has covariance P.
func TestMetric(t *testing.T) {
	h := mat.NewSymDense(3, []float64{4, 1, 0, 1, 2, -.5, 0, -.5, 1})
	m, err := MetricFromHessian(h)
	if err != nil {
		t.Fatal(err)
	}
	unit := newBatch(3, 3)
	for i := range 3 {
		unit.Data[4*i] = 1
	}
	p, rt, llt, back := newBatch(3, 3), newBatch(3, 3), newBatch(3, 3), newBatch(3, 3)
	m.Apply(p, unit)
	m.RootT(rt, unit)
	m.Root(llt, rt)
	for i := range 3 {
		for j := range 3 {
			if math.Abs(float64(llt.Data[3*i+j]-p.Data[3*i+j])) > 1e-6 {
				t.Errorf("L·Lᵀ and P differ at (%d, %d): %v and %v", i, j, llt.Data[3*i+j], p.Data[3*i+j])
			}
			for k := range 3 {
				back.Data[3*i+j] += p.Data[3*i+k] * float32(h.At(k, j))
			}
			want := float32(0)
			if i == j {
				want = 1
			}
			if math.Abs(float64(back.Data[3*i+j]-want)) > 1e-6 {
				t.Errorf("P·H at (%d, %d) is %v", i, j, back.Data[3*i+j])
			}
		}
	}
	if _, err := MetricFromHessian(mat.NewSymDense(2, []float64{1, 2, 2, 1})); err == nil {
		t.Error("an indefinite Hessian gives no error")
	}
	if _, err := DiagonalMetric([]float64{1, 0}); err == nil {
		t.Error("a zero on a diagonal gives no error")
	}
}
