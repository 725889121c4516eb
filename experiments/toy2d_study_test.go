package experiments

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// toyStudy learns a set as toy2d does and measures the share of points off its
// support, and nothing else.
var toyStudy = run.Definition[Toy2DConfig]{
	Name:    "toy2d",
	Presets: Toy2D.Presets,
	Do: func(ctx context.Context, r *run.Run, c *Toy2DConfig) error {
		p, err := loadPlane(c)
		if err != nil {
			return err
		}
		law, err := exact.FitGaussian(p.train, 0)
		if err != nil {
			return err
		}
		_, draw, err := p.learn(ctx, r, c, law, "", nil)
		if err != nil || draw == nil {
			return err
		}
		r.Report.Metrics["off_support"] = p.offSupport(draw.Points)
		return r.SaveSamples(draw.Points)
	},
}

// ∇w* is continuous, so between parts of a support that lie apart it leaves a
// bridge. With the folder TOY2D_STUDY, the study of what makes bridges thin: the
// share of generated points off the support against width, depth, sharpness and
// budget, each varied alone, as a figure, a table and a picture of the bridges.
func TestToy2DStudy(t *testing.T) {
	folder := os.Getenv("TOY2D_STUDY")
	if folder == "" {
		t.Skip("TOY2D_STUDY names no folder")
	}
	sets := []string{"8gaussians", "circles", "checkerboard"}
	base := map[string]string{"CMF_HIDDEN": "64,64", "CMF_STEPS": "1000", "CMF_SPREAD": "30", "CMF_SAMPLES": "4096", "CMF_REPEATS": "2"}
	var panels []*plot.Plot
	var scenes []figure.Scene
	legend := figure.NewLegend()
	table := "| varied | value | " + strings.Join(sets, " | ") + " |\n|---|---|" + strings.Repeat("---|", len(sets)) + "\n"
	for _, axis := range []struct {
		name, variable string
		at             []float64
		value          func(v float64) string
	}{
		{"width, of 2 layers", "CMF_HIDDEN", []float64{8, 16, 32, 64, 128}, func(v float64) string { return config.Widths{int(v), int(v)}.String() }},
		{"depth, of width 64", "CMF_HIDDEN", []float64{1, 2, 3, 4}, func(v float64) string { return strings.Repeat("64,", int(v)-1) + "64" }},
		{"sharpness of first hinges", "CMF_SPREAD", []float64{3, 10, 30, 100}, number},
		{"iterations", "CMF_STEPS", []float64{250, 500, 1000, 2000, 4000}, number},
	} {
		panel := figure.NewPlot(figure.Axes{X: axis.name, Y: "share off the support", LogX: true, LogY: true})
		panel.Y.Tick.Marker = plot.ConstantTicks{{Value: .01, Label: "0.01"}, {Value: .02, Label: "0.02"}, {Value: .05, Label: "0.05"}, {Value: .1, Label: "0.1"}, {Value: .2, Label: "0.2"}}
		panel.Add(figure.NewGrid())
		lines := make([]plotter.XYs, len(sets))
		var ticks plot.ConstantTicks
		for _, v := range axis.at {
			ticks = append(ticks, plot.Tick{Value: v, Label: number(v)})
			table += fmt.Sprintf("| %s | %s |", axis.name, number(v))
			for k, set := range sets {
				setting := maps.Clone(base)
				setting[axis.variable], setting["CMF_DATASET"] = axis.value(v), set
				off, samples := studied(t, setting)
				if axis.variable == "CMF_STEPS" && (v == axis.at[0] || v == axis.at[len(axis.at)-1]) {
					scenes = append(scenes, partedBySupport(t, set, number(v), samples))
				}
				lines[k] = append(lines[k], plotter.XY{X: v, Y: off})
				table += fmt.Sprintf(" %.4f |", off)
			}
			table += "\n"
		}
		panel.X.Tick.Marker = ticks
		for k, xys := range lines {
			line, dots, err := plotter.NewLinePoints(xys)
			if err != nil {
				t.Fatal(err)
			}
			line.LineStyle, dots.Color = figure.Stroke(figure.Colours[k], 1.4), figure.Colours[k]
			panel.Add(line, dots)
			if len(panels) == 0 {
				legend.Add(sets[k], line)
			}
		}
		panel.Y.Min, panel.Y.Max = .01, .3
		panels = append(panels, panel)
	}
	t.Log("\n" + table)
	if err := os.WriteFile(filepath.Join(folder, "bridges.md"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	const edge = 2.7 * vg.Inch
	if err := figure.Render(filepath.Join(folder, "bridges.png"), 4*edge, edge, [][]*plot.Plot{panels}, legend, nil); err != nil {
		t.Fatal(err)
	}
	if err := figure.DrawScenes(filepath.Join(folder, "bridges_points.png"), figure.Box{MinX: -2.3, MaxX: 2.3, MinY: -2.3, MaxY: 2.3}, scenes...); err != nil {
		t.Fatal(err)
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// studied is the off-support mass and the samples of a run.
func studied(t *testing.T, setting map[string]string) (off float64, samples blas32.General) {
	t.Helper()
	t.Run(fmt.Sprint(setting), func(t *testing.T) {
		r, err := run.Execute(t.Context(), toyStudy, config.Environment(setting).With("CMF_OUT="+t.TempDir()), nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		off = r.Report.Metrics["off_support"]
		t.Logf("off the support %.4f, %.0f s", off, r.Report.Metrics["train_seconds"])
		if samples, err = data.ReadNPY(filepath.Join(r.Folder, "samples.npy")); err != nil {
			t.Fatal(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return off, samples
}

// partedBySupport shows the points on and off the support of a set in two colours.
func partedBySupport(t *testing.T, name, steps string, samples blas32.General) figure.Scene {
	set, err := data.Toy(name)
	if err != nil {
		t.Fatal(err)
	}
	var parts [2]blas32.General
	for i := range min(samples.Rows, 3000) {
		k := 1
		if x := batch.Row(samples, i); set.InSupport(float64(x[0]), float64(x[1])) {
			k = 0
		}
		parts[k].Data = append(parts[k].Data, batch.Row(samples, i)...)
	}
	for k := range parts {
		parts[k].Rows, parts[k].Cols, parts[k].Stride = len(parts[k].Data)/2, 2, 2
	}
	clouds := []figure.Cloud{{Name: "on the support", Points: parts[0]}}
	if parts[1].Rows > 0 {
		clouds = append(clouds, figure.Cloud{Name: "off the support", Points: parts[1]})
	}
	return figure.Scene{Title: name + ", " + steps + " iterations", Clouds: clouds}
}
