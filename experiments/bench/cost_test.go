package main

import (
	"math"
	"testing"
)

func TestFitLine(t *testing.T) {
	exactly := func(l line) map[int]float64 {
		times := map[int]float64{}
		for _, v := range []int{1, 10, 100, 1000, 100000} {
			times[v] = l.at(float64(v))
		}
		return times
	}
	for _, want := range []line{{2, 3}, {1e-5, 1e-9}, {0, 2}, {5, 0}} {
		got := fitLine(exactly(want))
		if math.Abs(got.base-want.base) > 1e-6*(want.base+want.slope) || math.Abs(got.slope-want.slope) > 1e-6*(want.base+want.slope) {
			t.Errorf("a line %g is fitted by %g", want, got)
		}
	}
	// Neither part is negative, and the one that is left has the smaller misfit.
	for _, times := range []map[int]float64{{1: 3, 2: 2, 4: 1}, {10: 1, 20: 5, 40: 20}} {
		got := fitLine(times)
		if got.base < 0 || got.slope < 0 {
			t.Errorf("%v is fitted by %g", times, got)
		}
		for _, other := range []line{{got.base * 1.01, got.slope * 1.01}, {got.base * .99, got.slope * .99}, {got.slope, got.base}} {
			if misfit(times, other) < misfit(times, got)-1e-12 {
				t.Errorf("%v: %g fits better than %g", times, other, got)
			}
		}
	}
}

// Two ranks that sum for as long as they compute have half of the efficiency.
func TestEfficiency(t *testing.T) {
	c := cost{rows: 100, step: line{1, .01}, bytes: 1e6, over: network{latency: .1, bytes: 1e6 / .8}}
	if s := c.over.sum(2, c.bytes); math.Abs(s-2) > 1e-12 { // 4·(1·.1 + ½·.8)
		t.Errorf("a sum takes %g", s)
	}
	if s := c.over.sum(5, 0); math.Abs(s-4*3*.1) > 1e-12 {
		t.Errorf("an empty sum over five ranks takes %g", s)
	}
	if w := c.weak(2); math.Abs(w-.5) > 1e-12 { // 2 / (2 + 2)
		t.Errorf("weak efficiency %g", w)
	}
	if s := c.strong(2); math.Abs(s-2/(2*(1.5+2))) > 1e-12 {
		t.Errorf("strong efficiency %g", s)
	}
	if c.weak(1) != 1 || c.strong(1) != 1 {
		t.Errorf("one rank has the efficiencies %g and %g", c.weak(1), c.strong(1))
	}
}
