package inference

import (
	"math"

	"cmf/solvers/random"
)

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
		Reference: func(x []float64) func(*random.Stream) []float64 {
			return func(rng *random.Stream) []float64 { return around(x, .5, .05, rng) }
		},
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
		Lower:      []float64{-1, -1},
		Upper:      []float64{1, 1},
		Plain:      true,
		Simulate: func(theta []float64, rng *random.Stream) []float64 {
			a, b := crescent(rng)
			return []float64{a - math.Abs(theta[0]+theta[1])/math.Sqrt2, b + (theta[1]-theta[0])/math.Sqrt2}
		},
		// x − p is θ turned by 45° and folded, so that p keeps its law where θ is possible.
		Reference: func(x []float64) func(*random.Stream) []float64 {
			return func(rng *random.Stream) []float64 {
				a, b := crescent(rng)
				along, across := a-x[0], x[1]-b
				if along < 0 {
					return nil
				}
				if rng.Float64() < .5 {
					along = -along
				}
				return []float64{(along - across) / math.Sqrt2, (along + across) / math.Sqrt2}
			}
		},
	}
}
