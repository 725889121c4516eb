package report

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cmf/experiments/figure"

	"gonum.org/v1/plot/plotter"
)

// Curves says how a page shows the metrics log of a fit.
type Curves struct {
	Folder  string   // of the log, in the run's folder; empty for that folder itself
	Lead    string   // the metric that is drawn large; the loss if empty
	Caption string   // what the lead means
	Minor   []string // metrics that are of interest only where something goes wrong
}

// fitCurves are the curves of a fit.
type fitCurves struct {
	Name, Caption string
	Lead          *Chart
	Major, Minor  []Chart
	Constant      []string // metrics that never changed, with their values
}

// fits are the curves of all fits that have begun.
func (p Page) fits(folder string) (all []fitCurves, err error) {
	wanted := p.Curves
	if len(wanted) == 0 && p.Live == nil { // earlier runs may have left a log
		wanted = []Curves{{}}
	}
	for _, c := range wanted {
		log, err := ReadMetricsLog(filepath.Join(folder, c.Folder))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if f := c.of(log); f.Lead != nil || len(f.Major)+len(f.Minor) > 0 {
			all = append(all, f)
		}
	}
	return all, nil
}

func (c Curves) of(log map[string]figure.Series) fitCurves {
	f := fitCurves{Name: c.Folder, Caption: c.Caption}
	lead := cmp.Or(c.Lead, "loss")
	for _, name := range slices.Sorted(maps.Keys(log)) {
		drawn, ok := NewChart(c.Folder, log[name])
		switch {
		case !ok:
		case name == lead:
			drawn = drawn.large()
			f.Lead = &drawn
		case drawn.Low == drawn.High:
			f.Constant = append(f.Constant, drawn.Name+" "+drawn.Last)
		case slices.Contains(c.Minor, name):
			f.Minor = append(f.Minor, drawn)
		default:
			f.Major = append(f.Major, drawn)
		}
	}
	return f
}

// Chart is a learning curve, drawn with lines in units of Width × Height, and the numbers
// at its points, which a reader may ask for.
type Chart struct {
	ID, Name, Last, First, End, Low, High string

	Width, Height float64
	Log           bool
	Lines         []string
	X, Y          string // steps and values at the points of all lines

	series figure.Series
}

// Top and Bottom are the edges of the plot area; above and below it are texts.
func (c Chart) Top() float64    { return c.margin() }
func (c Chart) Bottom() float64 { return c.Height - c.margin() - 4 }

// margin has room for texts, which a phone shows larger in a wide chart.
func (c Chart) margin() float64 {
	if c.Width > 300 {
		return 20
	}
	return 14
}

// Head is where the text above the plot area stands.
func (c Chart) Head() float64 { return c.Top() - 4 }

// Foot is where the texts below the plot area stand.
func (c Chart) Foot() float64 { return c.Height - 5 }

// NewChart draws a series, on a logarithmic scale if it is positive and spans two
// decades. ok is false for a series with fewer than two points to draw. The chart's
// place among others, such as the folder of its log, tells it apart from charts of the same name.
func NewChart(place string, s figure.Series) (c Chart, ok bool) {
	c = Chart{Name: strings.ReplaceAll(s.Name, "_", " "), ID: identifier(place + " " + s.Name), Width: 300, Height: 132, series: s}
	return c, c.draw()
}

// large is the chart drawn for the whole width of a page.
func (c Chart) large() Chart {
	c.Width, c.Height, c.Lines = 640, 200, nil
	c.draw()
	return c
}

func (c *Chart) draw() bool {
	s := c.series
	parts := figure.FiniteParts(s, figure.Axes{})
	low, high, points := math.Inf(1), math.Inf(-1), 0
	for _, part := range parts {
		for _, p := range part {
			low, high, points = min(low, p.Y), max(high, p.Y), points+1
		}
	}
	if points < 2 {
		return false
	}
	first, end := s.X[0], s.X[len(s.X)-1]
	show := func(v float64) string { return ShownNumber(Numbers{"": v}, "") }
	c.Last, c.First, c.End, c.Low, c.High = show(s.Y[len(s.Y)-1]), fmt.Sprintf("%.0f", first), fmt.Sprintf("%.0f", end), show(low), show(high)
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
	var steps, values []string
	for _, part := range parts {
		var line strings.Builder
		for _, p := range thinned(part) {
			y := c.Bottom() - (c.Bottom()-c.Top())*share(scale(p.Y), scale(low), scale(high))
			fmt.Fprintf(&line, "%.1f,%.1f ", c.Width*share(p.X, first, end), y)
			steps, values = append(steps, fmt.Sprintf("%.0f", p.X)), append(values, fmt.Sprintf("%.4g", p.Y))
		}
		c.Lines = append(c.Lines, line.String())
	}
	c.X, c.Y = strings.Join(steps, " "), strings.Join(values, " ")
	return true
}

// identifier is a text as the id of an element.
func identifier(text string) string {
	return "curve-" + template.URLQueryEscaper(strings.TrimSpace(text))
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
