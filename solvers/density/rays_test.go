package density_test

import (
	"fmt"
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// scaled is w(x·s_i) of row i, or of row 0 where all rows are alike.
type scaled struct {
	potential.Curved
	s []float32
}

func (w scaled) Of(rows []int) potential.Rowwise {
	of := scaled{Curved: w.Curved}
	for _, i := range rows {
		of.s = append(of.s, w.s[i])
	}
	return of
}

func (w scaled) by(x blas32.General) blas32.General {
	out := batch.New(x.Rows, x.Cols)
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			batch.Row(out, i)[j] = w.s[i] * v
		}
	}
	return out
}

func (w scaled) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if err := w.Curved.Eval(w.by(x), value, grad); err != nil || grad.Data == nil {
		return err
	}
	batch.Copy(grad, w.by(grad))
	return nil
}

func (w scaled) HessVec(x, v, hv blas32.General) error {
	if err := w.Curved.HessVec(w.by(x), w.by(v), hv); err != nil {
		return err
	}
	batch.Copy(hv, w.by(hv))
	return nil
}

// On rays, log Z of a Gaussian in every scale is exact, with its correlations.
func TestRaysOnGaussians(t *testing.T) {
	scales := []float32{.01, .5, 1, 30}
	for d := 1; d <= 2; d++ {
		g := problem.RandomGaussian(t, d, 5)
		modes := batch.New(len(scales), d)
		for i, s := range scales {
			for j, m := range g.Mean {
				batch.Row(modes, i)[j] = m / s
			}
		}
		got, change, err := density.Rays{}.LogZ(t.Context(), scaled{g, scales}, modes)
		if err != nil {
			t.Fatal(err)
		}
		var logDet float64
		if d == 1 {
			logDet = math.Log(g.Cov.At(0, 0))
		} else {
			logDet = math.Log(g.Cov.At(0, 0)*g.Cov.At(1, 1) - g.Cov.At(0, 1)*g.Cov.At(1, 0))
		}
		for i, s := range scales {
			want := (float64(d)*math.Log(2*math.Pi) + logDet) / 2
			problem.CloseTo(t, fmt.Sprintf("log Z in scale %g on ℝ^%d", s, d), got[i], want-float64(d)*math.Log(float64(s)), 2e-4)
		}
		if change > 1e-4 {
			t.Errorf("the change with half the points is %g", change)
		}
	}
}

func TestRaysRefuse(t *testing.T) {
	for _, q := range []density.Rays{{Rays: 3}, {Points: -1}} {
		if _, _, err := q.LogZ(t.Context(), scaled{potential.Normal{D: 2}, []float32{1}}, batch.New(1, 2)); err == nil {
			t.Errorf("%+v was accepted", q)
		}
	}
	if _, _, err := (density.Rays{}).LogZ(t.Context(), scaled{potential.Normal{D: 3}, []float32{1}}, batch.New(1, 3)); err == nil {
		t.Error("three dimensions were accepted")
	}
}
