package report

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	_ "image/gif"
	_ "image/png"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cmf/data/file"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/solvers/batch"

	"gonum.org/v1/plot/plotter"
)

// Goal says which values of a metric are good.
type Goal int

// The goals of a metric.
const (
	Lower  Goal = iota // lower is better
	Higher             // higher is better
	Nearer             // nearer to a target is better
)

// Headline is a row of the table at the top of a page.
type Headline struct {
	Metric string // its name in the report
	Label  string // its name on the page; Metric if empty
	Goal   Goal
	Target float64 // for Nearer
}

// Figure is a PNG or GIF in the run's folder.
type Figure struct{ File, Caption string }

// Page is index.html: a run's report, configuration, figures and learning curves in one
// file that needs no others.
type Page struct {
	Report   *Report
	Settings []config.Setting
	Summary  string // one line
	Headline []Headline
	Tables   []Table
	Figures  []Figure
}

// Table is a table of texts on a page.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

//go:embed style.html.tmpl report.html.tmpl ablation.html.tmpl
var Templates embed.FS

var pageTemplate = template.Must(template.ParseFS(Templates, "report.html.tmpl", "style.html.tmpl"))

// Write writes index.html into folder. The figures and the metrics log must be in that
// folder.
func (p Page) Write(folder string) error {
	view := struct {
		Page
		Time, Command string
		Rows, Others  []tableRow
		Titles        []string
		Beside        []besideRow
		Figures       []Picture
		Charts        []chart
		Remarks       []string // notes that are not warnings
	}{Page: p, Command: Command(p.Report.Experiment, p.Settings)}
	view.Time = time.Duration(p.Report.Seconds * float64(time.Second)).Round(time.Second).String()
	shown := map[string]bool{}
	for _, h := range p.Headline {
		view.Rows = append(view.Rows, newRow(p.Report, h))
		shown[h.Metric] = true
	}
	view.Titles, view.Beside = beside(p.Report, p.Headline)
	for _, name := range slices.Sorted(maps.Keys(p.Report.Metrics)) {
		if !shown[name] {
			view.Others = append(view.Others, newRow(p.Report, Headline{Metric: name}))
		}
	}
	for _, f := range p.Figures {
		picture, err := NewPicture(folder, f)
		if err != nil {
			return fmt.Errorf("index.html: %w", err)
		}
		view.Figures = append(view.Figures, picture)
	}
	curves, err := ReadMetricsLog(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("index.html: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(curves)) {
		if c, ok := newChart(curves[name]); ok {
			view.Charts = append(view.Charts, c)
		}
	}
	view.Remarks = p.Report.Notes[min(len(p.Report.Warnings), len(p.Report.Notes)):]
	var text strings.Builder
	err = pageTemplate.Execute(&text, view)
	if err == nil {
		err = file.Write(filepath.Join(folder, "index.html"), func(w io.Writer) error { return file.Text(w, []byte(printable(text.String(), "\n\t"))) })
	}
	if err != nil {
		return fmt.Errorf("index.html: %w", err)
	}
	return nil
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

// tableRow is a metric as the page shows it. Verdict compares the model with the
// baseline if both are finite.
type tableRow struct{ Label, Goal, Model, Baseline, Floor, Verdict, Ratio string }

func newRow(r *Report, h Headline) tableRow {
	goal, loss := "lower is better", func(v float64) float64 { return v }
	switch h.Goal {
	case Higher:
		goal, loss = "higher is better", func(v float64) float64 { return -v }
	case Nearer:
		goal, loss = fmt.Sprintf("best at %.4g", h.Target), func(v float64) float64 { return math.Abs(v - h.Target) }
	}
	row := tableRow{Label: cmp.Or(h.Label, h.Metric), Goal: goal,
		Model: ShownNumber(r.Metrics, h.Metric), Baseline: ShownNumber(r.Baseline, h.Metric), Floor: ShownNumber(r.Floor, h.Metric)}
	model, ok := r.Metrics[h.Metric]
	if baseline, known := r.Baseline[h.Metric]; ok && known && batch.AllFinite([]float64{model, baseline}) {
		if loss(model) < loss(baseline) {
			row.Verdict = "better"
		} else if loss(model) > loss(baseline) {
			row.Verdict = "worse"
		}
	}
	if floor := r.Floor[h.Metric]; ok && h.Goal == Lower && floor > 0 && model > 0 && !math.IsInf(model/floor, 0) {
		row.Ratio = fmt.Sprintf("%.3g", model/floor)
	}
	return row
}

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

// Picture is a figure inside a page. It is shown at half its size in pixels, because
// figures are drawn at twice the resolution of a page.
type Picture struct {
	Data          template.URL
	Width, Height int
	Caption       string
}

// mostVector is the size in bytes of the largest SVG on a page.
const mostVector = 1 << 19

// NewPicture reads a figure of the folder: its SVG, if there is one that is not too large.
func NewPicture(folder string, f Figure) (Picture, error) {
	file, err := os.ReadFile(filepath.Join(folder, f.File))
	if err != nil {
		return Picture{}, err
	}
	size, format, err := image.DecodeConfig(bytes.NewReader(file)) // png, or gif
	if err != nil {
		return Picture{}, fmt.Errorf("figure %s: %w", f.File, err)
	}
	if vector, err := os.ReadFile(figure.VectorPath(filepath.Join(folder, f.File))); err == nil && format == "png" && len(vector) <= mostVector {
		format, file = "svg+xml", vector
	}
	data := template.URL("data:image/" + format + ";base64," + base64.StdEncoding.EncodeToString(file))
	return Picture{data, size.Width / 2, size.Height / 2, f.Caption}, nil
}

// chart is a learning curve in units of 300 × 100, which span the plot area of the
// template's drawing.
type chart struct {
	Name, Last, First, End, Low, High string

	Log   bool
	Lines []string
}

// newChart draws a series, on a logarithmic scale if it is positive and spans two
// decades. ok is false for a series with fewer than two points to draw.
func newChart(s figure.Series) (chart, bool) {
	parts := figure.FiniteParts(s, figure.Axes{})
	low, high, points := math.Inf(1), math.Inf(-1), 0
	for _, part := range parts {
		for _, p := range part {
			low, high, points = min(low, p.Y), max(high, p.Y), points+1
		}
	}
	if points < 2 {
		return chart{}, false
	}
	first, end := s.X[0], s.X[len(s.X)-1]
	show := func(v float64) string { return ShownNumber(Numbers{"": v}, "") }
	c := chart{Name: s.Name, Last: show(s.Y[len(s.Y)-1]), First: fmt.Sprintf("%.0f", first), End: fmt.Sprintf("%.0f", end), Low: show(low), High: show(high)}
	scale := func(v float64) float64 { return v }
	if c.Log = low > 0 && high/low >= 100; c.Log {
		scale = math.Log
	}
	share := func(v, from, to float64) float64 {
		if to > from {
			return (v - from) / (to - from)
		}
		return .5
	}
	for _, part := range parts {
		var line strings.Builder
		for _, p := range thinned(part) {
			fmt.Fprintf(&line, "%.1f,%.1f ", 300*share(p.X, first, end), 114-100*share(scale(p.Y), scale(low), scale(high)))
		}
		c.Lines = append(c.Lines, line.String())
	}
	return c, true
}

// thinned keeps the lowest and the highest of every few points, so that every spike
// remains.
func thinned(line plotter.XYs) plotter.XYs {
	const most = 600
	if len(line) <= most {
		return line
	}
	var kept plotter.XYs
	for part := range slices.Chunk(line, (2*len(line)+most-1)/most) {
		low, high := 0, 0
		for i, p := range part {
			if p.Y < part[low].Y {
				low = i
			}
			if p.Y >= part[high].Y {
				high = i
			}
		}
		kept = append(kept, part[min(low, high)], part[max(low, high)])
	}
	return kept
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
