package study

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cmf/data"
	"cmf/data/table"
	"cmf/experiments"
	"cmf/experiments/figure"
	"cmf/experiments/report"
	"cmf/experiments/sweep"
	"cmf/solvers/batch"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// axis is a setting of toy2d that is varied while the others stay fixed.
type axis struct {
	name, variable string
	at             []float64
	value          func(v float64) string
}

var bridgeAxes = []axis{
	{"width, of 2 layers", "HIDDEN", []float64{8, 16, 32, 64, 128}, func(v float64) string { return number(v) + "," + number(v) }},
	{"depth, of width 64", "HIDDEN", []float64{1, 2, 3, 4}, func(v float64) string { return strings.Repeat("64,", int(v)-1) + "64" }},
	{"sharpness of first hinges", "SPREAD", []float64{3, 10, 30, 100}, number},
	{"iterations", "STEPS", []float64{250, 500, 1000, 2000, 4000}, number},
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// Bridges measures the share of generated points off the support, for sets that consist
// of separate parts. Since ∇w* is continuous, it leaves bridges between the parts. Width,
// depth, sharpness and budget are varied one at a time.
var Bridges = sweep.Ablation{
	Name: "bridges", Of: experiments.Toy2D,
	Variants: bridgeVariants(),
	Sets:     []string{"8gaussians", "circles", "checkerboard"},
	Seeds:    1,
	Base:     sweep.Settings{"HIDDEN": "64,64", "STEPS": "1000", "SPREAD": "30", "SAMPLES": "2048", "REPEATS": "4"},
	Baseline: "Gaussian fit",
	Metrics: []report.Headline{
		{Metric: "off_support", Label: "Share of points off the support"},
		{Metric: "train_seconds", Label: "Training, in seconds"},
	},
	Draw: drawBridges,
	Presets: map[string]func(*sweep.Ablation){
		"quick": func(a *sweep.Ablation) {
			a.Variants, a.Sets = []sweep.Variant{a.Variants[0], a.Variants[len(a.Variants)-5]}, a.Sets[:1]
			a.Base = sweep.Settings{"SAMPLES": "256", "BATCH": "128", "PARTICLES": "512"}
		},
	},
}

func bridgeVariants() (variants []sweep.Variant) {
	for _, a := range bridgeAxes {
		for _, v := range a.at {
			variants = append(variants, sweep.Variant{Name: a.label(v), Settings: sweep.Settings{a.variable: a.value(v)}})
		}
	}
	return variants
}

func (a axis) label(v float64) string { return a.name + ": " + number(v) }

// drawBridges draws the share off the support along every axis, and the points of the
// smallest and the largest budget.
func drawBridges(folder string, cells []sweep.Cell) (drawn []report.Figure, err error) {
	var sets []string
	off := map[string]map[string]float64{} // by set and variant
	for _, c := range cells {
		if c.Report == nil {
			continue
		}
		if off[c.Set] == nil {
			sets, off[c.Set] = append(sets, c.Set), map[string]float64{}
		}
		off[c.Set][c.Variant] = c.Report.Metrics["off_support"]
	}
	if len(sets) == 0 {
		return nil, nil
	}
	var panels []*plot.Plot
	legend := figure.NewLegend()
	for _, a := range bridgeAxes {
		panel, err := a.panel(sets, off, &legend, len(panels) == 0)
		if err != nil {
			return nil, err
		}
		panels = append(panels, panel)
	}
	const edge = 2.7 * vg.Inch
	if err := figure.Render(filepath.Join(folder, "bridges.png"), 4*edge, edge, [][]*plot.Plot{panels}, legend, nil); err != nil {
		return nil, err
	}
	drawn = []report.Figure{{File: "bridges.png", Caption: "The share of generated points off the support against width, depth, sharpness of the first hinges and budget, varied one at a time."}}
	scenes, err := parted(cells)
	if err != nil || len(scenes) == 0 {
		return drawn, err
	}
	if err := figure.DrawScenes(filepath.Join(folder, "bridges_points.png"), figure.Box{MinX: -2.3, MaxX: 2.3, MinY: -2.3, MaxY: 2.3}, scenes...); err != nil {
		return nil, err
	}
	return append(drawn, report.Figure{File: "bridges_points.png", Caption: "Generated points on and off the support, at the smallest and the largest budget."}), nil
}

// panel plots the share off the support along an axis, with a line for each set. If named,
// it is the first panel of a row: its axis has a label, and it fills the legend.
func (a axis) panel(sets []string, off map[string]map[string]float64, legend *plot.Legend, named bool) (*plot.Plot, error) {
	axes := figure.Axes{X: a.name, LogX: true, LogY: true}
	if named {
		axes.Y = "share off the support"
	}
	p := figure.NewPlot(axes)
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: .01, Label: "0.01"}, {Value: .02, Label: "0.02"}, {Value: .05, Label: "0.05"}, {Value: .1, Label: "0.1"}, {Value: .2, Label: "0.2"}}
	p.Add(figure.NewGrid())
	var ticks plot.ConstantTicks
	for _, v := range a.at {
		ticks = append(ticks, plot.Tick{Value: v, Label: number(v)})
	}
	p.X.Tick.Marker = ticks
	p.X.Min, p.X.Max = a.at[0], a.at[len(a.at)-1]
	for k, set := range sets {
		var xys plotter.XYs
		for _, v := range a.at {
			if y, ok := off[set][a.label(v)]; ok && y > 0 {
				xys = append(xys, plotter.XY{X: v, Y: y})
			}
		}
		if len(xys) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(xys)
		if err != nil {
			return nil, err
		}
		line.LineStyle, dots.Color = figure.Stroke(figure.Colours[k], 1.4), figure.Colours[k]
		p.Add(line, dots)
		if named {
			legend.Add(set, line)
		}
	}
	p.Y.Min, p.Y.Max = .01, .3
	return p, nil
}

// parted has the points of the smallest and the largest budget of every set, in two
// colours: on and off its support.
func parted(cells []sweep.Cell) (scenes []figure.Scene, err error) {
	budget := bridgeAxes[len(bridgeAxes)-1]
	ends := []string{budget.label(budget.at[0]), budget.label(budget.at[len(budget.at)-1])}
	cells = slices.DeleteFunc(slices.Clone(cells), func(c sweep.Cell) bool { return c.Report == nil || !slices.Contains(ends, c.Variant) })
	slices.SortStableFunc(cells, func(a, b sweep.Cell) int {
		return cmp.Compare(slices.Index(ends, a.Variant), slices.Index(ends, b.Variant))
	})
	for _, c := range cells {
		samples, err := table.ReadBatch(filepath.Join(c.Folder, "samples.npy"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		set, err := data.Toy(c.Set)
		if err != nil {
			continue // a set from a file has no known support
		}
		var on, out []int
		for i := range min(samples.Rows, 3000) {
			if x := batch.Row(samples, i); set.InSupport(float64(x[0]), float64(x[1])) {
				on = append(on, i)
			} else {
				out = append(out, i)
			}
		}
		s := figure.Scene{Title: c.Set + ", " + strings.TrimPrefix(c.Variant, budget.name+": ") + " iterations"}
		for _, part := range []struct {
			name string
			rows []int
		}{{"on the support", on}, {"off the support", out}} {
			if points := batch.Gathered(samples, part.rows); points.Rows > 0 {
				s.Clouds = append(s.Clouds, figure.Cloud{Name: part.name, Points: points})
			}
		}
		scenes = append(scenes, s)
	}
	return scenes, nil
}
