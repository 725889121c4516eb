package experiments

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"cmf/data/units"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// shownPoints limits the points of a cloud in a figure.
const shownPoints = 2000

// draw draws held-out rows beside generated ones.
func (s *pointSet) draw(ctx context.Context, r *run.Run, m *fit.Model, d *fit.Draw, gaussian blas32.General) error {
	held := figure.Cloud{Name: "held out", Points: s.held}
	generated := figure.Cloud{Name: "generated", Points: d.Points}
	fit := figure.Cloud{Name: "Gaussian fit", Points: gaussian}
	if s.train.Cols == 2 {
		return drawPlane(ctx, r, m, d, held, generated, fit)
	}
	if s.train.Cols == 1 {
		return drawLine(ctx, r, m, s.law, held, generated)
	}
	return drawPoints(r, s.units, s.form, held, generated, fit)
}

// axesOf are the axes for points in the units of learning, with marks in the data's units.
func axesOf(m *fit.Model) []figure.Axis {
	axes := make([]figure.Axis, m.Evaluator.Dim())
	u, _ := m.Units().(units.Affine)
	for j := range axes {
		axes[j].Name = m.Form().Name(j)
		if u.Scale != nil {
			axes[j].Center, axes[j].Scale = u.Center[j], u.Scale[j]
		}
	}
	return axes
}

// drawPlane draws clouds, the Gibbs factor and the density. Both axes have the same scale in
// units of learning; except for the Gibbs factor they are labelled in the data's units.
func drawPlane(ctx context.Context, r *run.Run, m *fit.Model, d *fit.Draw, clouds ...figure.Cloud) error {
	level := func(x blas32.General, value []float32) error { return m.Evaluator.Eval(x, value, blas32.General{}) }
	axes := axesOf(m)
	shown := clouds[0].Points.Rows
	for _, c := range clouds {
		shown = min(shown, c.Points.Rows, shownPoints)
	}
	var scenes []figure.Scene
	for _, c := range clouds {
		scenes = append(scenes, figure.Scene{Title: c.Name, Axes: axes, Clouds: []figure.Cloud{{Name: "points", Points: batch.First(c.Points, shown)}}})
	}
	box := figure.BoxOf(scenes)
	scenes = slices.Insert(scenes, 1, figure.Scene{Title: "w and its Gibbs factor", Axes: []figure.Axis{{Name: "units of learning"}, {Name: "units of learning"}}, Field: level, Clouds: []figure.Cloud{{Name: "Gibbs samples", Points: batch.First(d.Gibbs, shown)}}})
	scenes = append(scenes, figure.Scene{Title: "density", Heat: true, Axes: axes, Field: func(x blas32.General, value []float32) error {
		// The density is drawn up to a constant, so log Z is not needed.
		logPDF, _, err := density.Pushforward{Potential: m.Evaluator, Noise: m.Noise}.LogPDF(ctx, x)
		if err != nil {
			return err
		}
		highest := slices.Max(logPDF)
		for i, v := range logPDF {
			value[i] = float32(math.Exp(v - highest))
		}
		return nil
	}})
	if err := figure.DrawScenes(r.Path("points.png"), box, scenes...); err != nil {
		return err
	}
	r.LeadFigure("points.png", names(clouds)+"; level sets of the learned potential w with samples y of its Gibbs factor 𝔓_w ∝ e^{−w}, in units of learning; the density q_w by the Monge–Ampère equation, dark where high. Generated points are ∇w*(y).")
	return nil
}

