package target

import (
	"math"
	"strings"
	"testing"

	"cmf/data"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/mat"
)

// In ten dimensions hardly any point of the box is in a mode. The start is tempered so
// that it has many distinct points with low energy.
func TestEnergyStart(t *testing.T) {
	e := data.GaussianEnergy(exact.StandardGaussian(10))
	target := Boxed{Energy: e, Box: e.Box}
	const n = 512
	x, err := target.start(n, random.New(1, "start", 0))
	if err != nil {
		t.Fatal(err)
	}
	distinct := map[float32]bool{}
	var mean float64
	for i := range n {
		distinct[batch.Row(x, i)[0]] = true
		for _, v := range batch.Row(x, i) {
			mean += float64(v) * float64(v) / 2 / n
		}
	}
	// A uniform point of the box has the mean energy 60.
	if len(distinct) < n/16 || !(mean < 40) {
		t.Errorf("%d distinct points of %d, of mean energy %.1f", len(distinct), n, mean)
	}
	nowhere, err := data.EnergyFunc(2, func(mat.Vector) float64 { return math.NaN() }, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Boxed{Energy: nowhere, Box: solvers.Box{Lower: []float64{0, 0}, Upper: []float64{1, 1}}}.start(n, random.New(1, "start", 0))
	if err == nil || !strings.Contains(err.Error(), "the energy in its box") {
		t.Errorf("an energy that is nowhere a number: %v", err)
	}
}
