package inference_test

import (
	"cmf/experiments/inference"
	"cmf/experiments/run"
	"cmf/solvers/random"
)

// The posterior of a spring's constant given its noisy length, as a command.
func Example() {
	spring := inference.Simulator{Name: "spring", Parameters: []string{"k"}, Outputs: 1,
		Prior:    func(rng *random.Stream) []float64 { return []float64{1 + rng.Float64()} },
		Simulate: func(k []float64, rng *random.Stream) []float64 { return []float64{1/k[0] + .1*rng.NormFloat64()} }}
	run.Main(spring.Definition())
}
