package layers

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// meanHessian averages explicit Hessians, by HessVec along every axis.
func meanHessian(t testing.TB, m *ICNN, x blas32.General) *mat.SymDense {
	t.Helper()
	e := evaluator(t, m)
	d := m.Dim()
	h := mat.NewSymDense(d, nil)
	for j := range d {
		axis, hv := batch.New(x.Rows, d), batch.New(x.Rows, d)
		for i := range x.Rows {
			axis.Data[i*d+j] = 1
		}
		if err := e.HessVec(x, axis, hv); err != nil {
			t.Fatal(err)
		}
		for k := range j + 1 {
			var s float64
			for i := range x.Rows {
				s += float64(hv.Data[i*d+k])
			}
			h.SetSym(k, j, s/float64(x.Rows))
		}
	}
	return h
}

func curvature(t testing.TB, m *ICNN, x blas32.General) *mat.SymDense {
	t.Helper()
	c, err := NewCurvature(m)
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.MeanHessian(x)
	if err != nil {
		t.Fatal(err)
	}
	// A second call finds the compiled program, and gives the same.
	again, err := c.MeanHessian(x)
	if err != nil || !mat.Equal(h, again) {
		t.Errorf("a second call differs (error %v)", err)
	}
	return h
}

func relative(a, b mat.Matrix) float64 {
	var d mat.Dense
	d.Sub(a, b)
	return mat.Norm(&d, 2) / mat.Norm(b, 2)
}

// quadratics are the forms of the outer quadratic.
var quadratics = []Architecture{{}, {Knots: 3, Full: true}, {Rotated: true}, {Full: true}, {Rotated: true, Full: true}}

// With one hidden layer and no quadratic skips the mean Hessian is exact.
func TestMeanHessianIsExact(t *testing.T) {
	const d = 4
	for _, a := range quadratics {
		for _, unit := range units {
			a.Dim, a.Hidden, a.Unit, a.Tau = d, []int{7}, unit.Unit, unit.Tau
			m := single(t, a)
			x := normals(5, 300, d, 3)
			if e := relative(curvature(t, m, x), meanHessian(t, m, x)); e > 2e-6 {
				t.Errorf("%+v: relative error %.2g; want ≤ 2e-6", a, e)
			}
		}
	}
}

// Over copies of one point there is nothing to average: the estimate is the
// Hessian there, whatever the architecture.
func TestMeanHessianAtAPoint(t *testing.T) {
	const d, n = 3, 40
	point := normals(6, 1, d, 0)
	x := normals(6, n, d, 2)
	for i := range n {
		copy(row(x, i), point.Data)
	}
	for _, hidden := range [][]int{{5}, {6, 4}, {4, 5, 3}} {
		for _, a := range quadratics {
			for _, unit := range units {
				for _, rank := range []int{0, 2} {
					a.Dim, a.Hidden, a.DiagonalSkips, a.Rank = d, hidden, rank > 0, rank
					a.Unit, a.Tau = unit.Unit, unit.Tau
					m := single(t, a)
					if e := relative(curvature(t, m, x), meanHessian(t, m, x)); e > 5e-6 {
						t.Errorf("%+v: relative error %.2g; want ≤ 5e-6", a, e)
					}
				}
			}
		}
	}
}

func TestMeanHessianOfConvolutionsAtAPoint(t *testing.T) {
	for _, a := range convolved() {
		for _, unit := range units {
			a.Unit, a.Tau = unit.Unit, unit.Tau
			m := single(t, a)
			x := normals(6, 1, a.Dim, 0)
			if e := relative(curvature(t, m, x), meanHessian(t, m, x)); e > 5e-6 {
				t.Errorf("%+v: relative error %.2g; want ≤ 5e-6", a, e)
			}
		}
	}
}

// For deeper networks and different points it is an estimate: positive
// definite, and close.
func TestMeanHessianDeep(t *testing.T) {
	const d = 4
	for _, unit := range units {
		m := single(t, Architecture{Dim: d, Hidden: []int{8, 6}, Rotated: true, Unit: unit.Unit, Tau: unit.Tau})
		x := normals(7, 400, d, 0)
		h := curvature(t, m, x)
		var chol mat.Cholesky
		if !chol.Factorize(h) {
			t.Errorf("%+v: the estimate is not positive definite", unit)
		}
		e := relative(h, meanHessian(t, m, x))
		t.Logf("%+v, two layers: relative error %.2g", unit, e)
		if e > .3 {
			t.Errorf("%+v: relative error %.2g of the estimate; want ≤ .3", unit, e)
		}
	}
}

func TestCurvatureErrors(t *testing.T) {
	if _, err := NewCurvature(full(t, Architecture{}, 2, 3)); err == nil || !strings.Contains(err.Error(), "float32") {
		t.Errorf("a float64 network: error %v", err)
	}
	c, err := NewCurvature(single(t, Architecture{Dim: 2, Hidden: []int{3}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range [][2]int{{0, 2}, {4, 3}, {4, 1}} {
		if _, err := c.MeanHessian(normals(1, shape[0], shape[1], 0)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(%d, %d)", shape[0], shape[1])) {
			t.Errorf("points of shape %v: error %v", shape, err)
		}
	}
	if h := curvature(t, c.m, normals(1, 1, 2, 0)); math.IsNaN(h.At(0, 0)) {
		t.Error("one point gives NaN")
	}
}
