package experiments

import (
	"cmf/data"
	"cmf/experiments/report"
	"cmf/experiments/sweep"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// ToyAblation exchanges the parts of CMFGen one at a time, on sets of points in the plane.
var ToyAblation = sweep.Ablation{
	Of: Toy2D,
	Variants: []sweep.Variant{
		{Name: "dual", Settings: nil},
		{Name: "pairs", Settings: sweep.Settings{"LOSS": "pairs"}},
		{Name: "sinkhorn", Settings: sweep.Settings{"LOSS": "sinkhorn"}},
		{Name: "dual + likelihood", Settings: sweep.Settings{"LOSS": "dual+likelihood"}},
		{Name: "dual + enot", Settings: sweep.Settings{"LOSS": "dual+0.3*enot"}},
		{Name: "dual + amortised", Settings: sweep.Settings{"LOSS": "dual+amortised"}},
		{Name: "no projection", Settings: sweep.Settings{"LOSS": "dual+penalty"}},
		{Name: "source gaussian", Settings: sweep.Settings{"SOURCE": "gaussian"}},
		{Name: "init identity", Settings: sweep.Settings{"INIT": "identity"}},
		{Name: "sampler ula", Settings: sweep.Settings{"SAMPLER": "ula"}},
		{Name: "unit maximum", Settings: sweep.Settings{"UNIT": "maximum"}},
		{Name: "potential quadratics", Settings: sweep.Settings{"POTENTIAL": "quadratics"}},
		{Name: "1 Langevin step", Settings: sweep.Settings{"LANGEVIN": "1"}},
	},
	Sets:     []string{"moons", "circles", "8gaussians", "pinwheel", "checkerboard"},
	Base:     sweep.Settings{"STEPS": "1500", "BATCH": "512", "HIDDEN": "64,64", "REPEATS": "1"},
	Baseline: "Gaussian fit",
	Points:   toyPoints,
	Metrics: []report.Headline{
		{Metric: "w2", Label: "W2, exact, to held-out points"},
		{Metric: "energy_distance", Label: "Energy distance"},
		{Metric: "sliced_w2", Label: "Sliced W2"},
		{Metric: "sinkhorn", Label: "Sinkhorn divergence"},
		{Metric: "nn_accuracy", Label: "1-NN two-sample accuracy", Goal: report.Nearer, Target: .5},
		{Metric: "off_support", Label: "Share of points off the support"},
		{Metric: "convexity_violation", Label: "Violation of convexity"},
		{Metric: "train_conjugate_iterations", Label: "Iterations of a conjugate solve in training"},
		{Metric: "train_seconds", Label: "Training, in seconds"},
	},
	Presets: map[string]func(*sweep.Ablation){
		"quick": func(a *sweep.Ablation) {
			a.Variants, a.Sets, a.Seeds = a.Variants[:2], a.Sets[:2], 1
			a.Base = sweep.Settings{"STEPS": "1000", "BATCH": "128", "PARTICLES": "1024", "HIDDEN": "32,32", "LR": "0.01", "SAMPLES": "512"}
		},
		"paper": func(a *sweep.Ablation) { a.Base = nil },
	},
}

// toyPoints are points of a named set for its picture, or none if the set is a file.
func toyPoints(set string) blas32.General {
	s, err := data.Toy(set)
	if err != nil {
		return blas32.General{}
	}
	return s.Sample(random.New(1, "picture", 0), sweep.PictureDots)
}
