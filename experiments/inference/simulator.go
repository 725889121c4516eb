// Package inference learns posteriors from simulations: the law of the parameters of a
// Simulator given its output, amortised over outputs, with its draws, densities and
// calibration.
package inference

import (
	"fmt"
	"slices"
	"strings"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Simulator is a prior and a simulator. One of your own is a value too, and its Definition a
// command; see the example.
type Simulator struct {
	Name       string
	Parameters []string // names of the parameters θ
	Outputs    int      // numbers in an output x

	// Lower and Upper bound the parameters where the prior is one on a box; nil otherwise. The
	// posterior is then learned in units of that box, so that no draw lies beyond its sides.
	Lower, Upper []float64

	// Plain learns parameters with bounds in their own units instead, and draws those beyond the
	// bounds again. That is easier where posteriors are narrow and have one shape wherever they
	// lie. Densities are those of all draws: too low by the log of the share of those within.
	Plain bool

	// Prior draws θ, and Simulate draws x given θ. The prior may be nil for a uniform one on
	// the box.
	Prior    func(rng *random.Stream) []float64
	Simulate func(theta []float64, rng *random.Stream) []float64

	// Reference prepares the exact posterior given x, and what it returns draws θ, or nil if it
	// was not lucky and is to be called again. It is nil if the posterior is not known.
	Reference func(x []float64) func(rng *random.Stream) []float64
}

// Simulators are those with a known posterior, from the suite of Lueckmann, Boelts,
// Greenberg, Gonçalves, Macke, "Benchmarking Simulation-Based Inference", AISTATS 2021.
func Simulators() []Simulator { return []Simulator{GaussianLinear(), TwoMoons(), SLCP()} }

// Known returns the simulator of that name.
func Known(name string) (Simulator, error) {
	var names []string
	for _, s := range Simulators() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Simulator{}, fmt.Errorf("simulator %q; known are %s", name, strings.Join(names, ", "))
}

func numbered(name string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s%d", name, i+1))
	}
	return names
}

// Pairs simulates n pairs: parameters θ from the prior, (n, d), with outputs x, (n, k). A
// number that is not finite, or a wrong count of them, is an error.
func (s Simulator) Pairs(n int, rng *random.Stream) (theta, x blas32.General, err error) {
	theta, x = batch.New(n, len(s.Parameters)), batch.New(n, s.Outputs)
	if err := s.checkBox(); err != nil {
		return theta, x, err
	}
	for i := range n {
		t := s.prior(rng)
		if err := s.fill(batch.Row(theta, i), t, "prior"); err != nil {
			return theta, x, err
		}
		if err := s.fill(batch.Row(x, i), s.Simulate(slices.Clone(t), rng), "simulator"); err != nil {
			return theta, x, err
		}
	}
	return theta, x, nil
}

// checkBox says what is wrong with the bounds of the parameters.
func (s Simulator) checkBox() error {
	d := len(s.Parameters)
	if s.Prior == nil && s.Lower == nil {
		return fmt.Errorf("%s has no prior; it needs one, or bounds of its parameters", s.Name)
	}
	if s.Lower == nil && s.Upper == nil {
		return nil
	}
	if len(s.Lower) != d || len(s.Upper) != d {
		return fmt.Errorf("%s has %d lower and %d upper bounds; it must have one for each of its %d parameters", s.Name, len(s.Lower), len(s.Upper), d)
	}
	for k, lower := range s.Lower {
		if !(lower < s.Upper[k]) || !batch.Finite(s.Upper[k]-lower) {
			return fmt.Errorf("parameter %s of %s lies between %g and %g; these must be finite and ascend", s.Parameters[k], s.Name, lower, s.Upper[k])
		}
	}
	return nil
}

// prior draws θ.
func (s Simulator) prior(rng *random.Stream) []float64 {
	if s.Prior != nil {
		return s.Prior(rng)
	}
	theta := make([]float64, len(s.Lower))
	for k, lower := range s.Lower {
		theta[k] = lower + (s.Upper[k]-lower)*rng.Float64()
	}
	return theta
}

// inside reports whether θ lies in the box, if there is one.
func (s Simulator) inside(theta []float64) bool {
	for k, lower := range s.Lower {
		if theta[k] < lower || theta[k] > s.Upper[k] {
			return false
		}
	}
	return true
}

func (s Simulator) fill(row []float32, v []float64, by string) error {
	if len(v) != len(row) || !batch.AllFinite(v) {
		return fmt.Errorf("the %s of %s gave %v; it must give %d finite numbers", by, s.Name, v, len(row))
	}
	batch.Narrow(row, v)
	return nil
}

// Exact draws n points from the exact posterior given x, (n, d). It is an error if the posterior
// gave none in a million tries: x is then no output of the simulator, or as good as none.
func (s Simulator) Exact(x []float32, n int, rng *random.Stream) (blas32.General, error) {
	const tries = 1_000_000
	at, out := make([]float64, len(x)), batch.New(n, len(s.Parameters))
	batch.Widen(at, x)
	draw := s.Reference(at)
	for i := range n {
		var theta []float64
		for range tries {
			if theta = draw(rng); theta != nil && s.inside(theta) {
				break
			}
			theta = nil
		}
		if theta == nil {
			return out, fmt.Errorf("no parameters of %s were found that could have the output %.4g", s.Name, x)
		}
		if err := s.fill(batch.Row(out, i), theta, "posterior"); err != nil {
			return out, err
		}
	}
	return out, nil
}
