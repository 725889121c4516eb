package picture

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"cmf/data/units"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// The uniform law of grey levels costs 8 bits a pixel in any units. A density that is
// higher by a factor e costs 1/log 2 bits less, shared by the pixels.
func TestBitsPerDim(t *testing.T) {
	const n, d = 5, 12
	grey := batch.New(n, d)
	for i := range grey.Data {
		grey.Data[i] = float32(i) / (n*d - 1)
	}
	for _, u := range []units.Pixels{{Alpha: .1}, {Alpha: .01, Center: slices.Repeat([]float64{.7}, d)}} {
		x, err := (&DigitData{Units: u}).Dequantised(grey, random.New(1, "levels", 0))
		if err != nil {
			t.Fatal(err)
		}
		jacobian, err := u.LogVolume(x, blas32.General{})
		if err != nil {
			t.Fatal(err)
		}
		for _, gain := range []float64{0, 3} {
			logPDF := make([]float64, n)
			for i, j := range jacobian {
				logPDF[i] = gain - j
			}
			logPDF[2] = math.NaN()
			bits, se, err := bitsPerDim(u, x, logPDF)
			if want := 8 - gain/(d*math.Ln2); err != nil || math.Abs(bits-want) > 1e-9 || se > 1e-9 {
				t.Errorf("%s: %g ± %g bits, want %g; error %v", fmt.Sprintf("%+v, gain %g", u, gain), bits, se, want, err)
			}
		}
	}
}
