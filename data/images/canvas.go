package images

import "math"

// shape is the signed distance of a point from an outline, negative within, in
// units of half a picture; x and y run from −1 to 1, to the right and down.
type shape func(x, y float64) float64

// canvas is a picture of side × side pixels, its three planes one after another.
type canvas struct {
	planes []float32
	side   int
}

func (c canvas) fill(ground colour) {
	area := c.side * c.side
	for k, v := range ground {
		plane := c.planes[k*area:][:area]
		for p := range plane {
			plane[p] = float32(v)
		}
	}
}

// paint covers a shape, softened over the width of a pixel.
func (c canvas) paint(with colour, s shape) {
	const block = 8
	for i := 0; i < c.side; i += block {
		for j := 0; j < c.side; j += block {
			// Most shapes are small: a block is skipped if its middle is far
			// off. The margin allows for distances that are approximate.
			if half := float64(c.side) / 2; half*s((float64(j)+block/2)/half-1, (float64(i)+block/2)/half-1) > 3*block {
				continue
			}
			c.paintBlock(with, s, i, min(i+block, c.side), j, min(j+block, c.side))
		}
	}
}

// paintBlock paints the pixels of rows i0 to i1−1 and columns j0 to j1−1.
func (c canvas) paintBlock(with colour, s shape, i0, i1, j0, j1 int) {
	area, half := c.side*c.side, float64(c.side)/2
	for i := i0; i < i1; i++ {
		y := (float64(i)+.5)/half - 1
		for j := j0; j < j1; j++ {
			cover := min(max(.5-half*s((float64(j)+.5)/half-1, y), 0), 1)
			if cover == 0 {
				continue
			}
			for k, v := range with {
				p := &c.planes[k*area+i*c.side+j]
				*p += float32(cover) * (float32(v) - *p)
			}
		}
	}
}

// ellipse has half axes a and b about (x0, y0).
func ellipse(x0, y0, a, b float64) shape {
	return func(x, y float64) float64 { return toEllipse(x-x0, y-y0, a, b) }
}

// toEllipse is the distance of (x, y) from the ellipse of half axes a and b about
// the origin, to first order.
func toEllipse(x, y, a, b float64) float64 {
	u, v := x/a, y/b
	r := math.Hypot(u, v)
	if r == 0 {
		return -min(a, b)
	}
	return (r - 1) * r / math.Hypot(u/a, v/b)
}

// ring is a circle of radius r drawn with a pen of the given width.
func ring(x0, y0, r, width float64) shape {
	return func(x, y float64) float64 { return math.Abs(math.Hypot(x-x0, y-y0)-r) - width/2 }
}

// segment is a line drawn with a round pen of radius r.
func segment(x0, y0, x1, y1, r float64) shape {
	dx, dy := x1-x0, y1-y0
	return func(x, y float64) float64 {
		t := min(max(((x-x0)*dx+(y-y0)*dy)/(dx*dx+dy*dy), 0), 1)
		return math.Hypot(x-x0-t*dx, y-y0-t*dy) - r
	}
}

// box has half sides a and b about (x0, y0), with corners of radius r.
func box(x0, y0, a, b, r float64) shape {
	return func(x, y float64) float64 {
		u, v := math.Abs(x-x0)-a+r, math.Abs(y-y0)-b+r
		return math.Hypot(max(u, 0), max(v, 0)) + min(max(u, v), 0) - r
	}
}

// below is the half plane under y0.
func below(y0 float64) shape { return func(_, y float64) float64 { return y0 - y } }

func both(a, b shape) shape {
	return func(x, y float64) float64 { return max(a(x, y), b(x, y)) }
}

func notIn(a shape) shape { return func(x, y float64) float64 { return -a(x, y) } }
