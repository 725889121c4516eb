package figure

import (
	"math"
	"strconv"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// Axes follow the units of each column, even if its values are small or far
// from 0.
func TestBoxOfColumnsInAnyUnits(t *testing.T) {
	rng := random.New(1, "points", 0)
	points := batch.New(1000, 2)
	for i := range points.Rows {
		copy(batch.Row(points, i), []float32{float32(1e-6 * rng.NormFloat64()), float32(300 + .05*rng.NormFloat64())})
	}
	b := BoxOf([]Scene{{Clouds: []Cloud{{Points: points}}}})
	if width, height := b.MaxX-b.MinX, b.MaxY-b.MinY; width > 1e-5 || width < 5e-6 || height > .5 || height < .25 {
		t.Errorf("the box of columns with deviations 1e-6 and 0.05 is %g by %g", width, height)
	}
	for _, tick := range (unitTicks{300, .05}).Ticks(-3, 3) {
		value, err := strconv.ParseFloat(tick.Label, 64)
		if z := (value - 300) / .05; err != nil || math.Abs(z-tick.Value) > 1e-6 || math.Abs(z) > 3 {
			t.Errorf("the tick %q stands at %g", tick.Label, tick.Value)
		}
	}
}
