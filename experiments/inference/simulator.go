// Package inference learns posteriors from simulations: the law of the parameters of a
// Simulator given its output, amortised over outputs, with its draws, densities and
// calibration.
package inference

import (
	"fmt"
	"math"
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

	// Prior draws θ, and Simulate draws x given θ.
	Prior    func(rng *random.Stream) []float64
	Simulate func(theta []float64, rng *random.Stream) []float64

	// Reference draws from the exact posterior given x; nil if that is not known.
	Reference func(x []float64, rng *random.Stream) []float64
}

// Simulators are those with a known posterior, from the suite of Lueckmann, Boelts,
// Greenberg, Gonçalves, Macke, "Benchmarking Simulation-Based Inference", AISTATS 2021.
func Simulators() []Simulator { return []Simulator{GaussianLinear(), TwoMoons()} }

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

// GaussianLinear has θ ~ N(0, .1·I) on ℝ¹⁰ and x ~ N(θ, .1·I). Its posterior is N(x/2, .05·I).
func GaussianLinear() Simulator {
	const d = 10
	around := func(mean []float64, scale, variance float64, rng *random.Stream) []float64 {
		out := make([]float64, d)
		for i, m := range mean {
			out[i] = scale*m + math.Sqrt(variance)*rng.NormFloat64()
		}
		return out
	}
	return Simulator{
		Name:       "gaussian-linear",
		Parameters: numbered("θ", d),
		Outputs:    d,
		Prior:      func(rng *random.Stream) []float64 { return around(make([]float64, d), 0, .1, rng) },
		Simulate: func(theta []float64, rng *random.Stream) []float64 {
			return around(theta, 1, .1, rng)
		},
		Reference: func(x []float64, rng *random.Stream) []float64 { return around(x, .5, .05, rng) },
	}
}

// TwoMoons has θ uniform on [−1, 1]² and x = p + (−|θ₁+θ₂|, θ₂−θ₁)/√2, with p on a crescent:
// p = (r·cos a + ¼, r·sin a), a uniform on ±π/2, r ~ N(.1, .01²). Its posterior is a pair of
// crescents: given p, θ is one of two points.
func TwoMoons() Simulator {
	crescent := func(rng *random.Stream) (a, b float64) {
		sin, cos := math.Sincos(math.Pi * (rng.Float64() - .5))
		r := .1 + .01*rng.NormFloat64()
		return r*cos + .25, r * sin
	}
	return Simulator{
		Name:       "two-moons",
		Parameters: numbered("θ", 2),
		Outputs:    2,
		Prior:      func(rng *random.Stream) []float64 { return []float64{2*rng.Float64() - 1, 2*rng.Float64() - 1} },
		Simulate: func(theta []float64, rng *random.Stream) []float64 {
			a, b := crescent(rng)
			return []float64{a - math.Abs(theta[0]+theta[1])/math.Sqrt2, b + (theta[1]-theta[0])/math.Sqrt2}
		},
		// x − p is θ turned by 45° and folded, so that p keeps its law where θ is possible.
		Reference: func(x []float64, rng *random.Stream) []float64 {
			for {
				a, b := crescent(rng)
				along, across := a-x[0], x[1]-b
				if along < 0 {
					continue
				}
				if rng.Float64() < .5 {
					along = -along
				}
				theta := []float64{(along - across) / math.Sqrt2, (along + across) / math.Sqrt2}
				if math.Abs(theta[0]) <= 1 && math.Abs(theta[1]) <= 1 {
					return theta
				}
			}
		},
	}
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
	for i := range n {
		t := s.Prior(rng)
		if err := s.fill(batch.Row(theta, i), t, "prior"); err != nil {
			return theta, x, err
		}
		if err := s.fill(batch.Row(x, i), s.Simulate(slices.Clone(t), rng), "simulator"); err != nil {
			return theta, x, err
		}
	}
	return theta, x, nil
}

func (s Simulator) fill(row []float32, v []float64, by string) error {
	if len(v) != len(row) || !batch.AllFinite(v) {
		return fmt.Errorf("the %s of %s gave %v; it must give %d finite numbers", by, s.Name, v, len(row))
	}
	batch.Narrow(row, v)
	return nil
}

// Exact draws n points from the exact posterior given x, (n, d).
func (s Simulator) Exact(x []float32, n int, rng *random.Stream) (blas32.General, error) {
	at, out := make([]float64, len(x)), batch.New(n, len(s.Parameters))
	batch.Widen(at, x)
	for i := range n {
		if err := s.fill(batch.Row(out, i), s.Reference(at, rng), "posterior"); err != nil {
			return out, err
		}
	}
	return out, nil
}
