package op

import (
	"fmt"

	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// Quadratics describes the soft maximum of K quadratics on ℝᵈ,
//
//	φ(y) = τ·log Σ_k e^{φ_k(y)/τ},  φ_k(y) = ½‖F_k·y‖² + ½Σ_j D_kj·y_j² + ⟨C_k, y⟩ + b_k
//
// It is strongly convex, because D > 0, and its gradient is a bijection of ℝᵈ.
// Its weights are the factors F, (K·r, d) with the r rows of F_k below each
// other, D and C, (K, d), and b, (1, K). Each of the n points may have a C or a b of its
// own: these then have the shapes (n, K·d), with the C_k of a point side by side, and (n, K).
type Quadratics struct {
	Pieces int     // K
	Rank   int     // r
	Tau    float64 // τ
}

// QuadraticsWeights are the nodes of F, D, C and b.
type QuadraticsWeights struct{ Factors, Diagonal, Centers, Offsets *gorgonia.Node }

func (w QuadraticsWeights) nodes() []*gorgonia.Node {
	return []*gorgonia.Node{w.Factors, w.Diagonal, w.Centers, w.Offsets}
}

// Argmax declares argmax_y ⟨x_i, y⟩ − φ(y), the solution of ∇φ(y) = x_i, for
// each row of the (n, d) matrix x. It solves by damped Newton steps from the
// best of the K points where ∇φ_k(y) = x_i. The last step is the first that is
// shorter than 10⁻⁴ of the solution in float32 (10⁻⁵ where steps use few factors),
// or 10⁻¹⁰ in float64. A row ends after 200 evaluations, and is NaN if it is not
// finite. The result counts as a constant in derivatives.
//
// guess, (n, d), has points from which to begin instead. A row of zeros, or one that
// is not finite, is none; guess may be nil.
func (b *Builder) Argmax(q Quadratics, x, guess *gorgonia.Node, w QuadraticsWeights) *gorgonia.Node {
	if guess == nil {
		return b.Apply(q.argmax(), append([]*gorgonia.Node{x}, w.nodes()...)...)
	}
	return b.Apply(q.argmaxFrom(), append([]*gorgonia.Node{x, guess}, w.nodes()...)...)
}

// SolveHessian declares ∇²φ(y_i)⁻¹·v for k directions at each of the n rows of
// y. v has shape (k·n, d), and its block j holds the j-th direction of every
// point; so has the result. It is linear in v; y and the weights count as
// constants in derivatives.
func (b *Builder) SolveHessian(q Quadratics, y, v *gorgonia.Node, w QuadraticsWeights) *gorgonia.Node {
	return b.Apply(q.solveHessian(), append([]*gorgonia.Node{v, y}, w.nodes()...)...)
}

// MeanInverseHessian declares the mean of ∇²φ(y_i)⁻¹ over the rows of y, (d, d).
// It has no derivative.
func (b *Builder) MeanInverseHessian(q Quadratics, y *gorgonia.Node, w QuadraticsWeights) *gorgonia.Node {
	return b.Apply(q.meanInverse(), append([]*gorgonia.Node{y}, w.nodes()...)...)
}

func (q Quadratics) argmax() *Op {
	return &Op{
		name: fmt.Sprintf("Argmax{%d,%d,%g}", q.Pieces, q.Rank, q.Tau), arity: 5,
		shape: func(in []Shape) (Shape, error) { return in[0], q.check(in[0], in[1:]) },
		f32:   bindArgmax[float32](q), f64: bindArgmax[float64](q),
	}
}

func (q Quadratics) argmaxFrom() *Op {
	return &Op{
		name: fmt.Sprintf("ArgmaxFrom{%d,%d,%g}", q.Pieces, q.Rank, q.Tau), arity: 6,
		shape: func(in []Shape) (Shape, error) {
			if in[0] != in[1] {
				return in[0], fmt.Errorf("%w: guesses %v for %v", errShape, in[1], in[0])
			}
			return in[0], q.check(in[0], in[2:])
		},
		f32: bindArgmaxFrom[float32](q), f64: bindArgmaxFrom[float64](q),
	}
}

func (q Quadratics) solveHessian() *Op {
	o := &Op{
		name: fmt.Sprintf("SolveHessian{%d,%d,%g}", q.Pieces, q.Rank, q.Tau), arity: 6,
		shape: func(in []Shape) (Shape, error) {
			if in[0][1] != in[1][1] {
				return in[0], fmt.Errorf("%w: directions %v at points %v", errShape, in[0], in[1])
			}
			if err := divides(in[1][0], in[0][0]); err != nil {
				return in[0], err
			}
			return in[0], q.check(in[1], in[2:])
		},
		f32: bindSolveHessian[float32](q), f64: bindSolveHessian[float64](q),
		constant: func(operand int) bool { return operand > 0 },
	}
	o.diff = func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
		return append(gorgonia.Nodes{b.Apply(o, append(gorgonia.Nodes{g}, in[1:]...)...)}, make(gorgonia.Nodes, 5)...)
	}
	return o
}

