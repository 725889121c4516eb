package density

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/floats"
)

// Importance is a weighted sample: points x_i ~ q represent p ∝ e^{−E} with weights
// ω_i ∝ e^{−E(x_i)}/q(x_i).
type Importance struct {
	Weights []float64          // ω_i, of sum 1
	Status  []potential.Status // NotFinite rows have weight 0, because E or log q is not finite there

	// Size is the effective sample size as a share of n, (Σω)²/(nΣω²) in (0, 1].
	Size float64

	// LogZ estimates log ∫e^{−E} by log (1/n)Σ e^{−E(x_i)}/q(x_i). Error is its standard
	// error, √((1/Size − 1)/n). If log q contains an estimated log Z, the variance of
	// that estimate must be added.
	LogZ, Error float64

	// Tail is the Pareto shape k̂ of the largest weights: the estimates are reliable
	// below about .7. It is NaN if n is too small to tell. Vehtari, Simpson, Gelman,
	// Yao, Gabry, "Pareto Smoothed Importance Sampling", JMLR 25(72), 2024.
	Tail float64
}

// NewImportance weighs points by their energies E(x_i) and log densities log q(x_i),
// both in nats. Rows where either is not finite have weight 0, as is right for E = +∞;
// it is an error if no row is finite.
func NewImportance(energy []float32, logDensity []float64) (*Importance, error) {
	n := len(energy)
	if n != len(logDensity) {
		return nil, fmt.Errorf("density: %d energies and %d log densities; they must agree", n, len(logDensity))
	}
	m := &Importance{Weights: make([]float64, n), Status: make([]potential.Status, n)}
	for i, e := range energy {
		m.Weights[i] = -float64(e) - logDensity[i]
		if !batch.Finite(m.Weights[i]) {
			m.Weights[i] = math.Inf(-1)
			m.Status[i] = potential.NotFinite
		}
	}
	if m.Failed() == n {
		return nil, fmt.Errorf("density: energy and log density are finite at none of %d points; at least one is needed", n)
	}
	m.Tail = paretoShape(m.Weights)
	m.LogZ, m.Size = logMeanExp(m.Weights)
	m.Error = math.Sqrt((1/m.Size - 1) / float64(n))
	for i, v := range m.Weights {
		m.Weights[i] = math.Exp(v-m.LogZ) / float64(n)
	}
	return m, nil
}

// Failed counts the rows that have weight 0 because E or log q is not finite there.
func (m *Importance) Failed() int { return potential.Failed(m.Status) }

// Resample returns the row indices of n draws of the weighted sample, in increasing
// order. The drawn points have nearly equal weights. It is systematic: row i is drawn
// ⌊nω_i⌋ or ⌈nω_i⌉ times.
func (m *Importance) Resample(n int, rng *random.Stream) []int {
	return systematic(m.Weights, n, rng.Float64())
}

// systematic returns, for each level (k + offset)/n, k = 0 … n−1, the row whose share of
// the cumulative weights contains it; offset is in [0, 1).
func systematic(weights []float64, n int, offset float64) []int {
	index := make([]int, 0, n)
	total := floats.Sum(weights)
	var below float64
	last := 0
	for i, v := range weights {
		if v > 0 {
			last = i
		}
		below += v / total
		for len(index) < n && float64(len(index))+offset < below*float64(n) {
			index = append(index, i)
		}
	}
	for len(index) < n { // rounding has left the sum below 1
		index = append(index, last)
	}
	return index
}

// logMeanExp is log (1/n)Σe^{l_i}, and the effective sample size of the weights
// e^{l_i} as a share of n.
func logMeanExp(l []float64) (logMean, size float64) {
	n := math.Log(float64(len(l)))
	twice := make([]float64, len(l))
	for i, v := range l {
		twice[i] = 2 * v
	}
	sum := floats.LogSumExp(l)
	return sum - n, math.Exp(2*sum - floats.LogSumExp(twice) - n)
}

// paretoShape fits a generalised Pareto law to the weights e^{l_i} above a high
// quantile and returns its shape k̂. Zhang and Stephens, "A New and Efficient
// Estimation Method for the Generalized Pareto Distribution", Technometrics
// 51(3), 2009, with the prior of Vehtari et al., 2024, appendix C.
func paretoShape(l []float64) float64 {
	m := int(min(float64(len(l))/5, 3*math.Sqrt(float64(len(l)))))
	if m < 5 {
		return math.NaN()
	}
	sorted := slices.SortedFunc(slices.Values(l), func(a, b float64) int { return cmp.Compare(b, a) })
	top := make([]float64, m) // excesses over the threshold, ascending
	for i := range top {
		top[m-1-i] = math.Exp(sorted[i]-sorted[0]) - math.Exp(sorted[m]-sorted[0])
	}
	if !(top[0] > 0) {
		return math.NaN() // ties: there is hardly a tail
	}
	// The shape given θ is the mean of log(1 − θx); average θ over its profile likelihood.
	shape := func(theta float64) (k float64) {
		for _, x := range top {
			k += math.Log1p(-theta*x) / float64(m)
		}
		return k
	}
	grid := 30 + int(math.Sqrt(float64(m)))
	quartile := top[int(float64(m)/4+.5)-1]
	theta, likelihood := make([]float64, grid), make([]float64, grid)
	for j := range grid {
		theta[j] = 1/top[m-1] + (1-math.Sqrt(float64(grid)/(float64(j)+.5)))/(3*quartile)
		k := shape(theta[j])
		likelihood[j] = float64(m) * (math.Log(-theta[j]/k) - k - 1)
	}
	total := floats.LogSumExp(likelihood)
	var mean float64
	for j, v := range likelihood {
		mean += theta[j] * math.Exp(v-total)
	}
	return (float64(m)*shape(mean) + 5) / float64(m+10)
}
