package op

import (
	"fmt"
	"math"

	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// Scale declares a·x.
func (b *Builder) Scale(a float64, x *gorgonia.Node) *gorgonia.Node { return b.Affine(a, x, 0) }

// Affine declares a·x + c for every element.
func (b *Builder) Affine(a float64, x *gorgonia.Node, c float64) *gorgonia.Node {
	if a == 1 && c == 0 {
		return x
	}
	return b.Apply(affine(a, c), x)
}

// Held declares x as a constant of derivatives.
func (b *Builder) Held(x *gorgonia.Node) *gorgonia.Node {
	return b.Apply(&Op{name: "Held", arity: 1, shape: sameShape, inPlace: true, f32: bindAffine[float32](1, 0), f64: bindAffine[float64](1, 0)}, x)
}

// Square declares x².
func (b *Builder) Square(x *gorgonia.Node) *gorgonia.Node { return b.Mul(x, x) }

// Softplus declares log(1 + eˣ).
func (b *Builder) Softplus(x *gorgonia.Node) *gorgonia.Node { return b.Apply(softplus, x) }

// Sigmoid declares 1/(1 + e⁻ˣ), the derivative of Softplus.
func (b *Builder) Sigmoid(x *gorgonia.Node) *gorgonia.Node { return b.Apply(sigmoid, x) }

// SigmoidGrad declares s(1−s)·g for s = Sigmoid(x): the second derivative of
// Softplus times g, without a second exponential.
func (b *Builder) SigmoidGrad(s, g *gorgonia.Node) *gorgonia.Node { return b.Apply(sigmoidGrad, s, g) }

// Exp declares eˣ.
func (b *Builder) Exp(x *gorgonia.Node) *gorgonia.Node { return b.Apply(exp, x) }

// Log declares the natural logarithm.
func (b *Builder) Log(x *gorgonia.Node) *gorgonia.Node { return b.Apply(log, x) }

// Reciprocal declares 1/x.
func (b *Builder) Reciprocal(x *gorgonia.Node) *gorgonia.Node { return b.Apply(reciprocal, x) }

// Sqrt declares √x.
func (b *Builder) Sqrt(x *gorgonia.Node) *gorgonia.Node { return b.Apply(sqrt, x) }

// Tanh declares the hyperbolic tangent.
func (b *Builder) Tanh(x *gorgonia.Node) *gorgonia.Node { return b.Apply(tanh, x) }

// Relu declares max(x, 0); its derivative at 0 is 0.
func (b *Builder) Relu(x *gorgonia.Node) *gorgonia.Node { return b.Apply(relu, x) }

var softplus, sigmoid, sigmoidGrad, sigmoidGrad2, exp, log, reciprocal, sqrt, tanh, relu, step *Op

func init() {
	softplus = unary("Softplus", kernel.Softplus[float32], kernel.Softplus[float64],
		func(b *Builder, x, _, g *gorgonia.Node) *gorgonia.Node { return b.Mul(b.Sigmoid(x), g) })
	sigmoid = unary("Sigmoid", kernel.Sigmoid[float32], kernel.Sigmoid[float64],
		func(b *Builder, _, s, g *gorgonia.Node) *gorgonia.Node { return b.SigmoidGrad(s, g) })
	exp = unary("Exp", kernel.Exp[float32], kernel.Exp[float64],
		func(b *Builder, _, y, g *gorgonia.Node) *gorgonia.Node { return b.Mul(y, g) })
	log = unary("Log", kernel.Log[float32], kernel.Log[float64],
		func(b *Builder, x, _, g *gorgonia.Node) *gorgonia.Node { return b.Mul(b.Reciprocal(x), g) })
	reciprocal = scalar("Reciprocal", func(x float64) float64 { return 1 / x },
		func(b *Builder, _, y, g *gorgonia.Node) *gorgonia.Node { return b.Scale(-1, b.Mul(b.Square(y), g)) })
	sqrt = scalar("Sqrt", math.Sqrt,
		func(b *Builder, _, y, g *gorgonia.Node) *gorgonia.Node { return b.Scale(.5, b.Mul(b.Reciprocal(y), g)) })
	tanh = scalar("Tanh", math.Tanh,
		func(b *Builder, _, y, g *gorgonia.Node) *gorgonia.Node {
			return b.Mul(b.Affine(-1, b.Square(y), 1), g)
		})
	relu = unary("Relu", kernel.Relu[float32], kernel.Relu[float64],
		func(b *Builder, x, _, g *gorgonia.Node) *gorgonia.Node { return b.Mul(b.Apply(step, x), g) })
	step = unary("Step", kernel.Step[float32], kernel.Step[float64],
		func(b *Builder, x, _, _ *gorgonia.Node) *gorgonia.Node { return b.Scale(0, x) })

	sigmoidGrad = &Op{
		name: "SigmoidGrad", arity: 2, shape: sameShape, inPlace: true,
		f32: bindSigmoidGrad[float32], f64: bindSigmoidGrad[float64],
		diff: func(b *Builder, in gorgonia.Nodes, _, u *gorgonia.Node) gorgonia.Nodes {
			s, g := in[0], in[1]
			return gorgonia.Nodes{b.Apply(sigmoidGrad2, s, g, u), b.SigmoidGrad(s, u)}
		},
	}
	// (1−2s)·g·u, the derivative of s(1−s)·g in s along u.
	sigmoidGrad2 = &Op{
		name: "SigmoidGrad2", arity: 3, shape: sameShape, inPlace: true,
		f32: bindSigmoidGrad2[float32], f64: bindSigmoidGrad2[float64],
		diff: func(b *Builder, in gorgonia.Nodes, _, v *gorgonia.Node) gorgonia.Nodes {
			s, g, u := in[0], in[1], in[2]
			return gorgonia.Nodes{
				b.Scale(-2, b.Mul(b.Mul(g, u), v)),
				b.Apply(sigmoidGrad2, s, u, v),
				b.Apply(sigmoidGrad2, s, g, v),
			}
		},
	}
}

// IsSoftplus reports whether o is the operation of Softplus.
func IsSoftplus(o gorgonia.Op) bool { return o == gorgonia.Op(softplus) }

// IsSigmoid reports whether o is the operation of Sigmoid.
func IsSigmoid(o gorgonia.Op) bool { return o == gorgonia.Op(sigmoid) }

// BindSoftplusSigmoid returns the computation of the softplus and the sigmoid of
// x, with one exponential for both, for fixed memory; one of them may lie in x.
func BindSoftplusSigmoid[T kernel.Float](softplus, sigmoid, x Matrix[T]) func() {
	return byRows(len(x.Data), 1, func(lo, hi int) {
		kernel.SoftplusSigmoid(softplus.Data[lo:hi], sigmoid.Data[lo:hi], x.Data[lo:hi])
	})
}

func sameShape(in []Shape) (Shape, error) {
	for _, s := range in[1:] {
		if s != in[0] {
			return Shape{}, fmt.Errorf("%w: %v and %v must be equal", errShape, in[0], s)
		}
	}
	return in[0], nil
}

func affine(a, c float64) *Op {
	return &Op{
		name: fmt.Sprintf("Affine{%v,%v}", a, c), arity: 1, shape: sameShape, inPlace: true,
		f32: bindAffine[float32](a, c), f64: bindAffine[float64](a, c),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Scale(a, g)}
		},
	}
}

