package sweep

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"cmf/experiments/report"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/stat"
)

// estimate is the mean and the standard deviation of a number over n seeds.
type estimate struct {
	mean, sd float64 // sd is NaN for a single seed
	n        int
}

func estimateOf(values []float64) estimate {
	if len(values) == 0 {
		return estimate{math.NaN(), math.NaN(), 0}
	}
	mean, sd := stat.MeanStdDev(values, nil)
	return estimate{mean, sd, len(values)}
}

// String writes mean ± sd to two digits of sd, or a mean without sd to three digits. It
// writes "–" if there is no number.
func (s estimate) String() string {
	text := ""
	switch {
	case s.n == 0:
		return "–"
	case !batch.AllFinite([]float64{s.mean}):
		return "not finite"
	case s.sd > 0 && !math.IsInf(s.sd, 0):
		d := decimals(s.sd, 2)
		text = fmt.Sprintf("%.*f ± %.*f", d, s.mean, d, s.sd)
	default:
		text = fmt.Sprintf("%.*f", decimals(s.mean, 3), s.mean)
	}
	return strings.ReplaceAll(text, "-", "−")
}

// decimals is how many decimals are needed to show digits digits of v, at most 6.
func decimals(v float64, digits int) int {
	if v == 0 {
		return 0
	}
	const slack = 1e-9 // .0999…, a rounded .1, must have the digits of .1
	return min(6, max(0, digits-1-int(math.Floor(math.Log10(math.Abs(v))+slack))))
}

// table has a metric of every variant on every set, with the floor before them and the
// baseline after them.
type table struct {
	report.Headline
	Floor, Baseline tableLine
	Variants        []tableLine
}

// Title is the name of the metric.
func (t table) Title() string { return cmp.Or(t.Label, t.Metric) }

// Aim says which values of the metric are good.
func (t table) Aim() string {
	switch t.Goal {
	case report.Higher:
		return "higher is better"
	case report.Nearer:
		return fmt.Sprintf("best at %g", t.Target)
	}
	return "lower is better"
}

// tableLine is a row of a table, with an entry for each set.
type tableLine struct {
	Name     string
	Settings string
	Entries  []entry
	Ratio    string // geometric mean over the sets of mean/floor
}

// entry is the result of the seeds of a variant on a set.
type entry struct {
	estimate
	Best   bool
	Failed int
}

// String is the text of the entry in a table.
func (e entry) String() string {
	switch {
	case e.Failed > 0 && e.n == 0:
		return "failed"
	case e.Failed > 0:
		return fmt.Sprintf("%s (%d failed)", e.estimate, e.Failed)
	}
	return e.estimate.String()
}

// tabulate makes the table of a metric.
func (p *plan) tabulate(h report.Headline) table {
	t := table{Headline: h, Floor: tableLine{Name: "data against data"}, Baseline: tableLine{Name: p.Baseline}}
	for _, set := range p.columns() {
		t.Floor.Entries = append(t.Floor.Entries, entry{estimate: p.reference(h.Metric, set, func(r *report.Report) report.Numbers { return r.Floor })})
		t.Baseline.Entries = append(t.Baseline.Entries, entry{estimate: p.reference(h.Metric, set, func(r *report.Report) report.Numbers { return r.Baseline })})
	}
	for _, v := range p.Variants {
		l := tableLine{Name: v.Name, Settings: v.Settings.String()}
		for _, set := range p.columns() {
			l.Entries = append(l.Entries, p.entry(h.Metric, v.Name, set))
		}
		t.Variants = append(t.Variants, l)
	}
	for k := range p.columns() {
		t.markBest(k)
	}
	if h.Goal == report.Lower {
		t.Floor.Ratio = t.Floor.over(t.Floor)
		t.Baseline.Ratio = t.Baseline.over(t.Floor)
		for i := range t.Variants {
			t.Variants[i].Ratio = t.Variants[i].over(t.Floor)
		}
	}
	return t
}

// entry summarises the seeds of a variant on a set.
func (p *plan) entry(metric, variant, set string) entry {
	var values []float64
	failed := 0
	for _, c := range p.cells {
		if c.Variant != variant || c.Set != set {
			continue
		}
		if c.failure != "" {
			failed++
		}
		if c.report != nil {
			if v, ok := c.report.Metrics[metric]; ok {
				values = append(values, v)
			}
		}
	}
	return entry{estimate: estimateOf(values), Failed: failed}
}

// reference summarises a number on a set that all variants share. For each seed it takes
// the mean over the variants; then it takes the estimate over the seeds.
func (p *plan) reference(metric, set string, of func(*report.Report) report.Numbers) estimate {
	bySeed := map[uint64][]float64{}
	for _, c := range p.cells {
		if c.Set == set && c.report != nil {
			if v, ok := of(c.report)[metric]; ok {
				bySeed[c.Seed] = append(bySeed[c.Seed], v)
			}
		}
	}
	var values []float64
	for _, seed := range slices.Sorted(maps.Keys(bySeed)) {
		values = append(values, stat.Mean(bySeed[seed], nil))
	}
	return estimateOf(values)
}

// markBest marks the best mean on the set k among the variants with the most seeds.
func (t *table) markBest(k int) {
	best, most := math.Inf(1), 1
	for _, l := range t.Variants {
		most = max(most, l.Entries[k].n)
	}
	for _, l := range t.Variants {
		if e := l.Entries[k]; e.n == most {
			best = min(best, t.Loss(e.mean))
		}
	}
	for _, l := range t.Variants {
		e := &l.Entries[k]
		e.Best = e.n == most && len(t.Variants) > 1 && t.Loss(e.mean) == best
	}
}

// over is the geometric mean over the sets of the line's means divided by the floor's. It
// is empty if a mean is missing.
func (l tableLine) over(floor tableLine) string {
	var logs []float64
	for k, e := range l.Entries {
		logs = append(logs, math.Log(e.mean/floor.Entries[k].mean))
	}
	if !batch.AllFinite(logs) {
		return ""
	}
	return fmt.Sprintf("%.2f", math.Exp(stat.Mean(logs, nil)))
}

// String writes settings as on a command line, without CMF_.
func (s Settings) String() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		words = append(words, name+"="+s[name])
	}
	return strings.Join(words, " ")
}
