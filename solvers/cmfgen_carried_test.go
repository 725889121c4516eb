package solvers

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// CMFGen with carried noise finds the closed form for that noise.
func TestCMFGenCarried(t *testing.T) {
	const s = .25
	variances := []float64{4, .25, 9}
	g, err := exact.NewGaussian([]float64{2, 0, -1}, mat.NewDiagDense(3, slices.Clone(variances)))
	if err != nil {
		t.Fatal(err)
	}
	b := newBowl(3)
	noise, err := potential.NewCarried(curvedBowl{b}, g.Power(s))
	if err != nil {
		t.Fatal(err)
	}
	b.fit(t, g, noise, 1)
	truth := g.CarriedMoment(s)
	for k, v := range variances {
		problem.CloseTo(t, fmt.Sprintf("curvature along axis %d", k), float64(b.s[k])*math.Pow(v, (1-2*s)/3), 1, .1)
		problem.CloseTo(t, fmt.Sprintf("centre along axis %d", k), float64(b.c[k]), truth.Center[k], .25)
	}
}

// curvedBowl gives a bowl its Hessian.
type curvedBowl struct{ *bowl }

func (f curvedBowl) HessVec(_, v, hv blas32.General) error {
	for i := range v.Rows {
		for k, a := range batch.Row(v, i) {
			batch.Row(hv, i)[k] = f.s[k] * a
		}
	}
	return nil
}
