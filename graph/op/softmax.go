package op

import (
	"fmt"
	"math"

	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// LogSumExp declares log Σ_k e^{x_ik}, shape (n, 1), for the (n, k) matrix x.
func (b *Builder) LogSumExp(x *gorgonia.Node) *gorgonia.Node { return b.Apply(logSumExp, x) }

// Softmax declares e^{x_ik}/Σ_l e^{x_il}, the derivative of LogSumExp.
func (b *Builder) Softmax(x *gorgonia.Node) *gorgonia.Node { return b.Apply(softmax, x) }

// SumGroups declares the (n, k/r) sums of every r adjacent columns of an (n, k)
// matrix.
func (b *Builder) SumGroups(r int, x *gorgonia.Node) *gorgonia.Node {
	if r == 1 && b.matrices("SumGroups", x) {
		return x
	}
	return b.Apply(sumGroups(r), x)
}

// RepeatCols declares the (n, k·r) matrix with r adjacent copies of every
// column of an (n, k) matrix.
func (b *Builder) RepeatCols(r int, x *gorgonia.Node) *gorgonia.Node {
	if r == 1 && b.matrices("RepeatCols", x) {
		return x
	}
	return b.Apply(repeatCols(r), x)
}

var logSumExp, softmax *Op

func init() {
	logSumExp = &Op{
		name: "LogSumExp", arity: 1, onRows: true,
		shape: func(in []Shape) (Shape, error) { return Shape{in[0][0], 1}, nil },
		f32:   bindLogSumExp[float32], f64: bindLogSumExp[float64],
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Mul(b.Softmax(in[0]), g)}
		},
	}
	softmax = &Op{
		name: "Softmax", arity: 1, onRows: true,
		shape: func(in []Shape) (Shape, error) { return in[0], nil },
		f32:   bindSoftmax[float32], f64: bindSoftmax[float64],
		// p ⊙ (g − Σ_k p_k·g_k)
		diff: func(b *Builder, _ gorgonia.Nodes, p, g *gorgonia.Node) gorgonia.Nodes {
			pg := b.Mul(p, g)
			return gorgonia.Nodes{b.Sub(pg, b.Mul(p, b.SumCols(pg)))}
		},
	}
}

func sumGroups(r int) *Op {
	return &Op{
		name: fmt.Sprintf("SumGroups{%d}", r), arity: 1, onRows: true,
		shape: func(in []Shape) (Shape, error) { return Shape{in[0][0], in[0][1] / max(r, 1)}, divides(r, in[0][1]) },
		f32:   bindSumGroups[float32](r), f64: bindSumGroups[float64](r),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.RepeatCols(r, g)}
		},
	}
}

func repeatCols(r int) *Op {
	return &Op{
		name: fmt.Sprintf("RepeatCols{%d}", r), arity: 1, onRows: true,
		shape: func(in []Shape) (Shape, error) { return Shape{in[0][0], in[0][1] * r}, divides(r, r) },
		f32:   bindRepeatCols[float32](r), f64: bindRepeatCols[float64](r),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.SumGroups(r, g)}
		},
	}
}

func bindLogSumExp[T kernel.Float](out Matrix[T], in []Matrix[T]) func() {
	x := in[0]
	memory := make([]T, len(x.Data)) // a row for each row: threads share none
	return byRows(x.Rows, 8*x.Cols, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			most, sum := exponentials(memory[i*x.Cols:(i+1)*x.Cols], x.row(i))
			out.Data[i] = most + T(math.Log(float64(sum)))
		}
	})
}

func bindSoftmax[T kernel.Float](out Matrix[T], in []Matrix[T]) func() {
	x := in[0]
	return byRows(x.Rows, 8*x.Cols, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			softmaxOf(out.row(i), x.row(i))
		}
	})
}

// softmaxOf writes the softmax of x into dst, which may be x.
func softmaxOf[T kernel.Float](dst, x []T) {
	_, sum := exponentials(dst, x)
	kernel.Affine(dst, 1/sum, dst, 0)
}

// exponentials writes e^{x_k − max x} into dst and returns max x and the sum.
func exponentials[T kernel.Float](dst, x []T) (most, sum T) {
	most = x[0]
	for _, v := range x {
		most = max(most, v)
	}
	kernel.Affine(dst, 1, x, -most)
	kernel.Exp(dst, dst)
	return most, kernel.Sum(dst)
}

func bindSumGroups[T kernel.Float](r int) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		x := in[0]
		return byRows(out.Rows, x.Cols, func(lo, hi int) {
			for i := lo * out.Cols; i < hi*out.Cols; i++ {
				out.Data[i] = sumOf(x.Data[i*r : (i+1)*r])
			}
		})
	}
}

func sumOf[T kernel.Float](x []T) (sum T) {
	if len(x) >= 16 {
		return kernel.Sum(x)
	}
	for _, v := range x {
		sum += v
	}
	return sum
}

func bindRepeatCols[T kernel.Float](r int) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		x := in[0]
		return byRows(x.Rows, out.Cols, func(lo, hi int) {
			for i := lo * x.Cols; i < hi*x.Cols; i++ {
				for j := range r {
					out.Data[i*r+j] = x.Data[i]
				}
			}
		})
	}
}