func (q Quadratics) meanInverse() *Op {
	return &Op{
		name: fmt.Sprintf("MeanInverseHessian{%d,%d,%g}", q.Pieces, q.Rank, q.Tau), arity: 5,
		shape: func(in []Shape) (Shape, error) {
			return Shape{in[0][1], in[0][1]}, q.check(in[0], in[1:])
		},
		f32: bindMeanInverse[float32](q), f64: bindMeanInverse[float64](q),
	}
}

// check reports weights that do not fit n points of ℝᵈ.
func (q Quadratics) check(points Shape, in []Shape) error {
	n, d := points[0], points[1]
	if q.Pieces < 1 || q.Rank < 1 || !(q.Tau > 0) {
		return fmt.Errorf("%d quadratics of rank %d with τ = %g; all must be positive", q.Pieces, q.Rank, q.Tau)
	}
	for i, want := range []Shape{{q.Pieces * q.Rank, d}, {q.Pieces, d}, {q.Pieces, d}, {1, q.Pieces}} {
		own := []Shape{want, want, {n, q.Pieces * d}, {n, q.Pieces}}[i]
		if in[i] != want && in[i] != own {
			return fmt.Errorf("%w: the %s of %d quadratics of rank %d on ℝ^%d have shape %v; it must be %v",
				errShape, []string{"factors", "diagonals", "centers", "offsets"}[i], q.Pieces, q.Rank, d, in[i], want)
		}
	}
	return nil
}

func bindArgmax[T kernel.Float](q Quadratics) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		s := newGated(q, in[1:], in[0].Rows)
		return func() { s.run(out, in[0], Matrix[T]{}) }
	}
}

func bindArgmaxFrom[T kernel.Float](q Quadratics) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		s := newGated(q, in[2:], in[0].Rows)
		return func() { s.run(out, in[0], in[1]) }
	}
}

func bindSolveHessian[T kernel.Float](q Quadratics) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		v, y := in[0], in[1]
		f := newSoftMaximum(q, in[2:])
		at := f.newPoints(y.Rows)
		body := func(lo, hi int) {
			s := f.locals.take()
			defer f.locals.give(s)
			for i := lo; i < hi; i++ {
				f.expand(s, at, i, i, y.row(i))
				f.factor(s, true)
				for j := i; j < v.Rows; j += y.Rows {
					f.solve(s, out.row(j), v.row(j))
				}
			}
		}
		return func() {
			f.prepare()
			f.evaluate(at, y)
			kernel.Parallel(y.Rows, 1, body)
		}
	}
}

func bindMeanInverse[T kernel.Float](q Quadratics) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		y := in[0]
		f := newSoftMaximum(q, in[1:])
		at := f.newPoints(y.Rows)
		return func() {
			f.prepare()
			f.evaluate(at, y)
			s := f.locals.take()
			defer f.locals.give(s)
			clear(out.Data)
			for i := range y.Rows {
				f.expand(s, at, i, i, y.row(i))
				f.factor(s, true)
				f.addInverse(s, 1/T(y.Rows), out)
			}
		}
	}
}
