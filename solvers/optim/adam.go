// Package optim steps weights: Adam, the moving Average of weights, and the Schedule
// of the learning rate.
package optim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/graph/kernel"
)

// Adam minimises a stochastic objective by
//
//	m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,
//	θ ← θ − η·m̂/(√v̂ + ε),  m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ),
//
// elementwise, then projects the weights that must be onto θ ≥ 0. Kingma and
// Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, Algorithm 1.
type Adam struct {
	LR           float64  // learning rate η; 0 means 1e-3
	Beta1, Beta2 float64  // β₁ and β₂, in [0, 1); 0 means .9 and .999
	Eps          float64  // ε; 0 means 1e-8
	Clip         float64  // largest norm of the whole gradient; a longer one is scaled to it; 0 means no limit
	Schedule     Schedule // factor on LR at each step; nil means 1
}

// Weight is a named parameter of a model with its gradient, of equal length.
type Weight struct {
	Name        string
	Value, Grad []float32
	NonNegative bool    // project onto ≥ 0 after each step
	Rate        float64 // factor on the learning rate; 0 means 1
}

// AdamState is all of Adam that changes from step to step, and that a checkpoint must
// hold. The zero value starts anew.
type AdamState struct {
	Steps int                  // t, the steps taken
	M, V  map[string][]float32 // moments by the name of the weight
}

// AdamInfo describes one step of Adam.
type AdamInfo struct {
	LR       float64 // η after the schedule
	GradNorm float64 // norm of the whole gradient before clipping
	Clipped  bool
}

// ErrNonFiniteGradient says that a gradient is not finite; the error of Adam.Step wraps
// it.
var ErrNonFiniteGradient = errors.New("gradient is not finite")

// Step makes one step of Adam on all of weights, in place; clipping scales their Grad.
// Weights that are new to s start with zero moments.
//
// A gradient that is not finite is an error that names the weight and wraps
// ErrNonFiniteGradient. After an error neither the weights nor s have changed.
func (a Adam) Step(s *AdamState, weights []Weight) (AdamInfo, error) {
	if err := a.check(); err != nil {
		return AdamInfo{}, err
	}
	if err := s.check(weights); err != nil {
		return AdamInfo{}, err
	}
	norm, err := gradNorm(weights)
	if err != nil {
		return AdamInfo{}, err
	}
	info := AdamInfo{LR: cmp.Or(a.LR, 1e-3), GradNorm: norm, Clipped: a.Clip > 0 && norm > a.Clip}
	if a.Schedule != nil {
		info.LR *= a.Schedule(s.Steps)
	}

	s.makeRoom(weights)
	s.Steps++
	// The powers are of β as the kernel rounds it, so that both agree on 1 − β.
	beta1, beta2 := float32(cmp.Or(a.Beta1, .9)), float32(cmp.Or(a.Beta2, .999))
	step := kernel.AdamStep{
		Beta1: beta1, Beta2: beta2,
		Eps: float32(cmp.Or(a.Eps, 1e-8)),
		C1:  float32(1 - math.Pow(float64(beta1), float64(s.Steps))),
		C2:  float32(1 - math.Pow(float64(beta2), float64(s.Steps))),
	}
	for _, w := range weights {
		if info.Clipped {
			scale := float32(a.Clip / norm)
			for i := range w.Grad {
				w.Grad[i] *= scale
			}
		}
		step.LR = float32(info.LR * cmp.Or(w.Rate, 1))
		step.NonNegative = w.NonNegative
		kernel.Adam(step, w.Value, w.Grad, s.M[w.Name], s.V[w.Name])
	}
	return info, nil
}

// check reports options out of range. β₁ and β₂ must stay below 1 in float32.
func (a Adam) check() error {
	for _, o := range []struct {
		name         string
		value, below float64
	}{
		{"LR", a.LR, math.Inf(1)}, {"Beta1", a.Beta1, 1 - 1e-7}, {"Beta2", a.Beta2, 1 - 1e-7},
		{"Eps", a.Eps, math.Inf(1)}, {"Clip", a.Clip, math.Inf(1)},
	} {
		if !(o.value >= 0 && o.value < o.below) {
			return fmt.Errorf("optim: Adam.%s is %g; it must be at least 0 and less than %g", o.name, o.value, o.below)
		}
	}
	return nil
}

// check reports weights that do not fit together or with the state.
func (s *AdamState) check(weights []Weight) error {
	for i, w := range weights {
		// No map here: a step must not allocate.
		if slices.ContainsFunc(weights[:i], func(v Weight) bool { return v.Name == w.Name }) {
			return fmt.Errorf("optim: two weights are called %q; names must differ", w.Name)
		}
		if len(w.Grad) != len(w.Value) {
			return fmt.Errorf("optim: weight %q has %d values and %d gradients; they must agree", w.Name, len(w.Value), len(w.Grad))
		}
		if !(w.Rate >= 0) || math.IsInf(w.Rate, 1) {
			return fmt.Errorf("optim: the rate of weight %q is %g; it must be at least 0 and finite", w.Name, w.Rate)
		}
		m, v := s.M[w.Name], s.V[w.Name]
		if m == nil && v == nil {
			continue
		}
		if len(m) != len(w.Value) || len(v) != len(w.Value) {
			return fmt.Errorf("optim: weight %q has %d values, its moments in the state of Adam %d and %d; they must agree", w.Name, len(w.Value), len(m), len(v))
		}
	}
	return nil
}

// makeRoom gives new weights zero moments.
func (s *AdamState) makeRoom(weights []Weight) {
	if s.M == nil {
		s.M = map[string][]float32{}
	}
	if s.V == nil {
		s.V = map[string][]float32{}
	}
	for _, w := range weights {
		if s.M[w.Name] == nil {
			s.M[w.Name], s.V[w.Name] = make([]float32, len(w.Value)), make([]float32, len(w.Value))
		}
	}
}

// gradNorm returns the norm of the whole gradient, or an error that says where it is
// not finite.
func gradNorm(weights []Weight) (float64, error) {
	var squares float64
	for _, w := range weights {
		squares += kernel.Dsdot(w.Grad, w.Grad)
	}
	if !math.IsNaN(squares) && !math.IsInf(squares, 0) {
		return math.Sqrt(squares), nil
	}
	for _, w := range weights {
		for i, g := range w.Grad {
			if math.IsNaN(float64(g)) || math.IsInf(float64(g), 0) {
				return 0, fmt.Errorf("optim: weight %q, entry %d: %w: %g", w.Name, i, ErrNonFiniteGradient, g)
			}
		}
	}
	return 0, fmt.Errorf("optim: the norm of the whole gradient overflows: %w", ErrNonFiniteGradient)
}
