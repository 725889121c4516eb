package op

import (
	"fmt"

	"cmf/graph/blas"
	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// Window is a square of Size×Size pixels that slides over pictures of
// Height×Width×Channels numbers, with Padding pixels of zeros around them. Its
// positions are Stride pixels apart. Pictures are row-major, with the channels
// of a pixel side by side, and a row of a batch is a picture.
type Window struct{ Height, Width, Channels, Size, Stride, Padding int }

// Check reports a window that does not fit its picture or may lie beside it, or
// a side above 65536.
func (w Window) Check() error {
	if max(w.Height, w.Width, w.Channels, w.Stride) > 1<<16 {
		return fmt.Errorf("%w: pictures of %d×%d×%d at stride %d; allowed are numbers up to 65536", errShape, w.Height, w.Width, w.Channels, w.Stride)
	}
	if w.Height < 1 || w.Width < 1 || w.Channels < 1 || w.Stride < 1 || w.Size < 1 || w.Size > min(w.Height, w.Width) {
		return fmt.Errorf("%w: squares of %d pixels at stride %d in pictures of %d×%d×%d", errShape, w.Size, w.Stride, w.Height, w.Width, w.Channels)
	}
	if w.Padding < 0 || w.Padding >= w.Size {
		return fmt.Errorf("%w: %d pixels of zeros around pictures for squares of %d; allowed are fewer than that", errShape, w.Padding, w.Size)
	}
	return nil
}

// Positions is how many times the window fits, down and across.
func (w Window) Positions() (down, across int) {
	return (w.Height+2*w.Padding-w.Size)/w.Stride + 1, (w.Width+2*w.Padding-w.Size)/w.Stride + 1
}

// Inputs is the number of values in a picture.
func (w Window) Inputs() int { return w.Height * w.Width * w.Channels }

// Taps is the number of values in a square.
func (w Window) Taps() int { return w.Size * w.Size * w.Channels }

// Input is the index, within the picture, of a tap of the square at position
// (p, q); ok is false where it lies in the padding.
func (w Window) Input(tap, p, q int) (index int, ok bool) {
	c, j, i := tap%w.Channels, tap/w.Channels%w.Size, tap/w.Channels/w.Size
	i, j = i+p*w.Stride-w.Padding, j+q*w.Stride-w.Padding
	return (i*w.Width+j)*w.Channels + c, i >= 0 && j >= 0 && i < w.Height && j < w.Width
}

// Convolve declares the responses to the pictures x, (n, Inputs), of the filters
// in the F columns of κ, (Taps, F). The result is (n, P·F) for P positions of the
// window, a picture of F channels:
//
//	y[i, (p, f)] = Σ_tap κ[tap, f]·x[i, Input(tap, p)]
//
// Its derivatives are ConvolveTransposed and sums over all positions. The three
// are bilinear and differentiate into each other. None lays out the squares of
// more than a few positions at a time.
func (b *Builder) Convolve(w Window, x, kappa *gorgonia.Node) *gorgonia.Node {
	return b.Apply(convolve(w), x, kappa)
}

// ConvolveTransposed declares the adjoint of Convolve in x, which takes g,
// (n, P·F), to (n, Inputs):
//
//	x[i, k] = Σ κ[tap, f]·g[i, (p, f)]  over all f and all (tap, p) with Input(tap, p) = k
func (b *Builder) ConvolveTransposed(w Window, g, kappa *gorgonia.Node) *gorgonia.Node {
	return b.Apply(convolveTransposed(w), g, kappa)
}

// convolveFilters declares the adjoint of Convolve in κ, which takes x,
// (n, Inputs), and g, (n, P·F), to (Taps, F):
//
//	κ[tap, f] = Σ_i Σ_p x[i, Input(tap, p)]·g[i, (p, f)]
func (b *Builder) convolveFilters(w Window, x, g *gorgonia.Node) *gorgonia.Node {
	return b.Apply(convolveFilters(w), x, g)
}

// Convolve computes Convolve into new memory.
func (w Window) Convolve(x, kappa Matrix[float32]) Matrix[float32] {
	down, across := w.Positions()
	y := newMatrix[float32](x.Rows, down*across*kappa.Cols)
	bindConvolve[float32](w, false)(y, []Matrix[float32]{x, kappa})()
	return y
}

// ConvolveTransposed computes ConvolveTransposed into new memory.
func (w Window) ConvolveTransposed(g, kappa Matrix[float32]) Matrix[float32] {
	x := newMatrix[float32](g.Rows, w.Inputs())
	bindConvolveTransposed[float32](w, false)(x, []Matrix[float32]{g, kappa})()
	return x
}

func newMatrix[T kernel.Float](rows, cols int) Matrix[T] {
	return Matrix[T]{Rows: rows, Cols: cols, Data: make([]T, rows*cols)}
}

func convolve(w Window) *Op {
	return &Op{
		name: fmt.Sprintf("Convolve%v", w), arity: 2,
		shape: func(in []Shape) (Shape, error) {
			return Shape{in[0][0], w.responses(in[1][1])}, w.fits(in[0][1], w.Inputs(), in[1][0])
		},
		f32: bindConvolve[float32](w, false), f64: bindConvolve[float64](w, false),
		add32: bindConvolve[float32](w, true), add64: bindConvolve[float64](w, true),
		products: func(in []Shape) int { return in[0][0] * w.responses(w.Taps()*in[1][1]) },
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.ConvolveTransposed(w, g, in[1]), b.convolveFilters(w, in[0], g)}
		},
	}
}