func bindAffine[T kernel.Float](a, c float64) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		return byRows(len(out.Data), 1, func(lo, hi int) { kernel.Affine(out.Data[lo:hi], T(a), in[0].Data[lo:hi], T(c)) })
	}
}

type unaryDiff func(b *Builder, x, y, g *gorgonia.Node) *gorgonia.Node

func unary(name string, f32 func(dst, x []float32), f64 func(dst, x []float64), diff unaryDiff) *Op {
	return &Op{
		name: name, arity: 1, shape: sameShape, inPlace: true,
		f32: bindUnary(f32), f64: bindUnary(f64),
		diff: func(b *Builder, in gorgonia.Nodes, out, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{diff(b, in[0], out, g)}
		},
	}
}

func bindUnary[T kernel.Float](f func(dst, x []T)) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		return byRows(len(out.Data), 1, func(lo, hi int) { f(out.Data[lo:hi], in[0].Data[lo:hi]) })
	}
}

// scalar makes an operation from a function that has no kernel of its own.
func scalar(name string, f func(float64) float64, diff unaryDiff) *Op {
	return unary(name,
		func(dst, x []float32) {
			for i, v := range x {
				dst[i] = kernel.Flush(float32(f(float64(kernel.Flush(v)))))
			}
		},
		func(dst, x []float64) {
			for i, v := range x {
				dst[i] = kernel.Flush(f(kernel.Flush(v)))
			}
		}, diff)
}

func bindSigmoidGrad[T kernel.Float](out Matrix[T], in []Matrix[T]) func() {
	s, g := in[0].Data, in[1].Data
	return byRows(len(out.Data), 1, func(lo, hi int) { kernel.SigmoidGrad(out.Data[lo:hi], s[lo:hi], g[lo:hi]) })
}

func bindSigmoidGrad2[T kernel.Float](out Matrix[T], in []Matrix[T]) func() {
	s, g, u := in[0].Data, in[1].Data, in[2].Data
	return byRows(len(out.Data), 1, func(lo, hi int) {
		kernel.SigmoidGrad2(out.Data[lo:hi], s[lo:hi], g[lo:hi], u[lo:hi])
	})
}
