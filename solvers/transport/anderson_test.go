package transport

import (
	"math"
	"slices"
	"testing"
)

// On an affine iteration p ← p + (q − Mp), with as many dimensions as it remembers, the
// combination of residuals is zero.
func TestAndersonSolvesAnAffineIteration(t *testing.T) {
	const d = andersonMemory
	var a anderson
	a.restart(d)
	p, r := make([]float64, d), make([]float64, d)
	residual := func() (norm float64) {
		for k := range d {
			r[k] = 1 - float64(k+1)/(d+1)*p[k] + .1*p[(k+1)%d]
			norm = max(norm, math.Abs(r[k]))
		}
		return norm
	}
	for range d + 3 {
		residual()
		if a.takeBack(p, r, 0, 1) {
			t.Fatal("a good step was taken back")
		}
		a.step(p, r)
	}
	if norm := residual(); norm > 1e-6 {
		t.Errorf("residual %g after %d steps", norm, d+3)
	}
}

func TestAndersonTakesBackABadStep(t *testing.T) {
	var a anderson
	a.restart(2)
	p := []float64{0, 0}
	step := func(r []float64, value float64) bool {
		back := a.takeBack(p, r, value, 1e-6)
		if !back {
			a.step(p, r)
		}
		return back
	}
	step([]float64{1, 0}, 0)
	last := slices.Clone(p)
	if step([]float64{.9, .1}, .1) { // and an extrapolation
		t.Error("a step to a higher point was taken back")
	}
	if !step([]float64{.5, .5}, .05) {
		t.Error("a step to a lower point was kept")
	}
	for k, want := range []float64{last[0] + .9, last[1] + .1} {
		if math.Abs(p[k]-want) > 1e-12 {
			t.Errorf("p_%d = %g, want the plain step to %g", k, p[k], want)
		}
	}
	a.step(p, []float64{1, 1})
	a.step(p, []float64{.9, 1.1})
	if !a.takeBack(p, []float64{math.NaN(), 0}, math.NaN(), 1e-6) {
		t.Error("a step to a point that is not finite was kept")
	}
	if a.count != 0 {
		t.Errorf("%d differences are remembered, want none", a.count)
	}
}
