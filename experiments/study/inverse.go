package study

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"cmf/experiments/figure"
	"cmf/experiments/report"
	"cmf/experiments/sweep"
)

// InverseBudgets recovers random potentials at rising budgets and dimensions.
var InverseBudgets = sweep.Ablation{
	Name: "inverse", Of: Inverse,
	Variants: budgets(250, 1000, 4000),
	Sets:     []string{"2", "8", "32"}, Over: "DIM",
	Baseline: "Gaussian fit",
	Metrics:  uvpAndTime,
	Draw: func(folder string, cells []sweep.Cell) ([]report.Figure, error) {
		axes := figure.Axes{Title: "Random potentials recovered", X: "iterations", Y: "L2-UVP, percent", LogX: true, LogY: true}
		return drawBudgets(folder, "inverse.png", axes, cells, "The error of the learned map, mean over seeds, against the budget.")
	},
	Presets: map[string]func(*sweep.Ablation){
		"quick": func(a *sweep.Ablation) { a.Variants, a.Sets, a.Seeds = a.Variants[:2], a.Sets[:1], 1 },
	},
}

// ProductBudgets learns rotated products of mixtures from their energies at rising
// budgets and dimensions.
var ProductBudgets = sweep.Ablation{
	Name: "product", Of: Product,
	Variants: budgets(250, 1000, 4000),
	Sets:     []string{"2", "4", "8"}, Over: "DIM",
	Baseline: "Gaussian with the same moments",
	Metrics:  uvpAndTime,
	Draw: func(folder string, cells []sweep.Cell) ([]report.Figure, error) {
		axes := figure.Axes{Title: "Rotated products of mixtures, from their energies", X: "iterations", Y: "L2-UVP, percent", LogX: true, LogY: true}
		return drawBudgets(folder, "product.png", axes, cells, "The error of the map learned from the energy, mean over seeds, against the budget.")
	},
	Presets: map[string]func(*sweep.Ablation){
		"quick": func(a *sweep.Ablation) { a.Variants, a.Sets, a.Seeds = a.Variants[:2], a.Sets[:1], 1 },
	},
}

var uvpAndTime = []report.Headline{
	{Metric: "uvp_percent", Label: "L2-UVP of the learned map, percent"},
	{Metric: "train_seconds", Label: "Training, in seconds"},
}

// budgets has a variant for each number of steps.
func budgets(steps ...int) (variants []sweep.Variant) {
	for _, n := range steps {
		variants = append(variants, sweep.Variant{Name: fmt.Sprintf("%d steps", n), Settings: sweep.Settings{"STEPS": strconv.Itoa(n)}})
	}
	return variants
}

// drawBudgets draws the mean UVP over seeds against the steps, a line for each
// dimension. Cells without a result are left out.
func drawBudgets(folder, name string, axes figure.Axes, cells []sweep.Cell, caption string) ([]report.Figure, error) {
	type point struct {
		dim   string
		steps float64
	}
	sum, count := map[point]float64{}, map[point]float64{}
	var dims []string
	var order []point
	for _, c := range cells {
		if c.Report == nil {
			continue
		}
		p := point{c.Set, float64(c.Report.Steps)}
		if count[p] == 0 {
			order = append(order, p)
		}
		if !slices.Contains(dims, c.Set) {
			dims = append(dims, c.Set)
		}
		sum[p] += c.Report.Metrics["uvp_percent"]
		count[p]++
	}
	if len(order) == 0 {
		return nil, nil
	}
	var lines []figure.Series
	for _, d := range dims {
		s := figure.Series{Name: "d = " + d}
		for _, p := range order {
			if p.dim == d {
				s.X, s.Y = append(s.X, p.steps), append(s.Y, sum[p]/count[p])
			}
		}
		lines = append(lines, s)
	}
	if err := figure.DrawCurves(filepath.Join(folder, name), axes, lines...); err != nil {
		return nil, err
	}
	return []report.Figure{{File: name, Caption: caption}}, nil
}
