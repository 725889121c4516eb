package target

import (
	"math"
	"testing"

	"cmf/data"
)

// Units of learning are those of the data near 0 at a scale near 1, and about the law
// elsewhere.
func TestUnitsAbout(t *testing.T) {
	for _, c := range []struct {
		mean, sd []float64
		near     bool
	}{
		{[]float64{0, 0}, []float64{1, 5}, true},
		{[]float64{1, -1}, []float64{1.41, 1.41}, true},
		{[]float64{5, -3}, []float64{1.41, 1.41}, false},
		{[]float64{0, 0}, []float64{1, 7}, false},
		{[]float64{0}, []float64{1e-3}, false},
		{[]float64{1e6}, []float64{1}, false},
	} {
		u := UnitsAbout(c.mean, c.sd)
		if near := u.Scale == nil; near != c.near {
			t.Errorf("a law at %v of deviations %v: units %v", c.mean, c.sd, u)
		}
		if ForProblem(u) == nil != c.near {
			t.Errorf("a law at %v has units %v in the problem", c.mean, ForProblem(u))
		}
	}
}

// Where cells miss narrow modes, quadrature uses more of them, or says so.
func TestRefinedQuadrature(t *testing.T) {
	for _, c := range []struct {
		mixture string
		ok      bool
	}{
		{"1,0,0,1", true},
		{"0.5,-3,0,0.02;0.5,3,0,0.02", true},
		{"0.5,0,0,0.001;0.5,100,0,0.001", false},
		{"0.5,0,0.001;0.5,100,0.001", true},
	} {
		e, err := data.ParseMixture(c.mixture)
		if err != nil {
			t.Fatal(err)
		}
		q, ok, err := refined(e, e.Box)
		if err != nil || ok != c.ok || ok && math.Abs(q.LogZ) > .01 {
			t.Errorf("%s: log Z %g with %d cells, ok %t, error %v", c.mixture, q.LogZ, q.Cells, ok, err)
		}
	}
}
