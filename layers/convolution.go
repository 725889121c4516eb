package layers

import (
	"fmt"

	"cmf/graph"
	"cmf/graph/op"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// Convolution is a hidden layer of Filters filters on squares of Size×Size. The
// squares lie Stride apart on the picture below, with Padding pixels of zeros
// around it: the pixels for the first such layer, the responses of the layer
// below for the others. The skip of a layer has filters of its own, on the same
// squares of the point x, resized to the picture below. Each response has its own
// bias.
type Convolution struct {
	Filters, Size, Stride int
	Padding               int `json:",omitempty"`
}

// Widths returns the widths of all hidden layers: positions times filters of
// each convolution, then Hidden. Convolutions that do not fit are an error.
func (a Architecture) Widths() ([]int, error) {
	_, widths, err := a.convolve()
	return append(widths, a.Hidden...), err
}

// Shapes are the shapes of the weights B, W and b of a hidden layer. In a
// convolution the filters take the place of B and W. Weigh is {0, 0} in the
// first layer.
type Shapes struct{ Skip, Weigh, Bias [2]int }

// Shapes returns the shapes of the weights of all hidden layers.
func (a Architecture) Shapes() ([]Shapes, error) {
	_, shapes, err := a.layout()
	return shapes, err
}

// layout returns how the convolutions lie on pictures, and the shapes of all
// hidden layers.
func (a Architecture) layout() (over []*slide, shapes []Shapes, err error) {
	over, widths, err := a.convolve()
	widths = append(widths, a.Hidden...)
	shapes = make([]Shapes, len(widths))
	for l, h := range widths {
		s := Shapes{Skip: [2]int{a.Dim, h}, Bias: [2]int{1, h}}
		if l > 0 {
			s.Weigh = [2]int{widths[l-1], h}
		}
		if l < len(over) {
			s.Skip = [2]int{over[l].skip.Taps(), a.Convolutions[l].Filters}
			if l > 0 {
				s.Weigh = [2]int{over[l].weigh.Taps(), a.Convolutions[l].Filters}
			}
		}
		shapes[l] = s
	}
	return over, shapes, err
}

// slide is how the squares of a convolution lie on x, which is first resized
// where resize is set, and on the layer below. In the first layer weigh is not
// used.
type slide struct {
	resize      *op.Resizing
	skip, weigh op.Window
}

// convolve lays the convolutions over the picture and returns their widths too.
func (a Architecture) convolve() (over []*slide, widths []int, err error) {
	if len(a.Convolutions) == 0 {
		return nil, nil, nil
	}
	pixels := op.Window{Height: a.Picture[0], Width: a.Picture[1], Channels: a.Picture[2], Size: 1, Stride: 1}
	if pixels.Check() != nil || pixels.Inputs() != a.Dim {
		return nil, nil, fmt.Errorf("layers: pictures of %d×%d×%d numbers do not fit ℝ^%d", a.Picture[0], a.Picture[1], a.Picture[2], a.Dim)
	}
	below := pixels
	for l, c := range a.Convolutions {
		w := below
		w.Size, w.Stride, w.Padding = c.Size, c.Stride, c.Padding
		if err := w.Check(); err != nil || c.Filters < 1 || c.Filters > 1<<16 {
			return nil, nil, fmt.Errorf("layers: convolution %d, %+v, over a picture of %d×%d; it needs 1 to 65536 filters, a stride of at least 1, squares that fit and a padding of less than their size", l, c, w.Height, w.Width)
		}
		down, across := w.Positions()
		if width, most := down*across*c.Filters, 1<<27; width > most/max(a.Dim, w.Taps()) {
			return nil, nil, fmt.Errorf("layers: convolution %d, %+v, over a picture of %d×%d has a Jacobian of more than 2²⁷ numbers", l, c, w.Height, w.Width)
		}
		s := &slide{skip: w, weigh: w}
		s.skip.Channels = pixels.Channels
		if w.Height != pixels.Height || w.Width != pixels.Width {
			s.resize = &op.Resizing{Height: pixels.Height, Width: pixels.Width, Channels: pixels.Channels, ToHeight: w.Height, ToWidth: w.Width}
		}
		over = append(over, s)
		widths = append(widths, down*across*c.Filters)
		below = op.Window{Height: down, Width: across, Channels: c.Filters}
	}
	return over, widths, nil
}

// view is x as the skips of a layer see it: resized in a convolutional layer.
func (l Layer) view(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	if !l.resizes() {
		return x
	}
	return s.Resize(*l[0].over.resize, x)
}

func (l Layer) resizes() bool { return l[0].over != nil && l[0].over.resize != nil }

// skipped is x·B of the view x, for B or any other weight of the skips.
func (p Piece) skipped(s *graph.Scope, x *gorgonia.Node, b *graph.Param) *gorgonia.Node {
	if p.over == nil {
		return s.MatMul(x, false, s.Param(b), false)
	}
	return s.Convolve(p.over.skip, x, s.Param(b))
}

// skippedBack is δ·Bᵀ, the adjoint of skipped.
func (p Piece) skippedBack(s *graph.Scope, delta *gorgonia.Node, b *graph.Param) *gorgonia.Node {
	if p.over == nil {
		return s.MatMul(delta, false, s.Param(b), true)
	}
	return s.ConvolveTransposed(p.over.skip, delta, s.Param(b))
}

// weighed is z·W.
func (p Piece) weighed(s *graph.Scope, z *gorgonia.Node) *gorgonia.Node {
	if p.over == nil {
		return s.MatMul(z, false, s.Param(p.Weigh), false)
	}
	return s.Convolve(p.over.weigh, z, s.Param(p.Weigh))
}

// weighedBack is δ·Wᵀ.
func (p Piece) weighedBack(s *graph.Scope, delta *gorgonia.Node) *gorgonia.Node {
	if p.over == nil {
		return s.MatMul(delta, false, s.Param(p.Weigh), true)
	}
	return s.ConvolveTransposed(p.over.weigh, delta, s.Param(p.Weigh))
}

// viewOf computes view.
func (l Layer) viewOf(x blas32.General) blas32.General {
	if !l.resizes() {
		return x
	}
	return general(l[0].over.resize.Resize(dense(x)))
}

// skippedOf computes skipped of the view x.
func (p Piece) skippedOf(x blas32.General, b *graph.Param) blas32.General {
	if p.over == nil {
		return product(x, paramMatrix(b))
	}
	return general(p.over.skip.Convolve(dense(x), dense(paramMatrix(b))))
}

// weighedOf computes weighed.
func (p Piece) weighedOf(z blas32.General) blas32.General {
	if p.over == nil {
		return product(z, paramMatrix(p.Weigh))
	}
	return general(p.over.weigh.Convolve(dense(z), dense(paramMatrix(p.Weigh))))
}
