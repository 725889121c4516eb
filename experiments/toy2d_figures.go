package experiments

import (
	"context"
	"fmt"
	"math"

	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/conjugate"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// draw draws Figure 4's row, the map and the animation.
func (p *planar) draw(ctx context.Context, r *run.Run, m *fit.Model, draw *fit.Draw, other figure.Scene, film *figure.Film) error {
	n := p.samples()
	data, gibbs, points := p.learning(p.held[0].truth), batch.Rows(draw.Gibbs, 0, n), batch.Rows(draw.Points, 0, n)
	level := func(x blas32.General, value []float32) error { return m.Evaluator.Eval(x, value, blas32.General{}) }
	scenes := []figure.Scene{
		{Title: "data", Clouds: []figure.Cloud{{Name: "data", Points: data}}},
		{Title: "w and its Gibbs factor", Field: level, Clouds: []figure.Cloud{{Name: "Gibbs samples", Points: gibbs}}},
		{Title: "generated", Clouds: []figure.Cloud{{Name: "generated", Points: points}}},
		other,
	}
	box := figure.BoxOf(scenes[:3])
	caption := "Figure 4: held-out data; level sets of the learned potential w with samples y of its Gibbs factor 𝔓_w ∝ e^{−w}; generated points ∇w*(y); points of the baseline."
	err := r.Figure(ctx, report.Figure{File: "figure4.png", Caption: caption + figure.Outside(box, scenes...)}, true, func(path string) error {
		return figure.DrawScenes(path, box, scenes...)
	})
	if err != nil {
		return err
	}
	if err := p.drawMap(ctx, r, m, box, data, draw); err != nil {
		return err
	}
	film.Take(fmt.Sprintf("iteration %d, averaged weights", m.State.Step), gibbs, points)
	caption = "Training: the particles y, which follow the Gibbs factor of the current w, and their images ∇w*(y) over the data (grey)."
	if r.Report.Config["CMF_RESUME"] != "" {
		caption += fmt.Sprintf(" The film begins at iteration %d, where the run was resumed.", film.First)
	}
	if err := r.Figure(ctx, report.Figure{File: "training.gif", Caption: caption}, false, film.Write); err != nil {
		return err
	}
	r.Page.Summary = fmt.Sprintf("CMFGen on %s: one convex potential gives the noise and the map to the data.", p.name)
	if p.scale != 1 {
		r.Note("Figures are in the units of learning: the data minus (%.4g, %.4g), divided by %.4g. Metrics and samples.npy are in the units of the file.", p.center[0], p.center[1], p.scale)
	}
	return nil
}

// drawMap draws a square grid over the Gibbs samples, and its image under ∇w*.
func (p *planar) drawMap(ctx context.Context, r *run.Run, m *fit.Model, box figure.Box, data blas32.General, draw *fit.Draw) error {
	const lines, points = 25, 240
	y := gridLines(draw.Gibbs, lines, points)
	_, near, err := metric.NearestDistance(ctx, y, draw.Gibbs)
	if err != nil {
		return err
	}
	x := batch.New(y.Rows, 2)
	for i, j := range near {
		copy(batch.Row(x, i), batch.Row(draw.Points, j))
	}
	conjugate := &conjugate.LBFGS{Tolerance: fit.DrawTolerance, MaxIterations: 400}
	if _, err := conjugate.Solve(ctx, m.Evaluator, y, x, m.State.Preconditioner()); err != nil {
		return fmt.Errorf("conjugates of the grid: %w", err)
	}
	var panels []*plot.Plot
	for _, s := range []struct {
		title       string
		cloud, grid blas32.General
	}{
		{"a grid of y over Gibbs samples", batch.Rows(draw.Gibbs, 0, p.samples()), y},
		{"its image over data", data, x},
	} {
		panel := figure.NewPlot(figure.Axes{Title: s.title})
		panel.Add(figure.Dots(s.cloud, box, figure.Pale))
		for k := range s.grid.Rows / points {
			line := figure.Series{X: make([]float64, points), Y: make([]float64, points)}
			for i := range points {
				at := batch.Row(s.grid, k*points+i)
				line.X[i], line.Y[i] = float64(at[0]), float64(at[1])
				if line.X[i] < box.MinX || line.X[i] > box.MaxX || line.Y[i] < box.MinY || line.Y[i] > box.MaxY {
					line.X[i] = math.NaN() // it would be drawn over the frame
				}
			}
			for _, part := range figure.FiniteParts(line, figure.Axes{}) {
				l, err := plotter.NewLine(part)
				if err != nil {
					return err
				}
				l.LineStyle = figure.Stroke(figure.Colours[k/lines], .7)
				panel.Add(figure.Unpadded{Plotter: l})
			}
		}
		panel.X.Min, panel.X.Max, panel.Y.Min, panel.Y.Max = box.MinX, box.MaxX, box.MinY, box.MaxY
		panels = append(panels, panel)
	}
	const edge = 4.2 * vg.Inch
	height := edge * vg.Length((box.MaxY-box.MinY)/(box.MaxX-box.MinX))
	caption := "The map: a square grid over the Gibbs factor, and its image under ∇w* over the data. The grid is torn at gaps in the data: much of the plane is mapped to the edges of a gap."
	return r.Figure(ctx, report.Figure{File: "map.png", Caption: caption}, false, func(path string) error {
		return figure.Render(path, 2*edge, min(2*edge, max(edge/2, height)), [][]*plot.Plot{panels}, figure.NewLegend(), &box)
	})
}

// gridLines is lines vertical lines and as many horizontal ones, each of the given number of
// points, over the bulk of a cloud.
func gridLines(cloud blas32.General, lines, points int) blas32.General {
	mean, cov := batch.Moments(cloud)
	half := 2.3 * math.Sqrt(max(cov.At(0, 0), cov.At(1, 1)))
	y := batch.New(2*lines*points, 2)
	for k := range 2 * lines {
		for i := range points {
			across := half * (2*float64(k%lines)/float64(lines-1) - 1)
			along := half * (2*float64(i)/float64(points-1) - 1)
			if k >= lines {
				across, along = along, across
			}
			copy(batch.Row(y, k*points+i), []float32{float32(mean[0] + across), float32(mean[1] + along)})
		}
	}
	return y
}
