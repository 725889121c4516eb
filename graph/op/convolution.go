package op

import (
	"fmt"

	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// Window is a square of Size×Size pixels that slides over pictures of
// Height×Width×Channels numbers. Its positions are Stride pixels apart, all
// within the picture. Pictures are row-major, with the channels of a pixel side
// by side.
type Window struct{ Height, Width, Channels, Size, Stride int }

// Check reports a window that does not fit its picture, or a side above 65536.
func (w Window) Check() error {
	if max(w.Height, w.Width, w.Channels, w.Stride) > 1<<16 {
		return fmt.Errorf("%w: pictures of %d×%d×%d at stride %d; allowed are numbers up to 65536", errShape, w.Height, w.Width, w.Channels, w.Stride)
	}
	if w.Height < 1 || w.Width < 1 || w.Channels < 1 || w.Stride < 1 || w.Size < 1 || w.Size > min(w.Height, w.Width) {
		return fmt.Errorf("%w: squares of %d pixels at stride %d in pictures of %d×%d×%d", errShape, w.Size, w.Stride, w.Height, w.Width, w.Channels)
	}
	return nil
}

// Positions is how many times the window fits, down and across.
func (w Window) Positions() (down, across int) {
	return (w.Height-w.Size)/w.Stride + 1, (w.Width-w.Size)/w.Stride + 1
}

// Inputs is the number of values in a picture.
func (w Window) Inputs() int { return w.Height * w.Width * w.Channels }

// Taps is the number of values in a square.
func (w Window) Taps() int { return w.Size * w.Size * w.Channels }

// Input is the index, within the picture, of a tap of the square at position
// (p, q).
func (w Window) Input(tap, p, q int) int {
	c, j, i := tap%w.Channels, tap/w.Channels%w.Size, tap/w.Channels/w.Size
	return ((i+p*w.Stride)*w.Width+j+q*w.Stride)*w.Channels + c
}

// Convolution declares the (Inputs, P·F) matrix M of a convolution. The F
// columns of the (Taps, F) matrix κ are the filters, and the window has P
// positions. Then x·M holds the responses to the pictures in the rows of x,
// with the F responses of one position side by side:
//
//	M[(i, j, c), (p, f)] = κ[(i−i_p, j−j_p, c), f] within the square at (i_p, j_p), else 0
func (b *Builder) Convolution(w Window, kappa *gorgonia.Node) *gorgonia.Node {
	return b.Apply(convolution(w), kappa)
}

// Matrix is the matrix of Convolution for the given filters, which must have Taps rows.
func (w Window) Matrix(kappa Matrix[float32]) Matrix[float32] {
	down, across := w.Positions()
	m := Matrix[float32]{Rows: w.Inputs(), Cols: down * across * kappa.Cols}
	m.Data = make([]float32, m.Rows*m.Cols)
	bindConvolution[float32](w)(m, []Matrix[float32]{kappa})()
	return m
}

func convolution(w Window) *Op {
	return &Op{
		name: fmt.Sprintf("Convolution%v", w), arity: 1,
		shape: func(in []Shape) (Shape, error) {
			if err := w.Check(); err != nil {
				return Shape{}, err
			}
			if in[0][0] != w.Taps() {
				return Shape{}, fmt.Errorf("%w: filters of %d numbers for squares of %d", errShape, in[0][0], w.Taps())
			}
			down, across := w.Positions()
			return Shape{w.Inputs(), down * across * in[0][1]}, nil
		},
		f32: bindConvolution[float32](w), f64: bindConvolution[float64](w),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Apply(sumPositions(w), g)}
		},
	}
}

// sumPositions is the adjoint of convolution: (Inputs, P·F) to (Taps, F).
func sumPositions(w Window) *Op {
	return &Op{
		name: fmt.Sprintf("SumPositions%v", w), arity: 1,
		shape: func(in []Shape) (Shape, error) {
			if err := w.Check(); err != nil {
				return Shape{}, err
			}
			down, across := w.Positions()
			if in[0][0] != w.Inputs() || in[0][1]%(down*across) != 0 {
				return Shape{}, fmt.Errorf("%w: %v for %d positions in pictures of %d numbers", errShape, in[0], down*across, w.Inputs())
			}
			return Shape{w.Taps(), in[0][1] / (down * across)}, nil
		},
		f32: bindSumPositions[float32](w), f64: bindSumPositions[float64](w),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Convolution(w, g)}
		},
	}
}

func bindConvolution[T kernel.Float](w Window) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		down, across := w.Positions()
		filters := in[0].Cols
		return byRows(out.Rows, out.Cols, func(lo, hi int) {
			clear(out.Data[lo*out.Cols : hi*out.Cols])
			for r := lo; r < hi; r++ {
				c, j, i := r%w.Channels, r/w.Channels%w.Width, r/w.Channels/w.Width
				for p := w.first(i); p <= min(i/w.Stride, down-1); p++ {
					for q := w.first(j); q <= min(j/w.Stride, across-1); q++ {
						tap := ((i-p*w.Stride)*w.Size+j-q*w.Stride)*w.Channels + c
						copy(out.row(r)[(p*across+q)*filters:], in[0].row(tap))
					}
				}
			}
		})
	}
}

// first is the first position, along one side, whose square reaches pixel i.
func (w Window) first(i int) int { return max(0, (i-w.Size+w.Stride)/w.Stride) }

func bindSumPositions[T kernel.Float](w Window) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		down, across := w.Positions()
		filters := out.Cols
		return byRows(out.Rows, in[0].Cols, func(lo, hi int) {
			for tap := lo; tap < hi; tap++ {
				sum := out.row(tap)
				clear(sum)
				for p := range down {
					for q := range across {
						at := (p*across + q) * filters
						kernel.Add(sum, sum, in[0].row(w.Input(tap, p, q))[at:at+filters])
					}
				}
			}
		})
	}
}
