package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"cmf/solvers/batch"
)

// Goal says which values of a metric are good.
type Goal int

// The goals of a metric.
const (
	Lower  Goal = iota // lower is better
	Higher             // higher is better
	Nearer             // nearer to a target is better
)

// Headline is a metric that a page shows above the others.
type Headline struct {
	Metric string // its name in the report
	Label  string // its name on the page; Metric if empty
	Goal   Goal
	Target float64 // for Nearer
}

// Loss orders values of the metric: lower is better. It is +Inf where v is not finite.
func (h Headline) Loss(v float64) float64 {
	switch {
	case !batch.AllFinite([]float64{v}):
		return math.Inf(1)
	case h.Goal == Higher:
		return -v
	case h.Goal == Nearer:
		return math.Abs(v - h.Target)
	}
	return v
}

// besideRow is a metric of the model and of all other laws.
type besideRow struct {
	Label  string
	Values []string
}

// beside is the table of the model beside all other laws, the floor last; empty if there are
// none but baseline and floor.
func beside(r *Report, headline []Headline) (titles []string, rows []besideRow) {
	if len(r.Beside) == 0 {
		return nil, nil
	}
	columns := append([]Column{{Title: "model", Metrics: r.Metrics}}, r.Beside...)
	columns = append(columns, Column{Title: "baseline", Metrics: r.Baseline}, Column{Title: "floor", Metrics: r.Floor})
	for _, c := range columns {
		titles = append(titles, c.Title)
	}
	for _, h := range headline {
		row := besideRow{Label: cmp.Or(h.Label, h.Metric)}
		for _, c := range columns {
			row.Values = append(row.Values, ShownNumber(c.Metrics, h.Metric))
		}
		rows = append(rows, row)
	}
	return titles, rows
}

// others are the metrics that are not in the headline, by name.
func others(r *Report, headline []Headline) (rows []tableRow) {
	for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
		if !slices.ContainsFunc(headline, func(h Headline) bool { return h.Metric == name }) {
			rows = append(rows, newRow(r, Headline{Metric: name}))
		}
	}
	return rows
}

// tableRow is a metric as the page shows it. Verdict compares the model with the
// baseline if both are finite.
type tableRow struct {
	Label, Goal, Model, Baseline, Floor, Verdict, Ratio string

	Scale *scale // nil if it cannot be drawn
}

// scale is where the model lies between the floor and the baseline, in units of the page's
// drawing, whose ends are a little beyond both.
type scale struct{ Floor, Baseline, Model float64 }

func newRow(r *Report, h Headline) tableRow {
	goal := "lower is better"
	switch h.Goal {
	case Higher:
		goal = "higher is better"
	case Nearer:
		goal = fmt.Sprintf("best at %.4g", h.Target)
	}
	row := tableRow{Label: cmp.Or(h.Label, h.Metric), Goal: goal,
		Model: ShownNumber(r.Metrics, h.Metric), Baseline: ShownNumber(r.Baseline, h.Metric), Floor: ShownNumber(r.Floor, h.Metric)}
	model, ok := r.Metrics[h.Metric]
	baseline, known := r.Baseline[h.Metric]
	if ok && known && batch.AllFinite([]float64{model, baseline}) {
		if h.Loss(model) < h.Loss(baseline) {
			row.Verdict = "better"
		} else if h.Loss(model) > h.Loss(baseline) {
			row.Verdict = "worse"
		}
	}
	floor, known := r.Floor[h.Metric]
	if ok && h.Goal == Lower && floor > 0 && model > 0 && !math.IsInf(model/floor, 0) {
		row.Ratio = fmt.Sprintf("%.3g", model/floor)
	}
	if ok && known && row.Verdict != "" {
		row.Scale = newScale(h.Loss(model), h.Loss(floor), h.Loss(baseline))
	}
	return row
}

func newScale(model, floor, baseline float64) *scale {
	const from, to, beyond = 14, 186, 10
	share := (model - floor) / (baseline - floor)
	if !(baseline > floor) || math.IsNaN(share) {
		return nil
	}
	return &scale{Floor: from, Baseline: to, Model: min(to+beyond, max(from-beyond, from+(to-from)*share))}
}

// ShownNumber is a number among others as pages show it.
func ShownNumber(numbers Numbers, name string) string {
	v, ok := numbers[name]
	switch {
	case !ok:
		return "–"
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "not finite"
	}
	return strings.ReplaceAll(fmt.Sprintf("%.4g", v), "-", "−")
}