// drawLine draws histograms of held-out and generated points under the learned
// density and the Gaussian's.
func drawLine(ctx context.Context, r *run.Run, m *fit.Model, law *exact.Gaussian, held, generated figure.Cloud) error {
	const n = 400
	values := batch.Column(held.Points, 0)
	low, high := float64(slices.Min(values)), float64(slices.Max(values))
	z := batch.New(n, 1)
	for i := range n {
		z.Data[i] = float32(low + (high-low)*float64(i)/(n-1))
	}
	x, err := m.Units().Data(z, nil)
	if err != nil {
		return err
	}
	learned, err := m.Density(ctx, z, random.New(1, "figure", 0))
	if err != nil {
		return err
	}
	gaussian, err := law.LogPDF(z)
	if err != nil {
		return err
	}
	volume, err := m.Units().LogVolume(z, blas32.General{})
	if err != nil {
		return err
	}
	for i, v := range volume {
		gaussian[i] += v
	}
	for _, c := range []figure.Cloud{generated, held} {
		points, err := m.Units().Data(c.Points, nil)
		if err != nil {
			return err
		}
		file := "points.png"
		if c.Name == generated.Name {
			file = "generated.png"
		}
		err = figure.DrawHistogram(r.Path(file), figure.Axes{Title: c.Name, X: m.Form().Name(0), Y: "density"}, batch.Column(points, 0), 0,
			interpolated("learned", x, learned.LogPDF), interpolated("Gaussian fit", x, gaussian))
		if err != nil {
			return err
		}
		r.LeadFigure(file, "Histogram of the points "+c.Name+", with the learned density by the Monge–Ampère equation and the density of the Gaussian fit.")
	}
	return nil
}

// interpolated is the density through given log densities at ascending x, and 0 outside.
func interpolated(name string, x blas32.General, logPDF []float64) figure.Function {
	return figure.Function{Name: name, F: func(at float64) float64 {
		i := sort.Search(x.Rows, func(i int) bool { return float64(x.Data[i]) >= at })
		if i == 0 || i == x.Rows {
			return 0
		}
		a, b := float64(x.Data[i-1]), float64(x.Data[i])
		t := (at - a) / (b - a)
		return (1-t)*math.Exp(logPDF[i-1]) + t*math.Exp(logPDF[i])
	}}
}

// drawPoints draws clouds of points in the units of learning: pictures as pictures, other
// points as pairs of coordinates in the data's units.
func drawPoints(r *run.Run, u units.Units, f units.Form, clouds ...figure.Cloud) error {
	for k, c := range clouds {
		x, err := u.Data(batch.First(c.Points, shownPoints), nil)
		if err != nil {
			return err
		}
		clouds[k].Points = x
	}
	if f.Picture() {
		var grids []figure.Tiles
		for _, c := range clouds {
			grids = append(grids, tilesOf(f)(c.Name, c.Points))
		}
		if err := figure.DrawTiles(r.Path("points.png"), grids...); err != nil {
			return err
		}
		r.LeadFigure("points.png", "Pictures: "+names(clouds)+".")
		return nil
	}
	const most = 6
	d := clouds[0].Points.Cols
	columns := make([]string, min(d, most))
	for j := range columns {
		columns[j] = f.Name(j)
	}
	if err := figure.DrawPairs(r.Path("points.png"), columns, clouds[:min(2, len(clouds))]); err != nil {
		return err
	}
	caption := "Pairs of coordinates of " + clouds[0].Name + " points, in the units of the data, and their histograms."
	if len(clouds) > 1 {
		caption = fmt.Sprintf("Pairs of coordinates, in the units of the data: below the diagonal %s, above it as many %s, on it the histograms of both.", clouds[0].Name, clouds[1].Name)
	}
	if d > most {
		caption = fmt.Sprintf("%s The first %d of %d.", caption, most, d)
	}
	r.LeadFigure("points.png", caption)
	return nil
}

// tilesOf arranges the first pictures in a grid.
func tilesOf(f units.Form) func(title string, pixels blas32.General) figure.Tiles {
	return func(title string, pixels blas32.General) figure.Tiles {
		return figure.Tiles{Title: title, Pixels: batch.First(pixels, 64), Height: f.Height, Width: f.Width, Columns: 8, Scale: 2}
	}
}

func names(clouds []figure.Cloud) string {
	text := clouds[0].Name
	for _, c := range clouds[1:] {
		text += ", " + c.Name
	}
	return text
}
