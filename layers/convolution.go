package layers

import (
	"fmt"
	"math"

	"cmf/graph"
	"cmf/graph/op"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// Convolution is a hidden layer of Filters filters on squares of Size×Size. The
// squares lie Stride apart on the picture below: the pixels for the first such
// layer, the responses of the layer below for the others. The skip from the
// pixels sees the pixels that reach each square through the layers between.
// Each response has its own bias.
type Convolution struct{ Filters, Size, Stride int }

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

// layout returns the windows of the convolutions, and the shapes of all hidden
// layers.
func (a Architecture) layout() (over []windows, shapes []Shapes, err error) {
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
			if w := over[l].weigh; w != nil {
				s.Weigh = [2]int{w.Taps(), a.Convolutions[l].Filters}
			}
		}
		shapes[l] = s
	}
	return over, shapes, err
}

// windows are the windows of a layer: skip over the pixels, and weigh over the
// layer below if that is convolutional too.
type windows struct{ skip, weigh *op.Window }

// convolve lays the convolutions over the picture and returns their windows and
// widths.
func (a Architecture) convolve() (over []windows, widths []int, err error) {
	if len(a.Convolutions) == 0 {
		return nil, nil, nil
	}
	pixels := op.Window{Height: a.Picture[0], Width: a.Picture[1], Channels: a.Picture[2], Size: 1, Stride: 1}
	if pixels.Check() != nil || pixels.Inputs() != a.Dim {
		return nil, nil, fmt.Errorf("layers: pictures of %d×%d×%d numbers do not fit ℝ^%d", a.Picture[0], a.Picture[1], a.Picture[2], a.Dim)
	}
	below, skip := pixels, pixels
	for l, c := range a.Convolutions {
		w := below
		w.Size, w.Stride = c.Size, c.Stride
		if err := w.Check(); err != nil || c.Filters < 1 || c.Filters > 1<<16 {
			return nil, nil, fmt.Errorf("layers: convolution %d, %+v, over a picture of %d×%d; it needs 1 to 65536 filters, a stride of at least 1 and squares that fit", l, c, w.Height, w.Width)
		}
		down, across := w.Positions()
		if width, most := down*across*c.Filters, 1<<27; width > most/max(a.Dim, w.Inputs()) {
			return nil, nil, fmt.Errorf("layers: convolution %d, %+v, over a picture of %d×%d is a matrix of more than 2²⁷ numbers", l, c, w.Height, w.Width)
		}
		skip.Size += (c.Size - 1) * skip.Stride
		skip.Stride = min(skip.Stride*c.Stride, 1<<16)
		s := skip
		if l == 0 {
			over = append(over, windows{skip: &s})
		} else {
			over = append(over, windows{&s, &w})
		}
		widths = append(widths, down*across*c.Filters)
		below = op.Window{Height: down, Width: across, Channels: c.Filters}
	}
	return over, widths, nil
}

// matrixNode is the weight p as the matrix that multiplies rows.
func matrixNode(s *graph.Scope, p *graph.Param, over *op.Window) *gorgonia.Node {
	if over == nil {
		return s.Param(p)
	}
	return s.Convolution(*over, s.Param(p))
}

// matrixOf is the value of matrixNode: p's own memory where p is not a
// convolution.
func matrixOf(p *graph.Param, over *op.Window) blas32.General {
	m := paramMatrix(p)
	if over == nil {
		return m
	}
	c := over.Matrix(op.Matrix[float32]{Rows: m.Rows, Cols: m.Cols, Data: m.Data})
	return blas32.General{Rows: c.Rows, Cols: c.Cols, Stride: c.Cols, Data: c.Data}
}

// patches fills each filter of κ with the difference of two points within one
// square, scaled to length 1. It takes the longest of a few differences,
// because most squares of a picture may show only the background.
func patches(kappa blas32.General, w op.Window, data blas32.General, rng *random.Stream) {
	const tries = 8
	down, across := w.Positions()
	best, next := make([]float32, kappa.Rows), make([]float32, kappa.Rows)
	for f := range kappa.Cols {
		var longest float64
		rng.Normals(best)
		for range tries {
			x, y := data.Data[rng.IntN(data.Rows)*data.Stride:], data.Data[rng.IntN(data.Rows)*data.Stride:]
			p, q := rng.IntN(down), rng.IntN(across)
			var squares float64
			for tap := range next {
				k := w.Input(tap, p, q)
				next[tap] = x[k] - y[k]
				squares += float64(next[tap]) * float64(next[tap])
			}
			if squares > longest {
				longest = squares
				best, next = next, best
			}
		}
		var squares float64
		for _, v := range best {
			squares += float64(v) * float64(v)
		}
		for tap, v := range best {
			kappa.Data[tap*kappa.Stride+f] = v / float32(math.Sqrt(squares))
		}
	}
}
