package op

import (
	"fmt"

	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// Add declares x + y. An operand with one row or one column is repeated along
// that axis, as in NumPy.
func (b *Builder) Add(x, y *gorgonia.Node) *gorgonia.Node { return b.Apply(add, x, y) }

// Sub declares x − y with the repetition of Add.
func (b *Builder) Sub(x, y *gorgonia.Node) *gorgonia.Node { return b.Apply(sub, x, y) }

// Mul declares the elementwise product x ⊙ y with the repetition of Add.
func (b *Builder) Mul(x, y *gorgonia.Node) *gorgonia.Node { return b.Apply(mul, x, y) }

// SumRows declares the (1, k) sum over the rows of an (n, k) matrix.
func (b *Builder) SumRows(x *gorgonia.Node) *gorgonia.Node { return b.Apply(sumRows, x) }

// SumCols declares the (n, 1) sum over the columns of an (n, k) matrix.
func (b *Builder) SumCols(x *gorgonia.Node) *gorgonia.Node { return b.Apply(sumCols, x) }

// Sum declares the (1, 1) sum of all elements.
func (b *Builder) Sum(x *gorgonia.Node) *gorgonia.Node { return b.SumRows(b.SumCols(x)) }

// Processes sum a slice over all of themselves: it is replaced by the sum, the same on each.
type Processes interface {
	Sum32([]float32)
	Sum64([]float64)
}

// SumOver declares the sum of x over processes that run the same graph, each with an x of its
// own. Its gradient is the sum of theirs: that of the sum of the scalars that they derive.
// Processes run their graphs in step, so that no two sums of a graph may be ready at a time.
func (b *Builder) SumOver(all Processes, x *gorgonia.Node) *gorgonia.Node {
	return b.Apply(&Op{
		name: "SumOver", arity: 1, shape: sameShape,
		f32: bindSumOver(all.Sum32), f64: bindSumOver(all.Sum64),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.SumOver(all, g)}
		},
	}, x)
}

func bindSumOver[T kernel.Float](sum func([]T)) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		return func() {
			copy(out.Data, in[0].Data)
			sum(out.Data)
		}
	}
}

// Mean declares the (1, 1) mean of all elements.
func (b *Builder) Mean(x *gorgonia.Node) *gorgonia.Node {
	s := b.Sum(x)
	if b.Err != nil {
		return nil
	}
	return b.Scale(1/float64(x.Shape().TotalSize()), s)
}

// Expand declares x repeated to shape (rows, cols), along every axis where x
// has size 1.
func (b *Builder) Expand(rows, cols int, x *gorgonia.Node) *gorgonia.Node {
	if b.matrices("Expand", x) && shapeOf(x) == (Shape{rows, cols}) {
		return x
	}
	return b.Apply(expand(rows, cols), x)
}

// SumTo declares the sum of x over the axes along which a matrix of shape s
// would be repeated: the adjoint of Expand.
func (b *Builder) SumTo(s Shape, x *gorgonia.Node) *gorgonia.Node {
	if !b.matrices("SumTo", x) {
		return nil
	}
	from := shapeOf(x)
	if s[1] == 1 && from[1] != 1 {
		x = b.SumCols(x)
	}
	if s[0] == 1 && from[0] != 1 {
		x = b.SumRows(x)
	}
	return x
}

// AddOp reports whether o is the sum of two matrices; the machine folds an
// accumulating operand into it.
func AddOp(o gorgonia.Op) bool { return o == gorgonia.Op(add) }

var add, sub, mul, sumRows, sumCols *Op

func init() {
	add = &Op{
		name: "Add", arity: 2, shape: broadcastShape, inPlace: true,
		f32: bindBroadcast(addRows[float32]), f64: bindBroadcast(addRows[float64]),
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.SumTo(shapeOf(in[0]), g), b.SumTo(shapeOf(in[1]), g)}
		},
	}
	sub = &Op{
		name: "Sub", arity: 2, shape: broadcastShape, inPlace: true,
		f32: bindBroadcast(subRows[float32]), f64: bindBroadcast(subRows[float64]),
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.SumTo(shapeOf(in[0]), g), b.Scale(-1, b.SumTo(shapeOf(in[1]), g))}
		},
	}
	mul = &Op{
		name: "Mul", arity: 2, shape: broadcastShape, inPlace: true,
		f32: bindBroadcast(mulRows[float32]), f64: bindBroadcast(mulRows[float64]),
		add32: bindBroadcast(mulAddRows[float32]), add64: bindBroadcast(mulAddRows[float64]),
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{
				b.SumTo(shapeOf(in[0]), b.Mul(g, in[1])),
				b.SumTo(shapeOf(in[1]), b.Mul(g, in[0])),
			}
		},
	}
	sumRows = &Op{
		name: "SumRows", arity: 1,
		shape: func(in []Shape) (Shape, error) { return Shape{1, in[0][1]}, nil },
		f32:   bindSumRows[float32](true), f64: bindSumRows[float64](true),
		add32: bindSumRows[float32](false), add64: bindSumRows[float64](false),
		diff: expandBack,
	}
	sumCols = &Op{
		name: "SumCols", arity: 1, onRows: true,
		shape: func(in []Shape) (Shape, error) { return Shape{in[0][0], 1}, nil },
		f32:   bindSumCols[float32], f64: bindSumCols[float64],
		diff: expandBack,
	}
}

