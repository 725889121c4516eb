package experiments

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"cmf/data/margins"
	"cmf/data/units"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/density"

	"gonum.org/v1/gonum/blas/blas32"
)

// shownPoints limits the points of a cloud in a figure.
const shownPoints = 2000

// draw draws held-out pictures beside generated ones.
func (s *pointSet) draw(r *run.Run, d *fit.Draw, gaussian blas32.General) error {
	return drawPoints(r, s.units, s.form,
		figure.Cloud{Name: "held out", Points: s.held}, figure.Cloud{Name: "generated", Points: d.Points}, figure.Cloud{Name: "Gaussian fit", Points: gaussian})
}

// axesOf are the axes for points in the units of learning, with marks in the data's units.
func axesOf(m *fit.Model) []figure.Axis {
	axes := make([]figure.Axis, m.Evaluator.Dim())
	switch u := m.Units().(type) {
	case units.Affine:
		for j := range axes {
			axes[j].Name = m.Form().Name(j)
			if u.Scale != nil {
				axes[j].Center, axes[j].Scale = u.Center[j], u.Scale[j]
			}
		}
	case *margins.Margins:
		k := 0
		for j, c := range u.Columns {
			if c.Affine != nil {
				axes[k] = figure.Axis{Name: m.Form().Name(j), Center: c.Affine.Center, Scale: c.Affine.Scale}
				k++
			}
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
	names := make([]string, clouds[0].Points.Cols)
	for j := range names {
		names[j] = f.Name(j)
	}
	return drawPairs(r, names, "", clouds...)
}

// shownColumns limits the columns that are drawn by pairs.
const shownColumns = 6

// drawPairs draws the first columns of clouds in the units of the data by pairs. remark ends
// the caption.
func drawPairs(r *run.Run, columns []string, remark string, clouds ...figure.Cloud) error {
	const most = shownColumns
	d := len(columns)
	columns = columns[:min(d, most)]
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
	r.LeadFigure("points.png", strings.TrimSpace(caption+" "+remark))
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
