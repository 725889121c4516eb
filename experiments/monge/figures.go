package monge

import (
	"context"
	"fmt"
	"math"
	"slices"

	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

const (
	shownPoints = 2000 // of a cloud
	shownArrows = 100
)

// draw draws held-out rows of the source and of the target, and the images of the former.
// mapped are the images of all rows of the source.
func (t *tables) draw(ctx context.Context, r *run.Run, m *fit.Model, mapped blas32.General) error {
	shown := min(t.source.held.Rows, t.target.held.Rows, shownPoints)
	source := figure.Cloud{Name: "source", Points: t.source.heldOut(t.source.x, shown)}
	target := figure.Cloud{Name: "target", Points: t.target.heldOut(t.target.x, shown)}
	transported := figure.Cloud{Name: "transported", Points: t.source.heldOut(mapped, shown)}
	switch d := source.Points.Cols; {
	case d == 1:
		return t.drawLine(ctx, r, m, source, target, transported)
	case d > 3:
		return t.drawPairs(r, source, target, transported)
	case d == 3:
		if err := t.drawPairs(r, source, target, transported); err != nil {
			return err
		}
	}
	return t.drawPlanes(r, source, target, transported)
}

// drawPlanes draws the clouds of two coordinates, and arrows from rows of the source to
// their images; of three coordinates the target and the arrows, for every pair.
func (t *tables) drawPlanes(r *run.Run, source, target, transported figure.Cloud) error {
	pairs, apart, file := [][2]int{{0, 1}}, []figure.Cloud{source, target, transported}, "points.png"
	caption := "Held-out rows of the source and of the target, the images of the former under the map, and arrows from some rows to their images."
	if source.Points.Cols == 3 {
		pairs, apart, file = [][2]int{{0, 1}, {0, 2}, {1, 2}}, []figure.Cloud{target}, "arrows.png"
		caption = "Held-out rows of the target in each pair of coordinates, and arrows from rows of the source to their images."
	}
	of := func(c figure.Cloud, p [2]int) figure.Cloud {
		return figure.Cloud{Name: c.Name, Points: t.plane(c.Points, p)}
	}
	var scenes, arrows []figure.Scene
	for _, p := range pairs {
		axes := []figure.Axis{t.axis(p[0]), t.axis(p[1])}
		for _, c := range apart {
			scenes = append(scenes, figure.Scene{Title: c.Name, Axes: axes, Clouds: []figure.Cloud{of(c, p)}})
		}
		y, x := of(source, p), of(transported, p)
		arrows = append(arrows, figure.Scene{Title: "the map", Axes: axes, Clouds: []figure.Cloud{y, x}, Arrows: between(y.Points, x.Points)})
	}
	if err := figure.DrawScenes(r.Path(file), figure.Box{}, append(scenes, arrows...)...); err != nil {
		return err
	}
	r.LeadFigure(file, caption)
	return nil
}

// plane are two coordinates of points, in units of learning about the target's mean.
func (t *tables) plane(x blas32.General, of [2]int) blas32.General {
	out, u := batch.New(x.Rows, 2), t.target.units
	for i := range x.Rows {
		for k, j := range of {
			batch.Row(out, i)[k] = float32((float64(batch.Row(x, i)[j]) - u.Center[j]) / u.Scale[j])
		}
	}
	return out
}

// axis marks coordinate j of plane in the units of the files.
func (t *tables) axis(j int) figure.Axis {
	u := t.target.units
	return figure.Axis{Name: t.source.form.Name(j), Center: u.Center[j], Scale: u.Scale[j]}
}

// between are arrows from the first rows of x to those of y.
func between(x, y blas32.General) blas32.General {
	out := batch.New(min(x.Rows, shownArrows), 4)
	for i := range out.Rows {
		copy(batch.Row(out, i), batch.Row(x, i))
		copy(batch.Row(out, i)[2:], batch.Row(y, i))
	}
	return out
}

// drawPairs draws the leading coordinates in pairs.
func (t *tables) drawPairs(r *run.Run, source, target, transported figure.Cloud) error {
	const most = 6
	d := source.Points.Cols
	columns := make([]string, min(d, most))
	for j := range columns {
		columns[j] = t.source.form.Name(j)
	}
	if err := figure.DrawPairs(r.Path("points.png"), columns, []figure.Cloud{target, source, transported}); err != nil {
		return err
	}
	caption := "Pairs of coordinates: below the diagonal held-out rows of the target, above it the images of held-out rows of the source, on it the histograms of target, source and images."
	if d > most {
		caption = fmt.Sprintf("%s The first %d of %d.", caption, most, d)
	}
	r.LeadFigure("points.png", caption)
	return nil
}

// drawLine draws the densities of source, target and images, and the curve of the map.
func (t *tables) drawLine(ctx context.Context, r *run.Run, m *fit.Model, source, target, transported figure.Cloud) error {
	const n = 300
	values := batch.Column(source.Points, 0)
	slices.Sort(values)
	low, high := float64(values[0]), float64(values[len(values)-1])
	y := batch.New(n, 1)
	for i := range n {
		y.Data[i] = float32(low + (high-low)*float64(i)/(n-1))
	}
	x, _, err := m.Map(ctx, y)
	if err != nil {
		return err
	}
	learning, err := t.source.units.Learning(y)
	if err != nil {
		return err
	}
	linear, err := t.linear(learning)
	if err != nil {
		return err
	}
	at, same := wide(y), figure.Series{Name: "identity"}
	same.X, same.Y = at, at
	name := t.source.form.Name(0)
	err = figure.DrawCurves(r.Path("map.png"), figure.Axes{Title: "the map", X: name + " of the source", Y: name + " of the target"},
		figure.Series{Name: "learned", X: at, Y: wide(x)}, figure.Series{Name: "linear", X: at, Y: wide(linear)}, same)
	if err != nil {
		return err
	}
	r.LeadFigure("map.png", "The learned map, the linear map between Gaussian fits, and the identity.")
	curves, err := densities(source, target, transported)
	if err != nil {
		return err
	}
	if err := figure.DrawCurves(r.Path("points.png"), figure.Axes{X: name, Y: "density"}, curves...); err != nil {
		return err
	}
	r.LeadFigure("points.png", "Histograms of held-out rows of the source and of the target, and of the images of the former.")
	return nil
}

// densities are the outlines of histograms of clouds of the line, in bins of one width.
func densities(clouds ...figure.Cloud) (curves []figure.Series, err error) {
	low, high, rows := math.Inf(1), math.Inf(-1), 0
	for _, c := range clouds {
		for _, v := range batch.Column(c.Points, 0) {
			low, high = min(low, float64(v)), max(high, float64(v))
		}
		rows = c.Points.Rows
	}
	if !(low < high) || math.IsInf(high-low, 0) {
		return nil, fmt.Errorf("points from %g to %g have no histogram", low, high)
	}
	bins := max(10, int(3*math.Cbrt(float64(rows))))
	width := (high - low) / float64(bins)
	for _, c := range clouds {
		count := make([]float64, bins)
		for _, v := range batch.Column(c.Points, 0) {
			count[min(bins-1, int((float64(v)-low)/width))] += 1 / (width * float64(c.Points.Rows))
		}
		s := figure.Series{Name: c.Name, X: []float64{low}, Y: []float64{0}}
		for k, h := range count {
			left := low + width*float64(k)
			s.X, s.Y = append(s.X, left, left+width), append(s.Y, h, h)
		}
		s.X, s.Y = append(s.X, high), append(s.Y, 0)
		curves = append(curves, s)
	}
	return curves, nil
}

// wide is the first column in float64.
func wide(x blas32.General) []float64 {
	out := make([]float64, x.Rows)
	batch.Widen(out, batch.Column(x, 0))
	return out
}
