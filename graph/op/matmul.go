package op

import (
	"fmt"

	"cmf/graph/blas"
	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// MatMul declares op(x)·op(y), where op(x) is xᵀ if transX is set and x
// otherwise; likewise for y.
func (b *Builder) MatMul(x *gorgonia.Node, transX bool, y *gorgonia.Node, transY bool) *gorgonia.Node {
	return b.Apply(matMul[index(transX)][index(transY)], x, y)
}

func index(t bool) int {
	if t {
		return 1
	}
	return 0
}

var matMul [2][2]*Op

func init() {
	for _, tx := range []bool{false, true} {
		for _, ty := range []bool{false, true} {
			matMul[index(tx)][index(ty)] = newMatMul(tx, ty)
		}
	}
}

func newMatMul(tx, ty bool) *Op {
	return &Op{
		name:  fmt.Sprintf("MatMul{%t,%t}", tx, ty),
		arity: 2, onRows: !tx,
		shape: func(in []Shape) (Shape, error) {
			m, k := oriented(in[0], tx)
			k2, n := oriented(in[1], ty)
			if k != k2 {
				return Shape{}, fmt.Errorf("%w: inner sizes %d and %d of %v and %v differ", errShape, k, k2, in[0], in[1])
			}
			return Shape{m, n}, nil
		},
		f32:   bindMatMul[float32](tx, ty, false),
		f64:   bindMatMul[float64](tx, ty, false),
		add32: bindMatMul[float32](tx, ty, true),
		add64: bindMatMul[float64](tx, ty, true),
		// C = op(A)·op(B): ∂A = Ḡ·op(B)ᵀ, or op(B)·Ḡᵀ when A enters transposed.
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			x, y := in[0], in[1]
			var dx, dy *gorgonia.Node
			if tx {
				dx = b.MatMul(y, ty, g, true)
			} else {
				dx = b.MatMul(g, false, y, !ty)
			}
			if ty {
				dy = b.MatMul(g, true, x, tx)
			} else {
				dy = b.MatMul(x, !tx, g, false)
			}
			return gorgonia.Nodes{dx, dy}
		},
	}
}

func oriented(s Shape, trans bool) (rows, cols int) {
	if trans {
		return s[1], s[0]
	}
	return s[0], s[1]
}

func bindMatMul[T kernel.Float](tx, ty, add bool) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		return BindSum(out, []blas.Term[T]{term(tx, ty, in[0], in[1])}, nil, add)
	}
}

// IsMatMul reports whether o is a matrix product.
func IsMatMul(o gorgonia.Op) bool {
	for i := range matMul {
		for _, m := range matMul[i] {
			if o == gorgonia.Op(m) {
				return true
			}
		}
	}
	return false
}

// Term is the product o(x, y) as a term of a sum.
func Term[T kernel.Float](o gorgonia.Op, x, y Matrix[T]) blas.Term[T] {
	return term(o == gorgonia.Op(matMul[1][0]) || o == gorgonia.Op(matMul[1][1]),
		o == gorgonia.Op(matMul[0][1]) || o == gorgonia.Op(matMul[1][1]), x, y)
}

func term[T kernel.Float](tx, ty bool, x, y Matrix[T]) blas.Term[T] {
	_, k := oriented(Shape{x.Rows, x.Cols}, tx)
	return blas.Term[T]{TransA: tx, TransB: ty, K: k, A: x.Data, LDA: x.Cols, B: y.Data, LDB: y.Cols}
}

// BindSum returns the computation of a sum of products. The sum is added to
// row, repeated, where row is not nil, or to the contents of out where add is
// set.
func BindSum[T kernel.Float](out Matrix[T], terms []blas.Term[T], row []T, add bool) func() {
	return func() { blas.Sum(out.Rows, out.Cols, terms, row, add, out.Data, out.Cols) }
}
