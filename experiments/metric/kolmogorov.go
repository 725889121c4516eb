package metric

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Kolmogorov is the Kolmogorov–Smirnov distance of two samples, the largest difference of
// their distribution functions, in [0, 1]. Values that are not finite are left out; it is NaN
// if no other is left.
func Kolmogorov(x, y []float64) float64 {
	samples := [2][]float64{}
	for k, s := range [][]float64{x, y} {
		samples[k] = slices.DeleteFunc(slices.Clone(s), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
		slices.Sort(samples[k])
	}
	if len(samples[0]) == 0 || len(samples[1]) == 0 {
		return math.NaN()
	}
	return stat.KolmogorovSmirnov(samples[0], nil, samples[1], nil)
}
