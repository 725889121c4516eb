package optim

import (
	"cmp"
	"fmt"
)

// Average is the exponential moving average of weights, θ̄ ← βθ̄ + (1−β)θ, which starts
// at θ̄ = θ with the first update. Averaging the iterates goes back to Polyak and
// Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control
// Optim. 30(4), 1992.
type Average struct {
	Decay float64              // β, in [0, 1); 0 means .999
	Mean  map[string][]float32 // θ̄ by the name of the weight; what a checkpoint must hold
}

// Update takes the current values of weights into the average.
func (a *Average) Update(weights []Weight) error {
	if !(a.Decay >= 0 && a.Decay < 1) {
		return fmt.Errorf("optim: Average.Decay is %g; it must be at least 0 and less than 1", a.Decay)
	}
	for _, w := range weights {
		if mean, ok := a.Mean[w.Name]; ok && len(mean) != len(w.Value) {
			return fmt.Errorf("optim: weight %q has %d values, its average %d; they must agree", w.Name, len(w.Value), len(mean))
		}
	}
	if a.Mean == nil {
		a.Mean = map[string][]float32{}
	}
	rest := float32(1 - cmp.Or(a.Decay, .999))
	for _, w := range weights {
		mean, ok := a.Mean[w.Name]
		if !ok {
			a.Mean[w.Name] = append([]float32{}, w.Value...)
			continue
		}
		for i, v := range w.Value {
			mean[i] += rest * (v - mean[i])
		}
	}
	return nil
}

// Swap exchanges the values of weights with their average: call it once to evaluate
// the average, and again to go on training. If a weight has no average, Swap returns an
// error and exchanges nothing.
func (a *Average) Swap(weights []Weight) error {
	for _, w := range weights {
		if mean, ok := a.Mean[w.Name]; !ok || len(mean) != len(w.Value) {
			return fmt.Errorf("optim: weight %q has %d values, its average %d; they must agree; call Update first", w.Name, len(w.Value), len(mean))
		}
	}
	for _, w := range weights {
		mean := a.Mean[w.Name]
		for i, v := range w.Value {
			w.Value[i], mean[i] = mean[i], v
		}
	}
	return nil
}
