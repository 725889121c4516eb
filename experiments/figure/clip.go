package figure

import (
	"image"
	"math"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// clipping draws on a canvas only what lies within its area and a margin. A rasteriser
// takes time in proportion to the length of a path, on the canvas or not, and would fail
// on coordinates that are not finite.
type clipping struct {
	vg.Canvas
	area  draw.Canvas // the canvas with a margin
	moved []bool      // whether coordinates are transformed, for each Push
	marks *int        // paths, texts and pictures drawn so far
}

// clippedTo clips what is drawn on a canvas of the given size, and counts it.
func clippedTo(c vg.Canvas, w, h vg.Length, marks *int) draw.Canvas {
	const margin = vg.Inch
	area := draw.NewCanvas(c, w, h)
	area.Min, area.Max = vg.Point{X: -margin, Y: -margin}, vg.Point{X: w + margin, Y: h + margin}
	return draw.NewCanvas(&clipping{Canvas: c, area: area, moved: []bool{false}, marks: marks}, w, h)
}

func (c *clipping) Push() {
	c.moved = append(c.moved, c.moved[len(c.moved)-1])
	c.Canvas.Push()
}

func (c *clipping) Pop() {
	c.moved = c.moved[:len(c.moved)-1]
	c.Canvas.Pop()
}

func (c *clipping) Rotate(angle float64) {
	c.moved[len(c.moved)-1] = true
	c.Canvas.Rotate(angle)
}

func (c *clipping) Translate(by vg.Point) {
	c.moved[len(c.moved)-1] = true
	c.Canvas.Translate(by)
}

func (c *clipping) Scale(x, y float64) {
	c.moved[len(c.moved)-1] = true
	c.Canvas.Scale(x, y)
}

// Stroke implements vg.Canvas.
func (c *clipping) Stroke(p vg.Path) {
	c.each(p, c.Canvas.Stroke, func(line []vg.Point, closed bool) (parts []vg.Path) {
		if closed {
			line = append(line, line[0])
		}
		for _, part := range c.area.ClipLinesXY(line) {
			parts = append(parts, pathOf(part))
		}
		return parts
	})
}

// Fill implements vg.Canvas.
func (c *clipping) Fill(p vg.Path) {
	c.each(p, c.Canvas.Fill, func(line []vg.Point, _ bool) []vg.Path {
		filled := pathOf(c.area.ClipPolygonXY(line))
		filled.Close()
		return []vg.Path{filled}
	})
}

// FillString implements vg.Canvas.
func (c *clipping) FillString(f font.Face, at vg.Point, text string) {
	if c.contains(at) || c.moved[len(c.moved)-1] && finite(at) {
		*c.marks++
		c.Canvas.FillString(f, at, text)
	}
}

// DrawImage implements vg.Canvas.
func (c *clipping) DrawImage(r vg.Rectangle, img image.Image) {
	if c.contains(r.Min) && c.contains(r.Max) {
		*c.marks++
		c.Canvas.DrawImage(r, img)
	}
}

// each draws a path that lies within the area as it is, and the clipped lines of another.
// A curve that leaves the area is left out.
func (c *clipping) each(p vg.Path, draw func(vg.Path), clip func(line []vg.Point, closed bool) []vg.Path) {
	inside, straight := true, true
	for _, part := range p {
		inside = inside && (part.Type == vg.CloseComp || c.contains(part.Pos))
		straight = straight && part.Type != vg.ArcComp && part.Type != vg.CurveComp
	}
	if inside || c.moved[len(c.moved)-1] {
		*c.marks++
		draw(p)
		return
	}
	if !straight {
		return
	}
	for _, l := range linesOf(p) {
		for _, part := range clip(l.points, l.closed) {
			if len(part) > 1 {
				*c.marks++
				draw(part)
			}
		}
	}
}

func (c *clipping) contains(p vg.Point) bool {
	return p.X >= c.area.Min.X && p.X <= c.area.Max.X && p.Y >= c.area.Min.Y && p.Y <= c.area.Max.Y
}

type polyline struct {
	points []vg.Point
	closed bool
}

// linesOf are the lines of a path of straight parts, cut at points that are not finite.
func linesOf(p vg.Path) (lines []polyline) {
	const far = 1e7 // products of coordinates stay exact enough
	open := false
	for _, part := range p {
		switch at := part.Pos; {
		case part.Type == vg.CloseComp:
			if open {
				lines[len(lines)-1].closed = true
			}
			open = false
		case !finite(at):
			open = false
		default:
			at = vg.Point{X: max(-far, min(far, at.X)), Y: max(-far, min(far, at.Y))}
			if !open || part.Type == vg.MoveComp {
				lines, open = append(lines, polyline{}), true
			}
			last := &lines[len(lines)-1]
			last.points = append(last.points, at)
		}
	}
	return lines
}

func pathOf(points []vg.Point) (p vg.Path) {
	for i, at := range points {
		if i == 0 {
			p.Move(at)
		} else {
			p.Line(at)
		}
	}
	return p
}

func finite(p vg.Point) bool {
	sum := float64(p.X) + float64(p.Y)
	return !math.IsNaN(sum) && !math.IsInf(sum, 0)
}
