package experiments

import (
	"cmf/data"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// ToyAblation exchanges the parts of CMFGen one at a time, on sets of points in
// the plane.
var ToyAblation = Ablation{
	Of: Toy2D,
	Variants: []Variant{
		{"dual", nil},
		{"pairs", Settings{"LOSS": "pairs"}},
		{"sinkhorn", Settings{"LOSS": "sinkhorn"}},
		{"dual + likelihood", Settings{"LOSS": "dual+likelihood"}},
		{"dual + enot", Settings{"LOSS": "dual+0.3*enot"}},
		{"dual + amortised", Settings{"LOSS": "dual+amortised"}},
		{"no projection", Settings{"LOSS": "dual+penalty"}},
		{"source gaussian", Settings{"SOURCE": "gaussian"}},
		{"init identity", Settings{"INIT": "identity"}},
		{"sampler ula", Settings{"SAMPLER": "ula"}},
		{"1 Langevin step", Settings{"LANGEVIN": "1"}},
	},
	Sets:     []string{"moons", "circles", "8gaussians", "pinwheel", "checkerboard"},
	Base:     Settings{"STEPS": "1500", "BATCH": "512", "HIDDEN": "64,64", "REPEATS": "1"},
	Baseline: "Gaussian fit",
	Points:   toyPoints,
	Metrics: []Headline{
		{Metric: "w2", Label: "W2, exact, to held-out points"},
		{Metric: "energy_distance", Label: "Energy distance"},
		{Metric: "sliced_w2", Label: "Sliced W2"},
		{Metric: "sinkhorn", Label: "Sinkhorn divergence"},
		{Metric: "nn_accuracy", Label: "1-NN two-sample accuracy", Goal: Nearer, Target: .5},
		{Metric: "off_support", Label: "Share of points off the support"},
		{Metric: "convexity_violation", Label: "Violation of convexity"},
		{Metric: "train_conjugate_iterations", Label: "Iterations of a conjugate solve in training"},
		{Metric: "train_seconds", Label: "Training, in seconds"},
	},
	Presets: map[string]func(*Ablation){
		"quick": func(a *Ablation) {
			a.Variants, a.Sets, a.Seeds = a.Variants[:2], a.Sets[:2], 1
			a.Base = Settings{"STEPS": "1000", "BATCH": "128", "PARTICLES": "1024", "HIDDEN": "32,32", "LR": "0.01", "SAMPLES": "512"}
		},
		"paper": func(a *Ablation) { a.Base = nil },
	},
}

// toyPoints are points of a named set, for its picture; none for a file's.
func toyPoints(set string) blas32.General {
	s, err := data.Toy(set)
	if err != nil {
		return blas32.General{}
	}
	return s.Sample(random.New(1, "picture", 0).Rand, pictureDots)
}
