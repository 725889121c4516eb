package monge

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	tables "cmf/data/table"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/experiments/table"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

const (
	shownPoints = 2000 // of a cloud
	shownArrows = 100
)

// clouds are held-out rows of the source and of the target, and the images of the former, in
// units of learning less the centre of the target, and as tables.
type clouds struct {
	source, target, images figure.Cloud
	rows                   [3]*tables.Table // of target, source and images
}

// draw draws held-out rows of the source and of the target, and the images of the former.
// mapped are the images of all rows of the source, and z these in units of learning.
func (t *pair) draw(ctx context.Context, r *run.Run, m *fit.Model, mapped *tables.Table, z blas32.General) error {
	shown := min(t.source.held.x.Rows, t.target.held.x.Rows, shownPoints)
	source, target := t.source.held.rows[:shown], t.target.held.rows[:shown]
	c := clouds{
		source: figure.Cloud{Name: "source", Points: t.about(points{batch.Gathered(t.source.x, source), t.shift}, true)},
		target: figure.Cloud{Name: "target", Points: batch.Gathered(t.target.x, target)},
		images: figure.Cloud{Name: "transported", Points: batch.Gathered(z, source)},
		rows:   [3]*tables.Table{t.target.rows.Rowed(target), t.source.rows.Rowed(source), mapped.Rowed(source)},
	}
	switch d := len(t.learned); {
	case d == 1:
		return t.drawLine(ctx, r, m, c)
	case d > 3:
		return t.drawPairs(r, c)
	case d == 3:
		if err := t.drawPairs(r, c); err != nil {
			return err
		}
	}
	return t.drawPlanes(r, c)
}

// drawPlanes draws the clouds of two coordinates, and arrows from rows of the source to
// their images; of three coordinates the target and the arrows, for every pair.
func (t *pair) drawPlanes(r *run.Run, c clouds) error {
	pairs, apart, file := [][2]int{{0, 1}}, []figure.Cloud{c.source, c.target, c.images}, "points.png"
	caption := "Held-out rows of the source and of the target, the images of the former under the map, and arrows from some rows to their images."
	if len(t.learned) == 3 {
		pairs, apart, file = [][2]int{{0, 1}, {0, 2}, {1, 2}}, []figure.Cloud{c.target}, "arrows.png"
		caption = "Held-out rows of the target in each pair of coordinates, and arrows from rows of the source to their images."
	}
	of := func(c figure.Cloud, p [2]int) figure.Cloud {
		return figure.Cloud{Name: c.Name, Points: plane(c.Points, p)}
	}
	var scenes, arrows []figure.Scene
	for _, p := range pairs {
		axes := []figure.Axis{t.axis(p[0]), t.axis(p[1])}
		for _, cloud := range apart {
			scenes = append(scenes, figure.Scene{Title: cloud.Name, Axes: axes, Clouds: []figure.Cloud{of(cloud, p)}})
		}
		y, x := of(c.source, p), of(c.images, p)
		arrows = append(arrows, figure.Scene{Title: "the map", Axes: axes, Clouds: []figure.Cloud{y, x}, Arrows: between(y.Points, x.Points)})
	}
	if err := figure.DrawScenes(r.Path(file), figure.Box{}, append(scenes, arrows...)...); err != nil {
		return err
	}
	r.LeadFigure(file, caption)
	return nil
}

// plane are two coordinates of points.
func plane(x blas32.General, of [2]int) blas32.General {
	out := batch.New(x.Rows, 2)
	for i := range x.Rows {
		for k, j := range of {
			batch.Row(out, i)[k] = batch.Row(x, i)[j]
		}
	}
	return out
}

// axis marks coordinate j in the units of the files.
func (t *pair) axis(j int) figure.Axis {
	column := t.target.units.Columns[t.learned[j]]
	return figure.Axis{Name: t.name(j), Center: column.Affine.Center, Scale: column.Affine.Scale}
}

// name is the name of coordinate j.
func (t *pair) name(j int) string { return t.source.rows.Name(t.learned[j]) }

