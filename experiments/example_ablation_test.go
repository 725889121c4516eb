package experiments_test

import "cmf/experiments"

// An ablation of one's own is a value, and its command this main function. A
// second run in the same CMF_OUT takes up what the first has left.
func ExampleMainAblation() {
	type settings = experiments.Settings
	experiments.MainAblation(experiments.Ablation{
		Of:    experiments.Toy2D,
		Sets:  []string{"moons", "checkerboard"},
		Seeds: 3,
		Base:  settings{"STEPS": "500"},
		Variants: []experiments.Variant{
			{Name: "dual"},
			{Name: "pairs", Settings: settings{"LOSS": "pairs"}},
			{Name: "both", Settings: settings{"LOSS": "dual+0.1*pairs"}},
		},
		Metrics: []experiments.Headline{{Metric: "w2"}, {Metric: "off_support"}},
	})
}
