package picture

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"
)

func TestMatchedNoise(t *testing.T) {
	x, y := batch.New(400, 12), batch.New(300, 12)
	random.New(1, "data", 0).Normals(x.Data)
	random.New(1, "noise", 0).Normals(y.Data)
	for i := range x.Rows {
		for j := range batch.Row(x, i) {
			batch.Row(x, i)[j] = float32(j) + 3*batch.Row(x, i)[j]/float32(j+1)
		}
	}
	z := matched(y, x)
	if got, want := batch.TotalVariance(z, batch.Means(z)), batch.TotalVariance(x, batch.Means(x)); math.Abs(got-want) > 1e-3*want {
		t.Errorf("total variance %g, want %g", got, want)
	}
	for j, want := range batch.Means(x) {
		if got := batch.Means(z)[j]; math.Abs(got-want) > 1e-4 {
			t.Errorf("mean of column %d is %g, want %g", j, got, want)
		}
	}
}