func convolveTransposed(w Window) *Op {
	return &Op{
		name: fmt.Sprintf("ConvolveTransposed%v", w), arity: 2,
		shape: func(in []Shape) (Shape, error) {
			return Shape{in[0][0], w.Inputs()}, w.fits(in[0][1], w.responses(in[1][1]), in[1][0])
		},
		f32: bindConvolveTransposed[float32](w, false), f64: bindConvolveTransposed[float64](w, false),
		add32: bindConvolveTransposed[float32](w, true), add64: bindConvolveTransposed[float64](w, true),
		products: func(in []Shape) int { return in[0][0] * in[0][1] * w.Taps() },
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Convolve(w, g, in[1]), b.convolveFilters(w, g, in[0])}
		},
	}
}

func convolveFilters(w Window) *Op {
	return &Op{
		name: fmt.Sprintf("ConvolveFilters%v", w), arity: 2,
		shape: func(in []Shape) (Shape, error) {
			if err := w.fits(in[0][1], w.Inputs(), w.Taps()); err != nil {
				return Shape{}, err
			}
			if positions := w.responses(1); in[0][0] != in[1][0] || in[1][1]%positions != 0 {
				return Shape{}, fmt.Errorf("%w: %v pictures and %v responses at %d positions", errShape, in[0], in[1], positions)
			}
			return Shape{w.Taps(), in[1][1] / w.responses(1)}, nil
		},
		f32: bindConvolveFilters[float32](w, false), f64: bindConvolveFilters[float64](w, false),
		add32: bindConvolveFilters[float32](w, true), add64: bindConvolveFilters[float64](w, true),
		products: func(in []Shape) int { return in[1][0] * in[1][1] * w.Taps() },
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.ConvolveTransposed(w, in[1], g), b.Convolve(w, in[0], g)}
		},
	}
}

// responses is the number of values in a picture of the responses of filters.
func (w Window) responses(filters int) int {
	down, across := w.Positions()
	return down * across * filters
}

// fits checks the window and the sizes of its operands: the length of a row
// against what it must be, and the length of a filter.
func (w Window) fits(row, want, taps int) error {
	if err := w.Check(); err != nil {
		return err
	}
	if row != want || taps != w.Taps() {
		return fmt.Errorf("%w: rows of %d numbers and filters of %d; they must have %d and %d", errShape, row, taps, want, w.Taps())
	}
	return nil
}

// A batch is worked on by groups of pictures, which threads share, and a group by
// stretches: lines of positions whose squares are laid out and multiplied
// together. Both depend on the shapes alone, and so does the result.
const (
	fewestPositions = 256     // in a group, unless the batch is smaller
	stretchSize     = 1 << 16 // values laid out at a time, as a cache holds
	mostGroups      = 16      // where each group has a result of its own
)

// lines is a stretch: the lines of positions [from, to) of a batch, of which
// every picture has as many as the window has positions down.
type lines struct{ from, to int }

// stretches calls do for the stretches of the pictures [lo, hi), in order, with
// memory for their squares, (positions, Taps).
func stretches[T kernel.Float](w Window, lo, hi int, do func(at lines, squares Matrix[T])) {
	down, across := w.Positions()
	taps := w.Taps()
	each := max(1, min(fewestPositions, stretchSize/taps)/across)
	scratch := scratchOf[T]()
	memory := scratch.take(each * across * taps)
	for from := lo * down; from < hi*down; from += each {
		at := lines{from, min(from+each, hi*down)}
		n := (at.to - at.from) * across
		do(at, Matrix[T]{Rows: n, Cols: taps, Data: memory[:n*taps]})
	}
	scratch.give(memory)
}

// group is the number of pictures in a group.
func (w Window) group() int { return max(1, fewestPositions/w.responses(1)) }

// byGroups runs body over groups of n pictures.
func byGroups(n, each int, body func(group, lo, hi int)) func() {
	count := (n + each - 1) / each
	parts := func(lo, hi int) {
		for k := lo; k < hi; k++ {
			body(k, k*each, min((k+1)*each, n))
		}
	}
	return func() { kernel.Parallel(count, 1, parts) }
}

