package metric

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// The rows (0,0), (2,0), (4,6) have the mean (2,2) and squared deviations 8, 4
// and 20, 32 in all.
func TestUVPByHand(t *testing.T) {
	truth := blas32.General{Rows: 3, Cols: 2, Stride: 2, Data: []float32{0, 0, 2, 0, 4, 6}}
	for _, c := range []struct {
		learned []float32
		want    float64
	}{
		{[]float32{0, 0, 2, 0, 4, 6}, 0},
		{[]float32{1, 0, 2, 0, 4, 4}, 100 * 5. / 32},
		{[]float32{2, 2, 2, 2, 2, 2}, 100},
	} {
		got, err := UVP(blas32.General{Rows: 3, Cols: 2, Stride: 2, Data: c.learned}, truth)
		if err != nil || math.Abs(got-c.want) > 1e-12 {
			t.Errorf("UVP of %v: %v, %v; want %v", c.learned, got, err, c.want)
		}
	}
	if _, err := UVP(batch.New(2, 2), truth); err == nil {
		t.Error("2 learned values for 3 true ones give no error")
	}
	if _, err := UVP(batch.New(3, 1), truth); err == nil {
		t.Error("learned values of 1 column for 2 give no error")
	}
}

// A map stretched about its mean, T̂ = (1+ε)T, has the UVP 100·ε².
func TestUVPOfGaussianMaps(t *testing.T) {
	law, err := exact.NewGaussian([]float64{1, -2}, mat.NewSymDense(2, []float64{2, 1.8, 1.8, 2}))
	if err != nil {
		t.Fatal(err)
	}
	w := law.ConjugateMoment()
	x := law.Sample(40000, random.New(1, "UVP", 0))
	const eps = .05
	// Both about m, so that the maps' means agree.
	w.Center = law.Mean
	stretched := &exact.Quadratic{Center: law.Mean, Values: []float64{(1 + eps) * w.Values[0], (1 + eps) * w.Values[1]}, Vectors: w.Vectors}
	got, err := PotentialUVP(stretched, w, x)
	if want := 100 * eps * eps; err != nil || math.Abs(got-want) > 1e-4 {
		t.Errorf("UVP %v, %v; want %v", got, err, want)
	}
}