// between are arrows from the first rows of x to those of y.
func between(x, y blas32.General) blas32.General {
	out := batch.New(min(x.Rows, shownArrows), 4)
	for i := range out.Rows {
		copy(batch.Row(out, i), batch.Row(x, i))
		copy(batch.Row(out, i)[2:], batch.Row(y, i))
	}
	return out
}

// drawPairs draws the leading columns in pairs.
func (t *pair) drawPairs(r *run.Run, c clouds) error {
	const most = 6
	d := len(t.learned)
	var shown []figure.Cloud
	for k, name := range []string{c.target.Name, c.source.Name, c.images.Name} {
		rows := &tables.Table{}
		for _, j := range t.learned[:min(d, most)] {
			rows.Columns = append(rows.Columns, c.rows[k].Columns[j])
		}
		c.rows[k] = rows
		shown = append(shown, figure.Cloud{Name: name, Points: table.Shown(rows, c.rows[0], shownPoints)})
	}
	if err := figure.DrawPairs(r.Path("points.png"), table.ShownNames(c.rows[0]), shown); err != nil {
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
func (t *pair) drawLine(ctx context.Context, r *run.Run, m *fit.Model, c clouds) error {
	const n = 300
	values := batch.Column(t.source.held.x, 0)
	low, high := float64(slices.Min(values)), float64(slices.Max(values))
	y := batch.New(n, 1)
	for i := range n {
		y.Data[i] = float32(low + (high-low)*float64(i)/(n-1))
	}
	x, _, err := m.Transport(ctx, y, false)
	if err != nil {
		return err
	}
	linear, err := t.linear(y)
	if err != nil {
		return err
	}
	of := func(s *side, z blas32.General) []float64 {
		out, u := make([]float64, z.Rows), s.units.Columns[t.learned[0]].Affine
		for i := range out {
			out[i] = u.Center + u.Scale*float64(batch.Row(z, i)[0])
		}
		return out
	}
	at, same := of(&t.source, y), figure.Series{Name: "identity"}
	same.X, same.Y = at, at
	name := t.name(0)
	err = figure.DrawCurves(r.Path("map.png"), figure.Axes{Title: "the map", X: name + " of the source", Y: name + " of the target"},
		figure.Series{Name: "learned", X: at, Y: of(&t.target, x)}, figure.Series{Name: "linear", X: at, Y: of(&t.target, linear)}, same)
	if err != nil {
		return err
	}
	r.LeadFigure("map.png", "The learned map, the linear map between Gaussian fits, and the identity.")
	curves, err := densities(map[string][]float64{"source": c.rows[1].Columns[t.learned[0]].Values, "target": c.rows[0].Columns[t.learned[0]].Values, "transported": c.rows[2].Columns[t.learned[0]].Values})
	if err != nil {
		return err
	}
	if err := figure.DrawCurves(r.Path("points.png"), figure.Axes{X: name, Y: "density"}, curves...); err != nil {
		return err
	}
	r.LeadFigure("points.png", "Histograms of held-out rows of the source and of the target, and of the images of the former.")
	return nil
}

// densities are the outlines of histograms of values by name, in bins of one width.
func densities(of map[string][]float64) (curves []figure.Series, err error) {
	low, high, rows := math.Inf(1), math.Inf(-1), 0
	for _, values := range of {
		low, high, rows = min(low, slices.Min(values)), max(high, slices.Max(values)), len(values)
	}
	if !(low < high) || math.IsInf(high-low, 0) {
		return nil, fmt.Errorf("points from %g to %g have no histogram", low, high)
	}
	bins := max(10, int(3*math.Cbrt(float64(rows))))
	width := (high - low) / float64(bins)
	for _, name := range slices.Sorted(maps.Keys(of)) {
		values := of[name]
		count := make([]float64, bins)
		for _, v := range values {
			count[min(bins-1, int((v-low)/width))] += 1 / (width * float64(len(values)))
		}
		s := figure.Series{Name: name, X: []float64{low}, Y: []float64{0}}
		for k, h := range count {
			left := low + width*float64(k)
			s.X, s.Y = append(s.X, left, left+width), append(s.Y, h, h)
		}
		s.X, s.Y = append(s.X, high), append(s.Y, 0)
		curves = append(curves, s)
	}
	return curves, nil
}