func bindConvolve[T kernel.Float](w Window, add bool) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		x, kappa := in[0], in[1]
		return byGroups(x.Rows, w.group(), func(_, lo, hi int) {
			stretches(w, lo, hi, func(at lines, squares Matrix[T]) {
				layOut(w, at, x.Data, squares.Data)
				y := rowsAt(w, at, out.Data, kappa.Cols)
				blas.Gemm(false, false, squares.Rows, kappa.Cols, squares.Cols, 1, squares.Data, squares.Cols, kappa.Data, kappa.Cols, beta[T](add), y, kappa.Cols)
			})
		})
	}
}

func bindConvolveTransposed[T kernel.Float](w Window, add bool) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		g, kappa := in[0], in[1]
		return byGroups(g.Rows, w.group(), func(_, lo, hi int) {
			if !add {
				clear(out.Data[lo*out.Cols : hi*out.Cols])
			}
			stretches(w, lo, hi, func(at lines, squares Matrix[T]) {
				y := rowsAt(w, at, g.Data, kappa.Cols)
				blas.Gemm(false, true, squares.Rows, squares.Cols, kappa.Cols, 1, y, kappa.Cols, kappa.Data, kappa.Cols, 0, squares.Data, squares.Cols)
				addBack(w, at, squares.Data, out.Data)
			})
		})
	}
}

func bindConvolveFilters[T kernel.Float](w Window, add bool) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		x, g := in[0], in[1]
		each := max(w.group(), (x.Rows+mostGroups-1)/mostGroups)
		sums := newMatrix[T]((x.Rows+each-1)/each, len(out.Data)) // one row for each group
		run := byGroups(x.Rows, each, func(group, lo, hi int) {
			sum := sums.row(group)
			clear(sum)
			stretches(w, lo, hi, func(at lines, squares Matrix[T]) {
				layOut(w, at, x.Data, squares.Data)
				y := rowsAt(w, at, g.Data, out.Cols)
				blas.Gemm(true, false, squares.Cols, out.Cols, squares.Rows, 1, squares.Data, squares.Cols, y, out.Cols, 1, sum, out.Cols)
			})
		})
		return func() {
			run()
			if !add {
				clear(out.Data)
			}
			for k := range sums.Rows {
				kernel.Add(out.Data, out.Data, sums.row(k))
			}
		}
	}
}

func beta[T kernel.Float](add bool) T {
	if add {
		return 1
	}
	return 0
}

// rowsAt are the responses at a stretch, one position in each row, within those
// of the batch.
func rowsAt[T kernel.Float](w Window, at lines, responses []T, filters int) []T {
	_, across := w.Positions()
	return responses[at.from*across*filters : at.to*across*filters]
}

// layOut copies the squares of a stretch out of the pictures x.
func layOut[T kernel.Float](w Window, at lines, x, squares []T) {
	down, across := w.Positions()
	taps, width, wide := w.Taps(), w.Size*w.Channels, w.Width*w.Channels
	for u := at.from; u < at.to; u++ {
		picture := x[u/down*w.Inputs():][:w.Inputs()]
		for i := range w.Size {
			to := squares[(u-at.from)*across*taps+i*width:]
			y := u%down*w.Stride - w.Padding + i
			if y < 0 || y >= w.Height {
				for q := range across {
					clear(to[q*taps:][:width])
				}
				continue
			}
			line := picture[y*wide:][:wide]
			for q := range across {
				square, left := to[q*taps:][:width], (q*w.Stride-w.Padding)*w.Channels
				if lo, hi := max(0, -left), min(width, wide-left); hi-lo < width {
					clear(square)
					copy(square[lo:hi], line[left+lo:])
				} else {
					copy(square, line[left:])
				}
			}
		}
	}
}

// addBack adds the squares of a stretch to the pictures x, where they come from.
func addBack[T kernel.Float](w Window, at lines, squares, x []T) {
	down, across := w.Positions()
	taps, width, wide := w.Taps(), w.Size*w.Channels, w.Width*w.Channels
	for u := at.from; u < at.to; u++ {
		picture := x[u/down*w.Inputs():][:w.Inputs()]
		for i := range w.Size {
			from := squares[(u-at.from)*across*taps+i*width:]
			y := u%down*w.Stride - w.Padding + i
			if y < 0 || y >= w.Height {
				continue
			}
			line := picture[y*wide:][:wide]
			for q := range across {
				left := (q*w.Stride - w.Padding) * w.Channels
				lo, hi := max(0, -left), min(width, wide-left)
				square, to := from[q*taps:][lo:hi], line[left+lo:left+hi]
				if len(to) >= fewestForKernel {
					kernel.Add(to, to, square)
					continue
				}
				for k, v := range square {
					to[k] += v
				}
			}
		}
	}
}

// fewestForKernel is the number of values from which a call to a kernel pays.
const fewestForKernel = 16
