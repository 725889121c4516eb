package figure

import (
	"math"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// arrows are the rows (n, 4) of from, from (x, y) to (x′, y′): a plot.Plotter. Those that
// leave the box are left out.
type arrows struct {
	from blas32.General
	box  Box
}

// Plot implements plot.Plotter.
func (a arrows) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	line := Stroke(ink, .6)
	line.Color = faded(ink)
	for i := range a.from.Rows {
		v := batch.Row(a.from, i)
		if !a.box.contains(v[:2]) || !a.box.contains(v[2:]) {
			continue
		}
		tail, tip := vg.Point{X: x(float64(v[0])), Y: y(float64(v[1]))}, vg.Point{X: x(float64(v[2])), Y: y(float64(v[3]))}
		c.StrokeLine2(line, tail.X, tail.Y, tip.X, tip.Y)
		length := math.Hypot(float64(tip.X-tail.X), float64(tip.Y-tail.Y))
		if length == 0 {
			continue
		}
		// The head is as long as a short arrow at most.
		head := min(3.5, length)
		along := tip.Sub(tail).Scale(vg.Length(head / length))
		across := vg.Point{X: -along.Y, Y: along.X}.Scale(.35)
		back := tip.Sub(along)
		c.FillPolygon(line.Color, []vg.Point{tip, back.Add(across), back.Sub(across)})
	}
}
