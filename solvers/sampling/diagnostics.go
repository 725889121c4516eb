package sampling

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
)

// SplitRHat is the potential scale reduction R̂ = √(var⁺/W) of the traces
// [chain][step] of one quantity. Each trace is split into halves, so that drift within
// a chain shows too. R̂ is near 1 when the chains agree and well above (for example
// more than 1.01) when they do not; it is NaN if no trace moves. Gelman et al.,
// "Bayesian Data Analysis", 3rd edition, 2013, section 11.4.
//
// The traces must be finite and have the same length, at least 4. If the length is odd,
// the middle step is not used.
func SplitRHat(traces [][]float64) (float64, error) {
	halves, err := splitTraces(traces)
	if err != nil {
		return 0, err
	}
	within, pooled := traceVariances(halves)
	return math.Sqrt(pooled / within), nil
}

// EffectiveSampleSize is the number of independent draws that estimate the mean of a
// quantity as well as its traces [chain][step] do,
//
//	N/(1 + 2 Σ_t ρ_t),  ρ_t = 1 − (W − mean_m γ_m(t))/var⁺,
//
// with γ_m(t) the autocovariance of half-chain m at lag t. Sums of neighbouring ρ are
// added while they are positive, and are kept from increasing: the initial monotone
// sequence of Geyer, "Practical Markov chain Monte Carlo", Statistical Science 7(4),
// 1992, pages 473–483, over several chains as in the Stan reference manual, section
// "Effective sample size". The result is at most N·log₁₀N, a limit that antithetic
// chains reach, and NaN if no trace moves.
//
// The traces must be finite and have the same length, at least 4.
func EffectiveSampleSize(traces [][]float64) (float64, error) {
	halves, err := splitTraces(traces)
	if err != nil {
		return 0, err
	}
	within, pooled := traceVariances(halves)
	if pooled == 0 {
		return math.NaN(), nil
	}
	steps := len(halves[0])
	draws := float64(len(halves) * steps)

	means := make([]float64, len(halves))
	for m, trace := range halves {
		means[m] = stat.Mean(trace, nil)
	}
	correlation := func(lag int) float64 {
		var covariance float64
		for m, trace := range halves {
			for t := range steps - lag {
				covariance += (trace[t] - means[m]) * (trace[t+lag] - means[m])
			}
		}
		return 1 - (within-covariance/draws)/pooled
	}

	time := -1.0 // 1 + 2 Σ_{t≥1} ρ_t = −1 + 2 Σ of the pairs (ρ_0 + ρ_1), (ρ_2 + ρ_3), …
	last := math.Inf(1)
	for lag := 0; lag+1 < steps; lag += 2 {
		even := 1.0 // ρ_0, however far apart the chains are
		if lag > 0 {
			even = correlation(lag)
		}
		pair := even + correlation(lag+1)
		if pair <= 0 {
			break
		}
		last = min(last, pair)
		time += 2 * last
	}
	return draws / max(time, 1/math.Log10(draws)), nil
}

// splitTraces checks the traces and returns their first and last halves.
func splitTraces(traces [][]float64) ([][]float64, error) {
	if len(traces) == 0 {
		return nil, errors.New("sampling: no traces; at least one chain is needed")
	}
	steps := len(traces[0])
	if steps < 4 {
		return nil, fmt.Errorf("sampling: the traces have %d steps; at least 4 are needed", steps)
	}
	halves := make([][]float64, 0, 2*len(traces))
	for m, trace := range traces {
		if len(trace) != steps {
			return nil, fmt.Errorf("sampling: trace %d has %d steps, trace 0 has %d; they must agree", m, len(trace), steps)
		}
		for t, v := range trace {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("sampling: trace %d is %g at step %d; it must be finite", m, v, t)
			}
		}
		halves = append(halves, trace[:steps/2], trace[steps-steps/2:])
	}
	return halves, nil
}

// traceVariances returns W, the mean variance within the traces, and
// var⁺ = (1 − 1/n)W + B/n, which adds the variance B/n of their means.
func traceVariances(traces [][]float64) (within, pooled float64) {
	means := make([]float64, len(traces))
	for m, trace := range traces {
		var variance float64
		means[m], variance = stat.MeanVariance(trace, nil)
		within += variance / float64(len(traces))
	}
	return within, within*(1-1/float64(len(traces[0]))) + stat.Variance(means, nil)
}
