package metric

import (
	"math"
	"testing"
)

func TestKolmogorov(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		x, y []float64
		want float64
	}{
		{[]float64{1, 2, 3}, []float64{3, 1, 2, nan}, 0},
		{[]float64{1, 2}, []float64{5, 6, math.Inf(1)}, 1},
		{[]float64{1, 2, 3, 4}, []float64{3, 4, 5, 6}, .5},
	} {
		if got := Kolmogorov(c.x, c.y); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v and %v: %g, want %g", c.x, c.y, got, c.want)
		}
	}
	if got := Kolmogorov(nil, []float64{1}); !math.IsNaN(got) {
		t.Errorf("without values: %g", got)
	}
}
