package experiments_test

import (
	"cmf/experiments"
	"cmf/experiments/report"
	"cmf/experiments/sweep"
)

// Your own ablation is a value, and this main function is its command. A second run in the
// same CMF_OUT goes on with what the first has left.
func ExampleMainAblation() {
	type settings = sweep.Settings
	sweep.MainAblation(sweep.Ablation{
		Of:    experiments.Toy2D,
		Sets:  []string{"moons", "checkerboard"},
		Seeds: 3,
		Base:  settings{"STEPS": "500"},
		Variants: []sweep.Variant{
			{Name: "dual"},
			{Name: "pairs", Settings: settings{"LOSS": "pairs"}},
			{Name: "both", Settings: settings{"LOSS": "dual+0.1*pairs"}},
		},
		Metrics: []report.Headline{{Metric: "w2"}, {Metric: "off_support"}},
	})
}