func expandBack(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
	s := shapeOf(in[0])
	return gorgonia.Nodes{b.Expand(s[0], s[1], g)}
}

func expand(rows, cols int) *Op {
	return &Op{
		name: fmt.Sprintf("Expand{%d,%d}", rows, cols), arity: 1, onRows: true,
		shape: func(in []Shape) (Shape, error) {
			s, err := broadcastShape([]Shape{in[0], {rows, cols}})
			if err != nil || s != (Shape{rows, cols}) {
				return Shape{}, fmt.Errorf("%w: %v cannot be repeated to (%d, %d)", errShape, in[0], rows, cols)
			}
			return s, nil
		},
		f32: bindExpand[float32], f64: bindExpand[float64],
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.SumTo(shapeOf(in[0]), g)}
		},
	}
}

func broadcastShape(in []Shape) (Shape, error) {
	var out Shape
	for axis := range 2 {
		p, q := in[0][axis], in[1][axis]
		if p != q && p != 1 && q != 1 {
			return out, fmt.Errorf("%w: %v and %v differ along axis %d and neither is 1 there", errShape, in[0], in[1], axis)
		}
		out[axis] = p
		if p == 1 {
			out[axis] = q
		}
	}
	return out, nil
}

// rowFunc computes one row (or one run of elements) of a binary operation.
// Operands of length one stand for a repeated scalar.
type rowFunc[T kernel.Float] func(dst, x, y []T)

func bindBroadcast[T kernel.Float](f rowFunc[T]) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		x, y := in[0], in[1]
		flat := func(m Matrix[T]) bool { return len(m.Data) == 1 || m.Rows == out.Rows && m.Cols == out.Cols }
		if flat(x) && flat(y) {
			part := func(m Matrix[T], lo, hi int) []T {
				if len(m.Data) == 1 {
					return m.Data
				}
				return m.Data[lo:hi]
			}
			return byRows(out.Rows*out.Cols, 1, func(lo, hi int) { f(out.Data[lo:hi], part(x, lo, hi), part(y, lo, hi)) })
		}
		if r, ok := newRepeated(out, x, y); ok {
			return r.bind(f, out, x, y)
		}
		line := func(m Matrix[T], i int) []T {
			if m.Rows == 1 {
				return m.Data
			}
			return m.row(i)
		}
		return byRows(out.Rows, out.Cols, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				f(out.row(i), line(x, i), line(y, i))
			}
		})
	}
}

func mulAddRows[T kernel.Float](dst, x, y []T) {
	switch {
	case len(x) == len(y):
		kernel.MulAdd(dst, x, y)
	case len(y) == 1:
		kernel.Axpy(dst, y[0], x)
	default:
		kernel.Axpy(dst, x[0], y)
	}
}

func addRows[T kernel.Float](dst, x, y []T) {
	switch {
	case len(x) == len(y):
		kernel.Add(dst, x, y)
	case len(y) == 1:
		kernel.Affine(dst, 1, x, y[0])
	default:
		kernel.Affine(dst, 1, y, x[0])
	}
}

func subRows[T kernel.Float](dst, x, y []T) {
	switch {
	case len(x) == len(y):
		kernel.Sub(dst, x, y)
	case len(y) == 1:
		kernel.Affine(dst, 1, x, -y[0])
	default:
		kernel.Affine(dst, -1, y, x[0])
	}
}

func mulRows[T kernel.Float](dst, x, y []T) {
	switch {
	case len(x) == len(y):
		kernel.Mul(dst, x, y)
	case len(y) == 1:
		kernel.Affine(dst, y[0], x, 0)
	default:
		kernel.Affine(dst, x[0], y, 0)
	}
}

// bindSumRows adds row after row. Threads share the columns, so the result does
// not depend on the number of threads.
func bindSumRows[T kernel.Float](clearFirst bool) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		x := in[0]
		if x.Cols > 1 && x.Rows > chunk/x.Cols && x.Cols <= chunk/4 {
			return bindSumShortRows(out, x, clearFirst)
		}
		return byRows(x.Cols, x.Rows, func(lo, hi int) {
			if clearFirst {
				clear(out.Data[lo:hi])
			}
			if x.Cols == 1 {
				out.Data[0] += kernel.Sum(x.Data)
				return
			}
			for i := range x.Rows {
				kernel.Add(out.Data[lo:hi], out.Data[lo:hi], x.row(i)[lo:hi])
			}
		})
	}
}

func bindSumCols[T kernel.Float](out Matrix[T], in []Matrix[T]) func() {
	x := in[0]
	return byRows(x.Rows, x.Cols, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			out.Data[i] = kernel.Sum(x.row(i))
		}
	})
}

func bindExpand[T kernel.Float](out Matrix[T], in []Matrix[T]) func() {
	x := in[0]
	return byRows(out.Rows, out.Cols, func(lo, hi int) {
		switch {
		case x.Rows == 1:
			repeat(out.Data[lo*out.Cols:hi*out.Cols], x.Data)
		case x.Cols == out.Cols:
			copy(out.Data[lo*out.Cols:hi*out.Cols], x.Data[lo*out.Cols:hi*out.Cols])
		default:
			for i := lo; i < hi; i++ {
				repeat(out.row(i), x.row(i))
			}
		}
	})
}

// ExpandOp is the operation of Expand; the machine starts accumulations with it.
func ExpandOp(rows, cols int) *Op { return expand(rows, cols) }
