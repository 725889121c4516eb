package op

import (
	"fmt"

	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// Resizing takes pictures of Height×Width×Channels numbers to ToHeight×ToWidth
// pixels. Pictures are laid out as for a Window.
type Resizing struct{ Height, Width, Channels, ToHeight, ToWidth int }

// Resize declares the pictures x, (n, Height·Width·Channels), resized: each new
// pixel is the mean of x over the area that it covers, in which a pixel of x
// counts by the part of it that lies there. From 28×28 to 14×14 this is average
// pooling over squares of 2×2.
func (b *Builder) Resize(r Resizing, x *gorgonia.Node) *gorgonia.Node {
	return b.Apply(resize(r, false), x)
}

// ResizeTransposed declares the adjoint of Resize, which takes g,
// (n, ToHeight·ToWidth·Channels), to (n, Height·Width·Channels).
func (b *Builder) ResizeTransposed(r Resizing, g *gorgonia.Node) *gorgonia.Node {
	return b.Apply(resize(r, true), g)
}

// Resize computes Resize into new memory.
func (r Resizing) Resize(x Matrix[float32]) Matrix[float32] {
	y := newMatrix[float32](x.Rows, r.to())
	bindResize[float32](r, false)(y, []Matrix[float32]{x})()
	return y
}

func (r Resizing) from() int { return r.Height * r.Width * r.Channels }
func (r Resizing) to() int   { return r.ToHeight * r.ToWidth * r.Channels }

func resize(r Resizing, transposed bool) *Op {
	name, from, to := "Resize", r.from(), r.to()
	if transposed {
		name, from, to = "ResizeTransposed", to, from
	}
	return &Op{
		name: fmt.Sprintf("%s%v", name, r), arity: 1, onRows: true,
		shape: func(in []Shape) (Shape, error) {
			if min(r.Height, r.Width, r.Channels, r.ToHeight, r.ToWidth) < 1 || in[0][1] != from {
				return Shape{}, fmt.Errorf("%w: rows of %d numbers for pictures of %d×%d×%d, resized to %d×%d", errShape, in[0][1], r.Height, r.Width, r.Channels, r.ToHeight, r.ToWidth)
			}
			return Shape{in[0][0], to}, nil
		},
		f32: bindResize[float32](r, transposed), f64: bindResize[float64](r, transposed),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Apply(resize(r, !transposed), g)}
		},
	}
}

// share is the part of a pixel in the mean that is a new pixel, along one side.
type share struct {
	pixel, of int
	weight    float64
}

// shares lists the shares along a side of n pixels that becomes m.
func shares(n, m int) (s []share) {
	for p := range m {
		// In units of 1/m of a pixel, new pixel p covers [p·n, (p+1)·n).
		for i := p * n / m; i*m < (p+1)*n; i++ {
			common := min((i+1)*m, (p+1)*n) - max(i*m, p*n)
			s = append(s, share{i, p, float64(common) / float64(n)})
		}
	}
	return s
}

// ResizeSides are the matrices D, (ToHeight, Height), and A, (ToWidth, Width),
// with which Resize takes each channel X of a picture to D·X·Aᵀ.
func (r Resizing) ResizeSides() (down, across Matrix[float64]) {
	side := func(n, m int) Matrix[float64] {
		s := newMatrix[float64](m, n)
		for _, v := range shares(n, m) {
			s.row(v.of)[v.pixel] = v.weight
		}
		return s
	}
	return side(r.Height, r.ToHeight), side(r.Width, r.ToWidth)
}

func bindResize[T kernel.Float](r Resizing, transposed bool) binder[T] {
	down, across := shares(r.Height, r.ToHeight), shares(r.Width, r.ToWidth)
	return func(out Matrix[T], in []Matrix[T]) func() {
		return byRows(out.Rows, r.from(), func(lo, hi int) {
			clear(out.Data[lo*out.Cols : hi*out.Cols])
			for k := lo; k < hi; k++ {
				from, to := in[0].row(k), out.row(k)
				for _, v := range down {
					for _, h := range across {
						i, j := (v.pixel*r.Width+h.pixel)*r.Channels, (v.of*r.ToWidth+h.of)*r.Channels
						if transposed {
							i, j = j, i
						}
						weight := T(v.weight * h.weight)
						for c, x := range from[i:][:r.Channels] {
							to[j+c] += weight * x
						}
					}
				}
			}
		})
	}
}
