package hinges

import "math"

// Knots spreads n knots evenly over the range of the values of a coordinate, in rising order,
// each as wide as its part of the range, which is at least least. They have one slope s and
// biases b_k; curvature is the mean over the values x of Σ_k s²σ′(s·x + b_k).
func Knots(column []float32, n int, least float64) (slope float64, biases []float64, curvature float64) {
	lo, hi := float64(column[len(column)/200]), float64(column[len(column)-1-len(column)/200])
	width := max(hi-lo, least)
	slope = 4 * float64(n) / width
	for k := range n {
		at := (lo+hi)/2 + width*((float64(k)+.5)/float64(n)-.5)
		biases = append(biases, -slope*at)
		for _, x := range column {
			e := math.Exp(-math.Abs(slope * (float64(x) - at)))
			curvature += slope * slope * e / ((1 + e) * (1 + e)) / float64(len(column))
		}
	}
	return slope, biases, curvature
}
