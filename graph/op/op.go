// Package op holds the operations of CMF's expression graphs: Gorgonia Ops on
// matrices that compute whole batches in one pass, into memory that the caller
// provides, and that differentiate into each other to any order.
//
// Every operand and every result is a dense row-major matrix of float32 or
// float64; a scalar is a (1, 1) matrix. No operation writes into an operand.
package op

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"

	"cmf/graph/kernel"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Matrix is a dense row-major (Rows, Cols) matrix.
type Matrix[T kernel.Float] struct {
	Rows, Cols int
	Data       []T
}

func (m Matrix[T]) row(i int) []T { return m.Data[i*m.Cols : (i+1)*m.Cols] }

// Shape is the number of rows and columns of an operand.
type Shape [2]int

func (s Shape) String() string { return fmt.Sprintf("(%d, %d)", s[0], s[1]) }

// binder fixes an operation's result and operands and returns the computation,
// which may then be run any number of times without allocating.
type binder[T kernel.Float] func(out Matrix[T], in []Matrix[T]) func()

// Op is one operation on matrices. It satisfies Gorgonia's Op, SDOp and
// UsePreallocDoer.
type Op struct {
	name  string // with every parameter: it is what distinguishes two Ops
	arity int
	shape func(in []Shape) (Shape, error)
	f32   binder[float32]
	f64   binder[float64]
	add32 binder[float32] // out += f(in); nil when there is no such kernel
	add64 binder[float64]

	// inPlace says that the result may lie in the memory of an operand of the
	// same shape.
	inPlace bool

	// onRows says that row i of the result needs only row i of operands that
	// have as many rows. For a product this concerns its left factor only.
	onRows bool

	// constant says which operands count as constants in derivatives; nil means
	// none. diff may give nil for them.
	constant func(operand int) bool

	// products is the number of multiply–adds in products of matrices; nil for none.
	products func(in []Shape) int

	// diff returns the gradient with respect to each operand, given the
	// gradient g with respect to the result. Without it the result counts as a
	// constant.
	diff func(b *Builder, in gorgonia.Nodes, out, g *gorgonia.Node) gorgonia.Nodes
}

var (
	_ gorgonia.SDOp            = (*Op)(nil)
	_ gorgonia.UsePreallocDoer = (*Op)(nil)
)

// InPlace reports whether the result may lie in the memory of an operand of
// the same shape.
func (o *Op) InPlace() bool { return o.inPlace }

// OnRows reports whether row i of o's result needs only row i of operands that
// have as many rows. For a product this concerns its left factor only.
func OnRows(o gorgonia.Op) bool {
	p, ok := o.(*Op)
	return ok && (p.onRows || p.inPlace)
}

// Accumulates reports whether BindAdd is available.
func (o *Op) Accumulates() bool { return o.add32 != nil }

// Bind32 returns the computation out ← f(in) for fixed memory.
func (o *Op) Bind32(out Matrix[float32], in []Matrix[float32]) func() { return o.f32(out, in) }

// Bind64 is Bind32 in double precision.
func (o *Op) Bind64(out Matrix[float64], in []Matrix[float64]) func() { return o.f64(out, in) }

// BindAdd32 returns the computation out ← out + f(in) for fixed memory.
func (o *Op) BindAdd32(out Matrix[float32], in []Matrix[float32]) func() { return o.add32(out, in) }

// BindAdd64 is BindAdd32 in double precision.
func (o *Op) BindAdd64(out Matrix[float64], in []Matrix[float64]) func() { return o.add64(out, in) }

// Products is the number of multiply–adds of a convolution on operands of these
// shapes; of other operations, which have none or whose products are sums of the
// machine, it is 0.
func (o *Op) Products(in []Shape) int {
	if o.products == nil {
		return 0
	}
	return o.products(in)
}

// Arity is the number of operands.
func (o *Op) Arity() int { return o.arity }

// Type says that operands and result are matrices of one element type.
func (o *Op) Type() hm.Type {
	m := gorgonia.TensorType{Dims: 2, Of: hm.TypeVariable('a')}
	ts := make([]hm.Type, o.arity+1)
	for i := range ts {
		ts[i] = m
	}
	return hm.NewFnType(ts...)
}

// InferShape is the result's shape, or an error that names the operation.
func (o *Op) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	if len(in) != o.arity {
		return nil, fmt.Errorf("%s: %d operands; it takes %d", o.name, len(in), o.arity)
	}
	shapes := make([]Shape, len(in))
	for i, s := range in {
		for axis := range 2 {
			n, err := s.DimSize(axis)
			if err != nil {
				return nil, fmt.Errorf("%s: operand %d is not a matrix: %w", o.name, i, err)
			}
			shapes[i][axis] = n
		}
	}
	s, err := o.shape(shapes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.name, err)
	}
	return tensor.Shape{s[0], s[1]}, nil
}

// Do computes into new memory.
func (o *Op) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	s, err := o.shapeOfResult(in)
	if err != nil {
		return nil, err
	}
	return o.UsePreallocDo(tensor.New(tensor.WithShape(s...), tensor.Of(in[0].Dtype())), in...)
}

// UsePreallocDo computes into out, which must have the result's shape.
func (o *Op) UsePreallocDo(out gorgonia.Value, in ...gorgonia.Value) (gorgonia.Value, error) {
	s, err := o.shapeOfResult(in)
	if err != nil {
		return nil, err
	}
	if !out.Shape().Eq(s) {
		return nil, fmt.Errorf("%s: a result of shape %v in memory of shape %v", o.name, s, out.Shape())
	}
	switch out.Dtype() {
	case tensor.Float32:
		err = compute(o.f32, out, in)
	case tensor.Float64:
		err = compute(o.f64, out, in)
	default:
		err = fmt.Errorf("element type %v is neither float32 nor float64", out.Dtype())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.name, err)
	}
	return out, nil
}

func (o *Op) shapeOfResult(in []gorgonia.Value) (tensor.Shape, error) {
	ds := make([]gorgonia.DimSizer, len(in))
	for i, v := range in {
		ds[i] = v.Shape()
	}
	return o.InferShape(ds...)
}

func compute[T kernel.Float](bind binder[T], out gorgonia.Value, in []gorgonia.Value) error {
	ms := make([]Matrix[T], len(in))
	var err error
	for i, v := range in {
		if ms[i], err = matrixOf[T](v); err != nil {
			return fmt.Errorf("operand %d: %w", i, err)
		}
	}
	m, err := matrixOf[T](out)
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	bind(m, ms)()
	return nil
}

func matrixOf[T kernel.Float](v gorgonia.Value) (Matrix[T], error) {
	data, ok := v.Data().([]T)
	if s := v.Shape(); !ok || len(s) != 2 || len(data) < s.TotalSize() {
		return Matrix[T]{}, fmt.Errorf("%v of shape %v is not a dense matrix of %T", v.Dtype(), s, *new(T))
	}
	return Matrix[T]{v.Shape()[0], v.Shape()[1], data}, nil
}

// ReturnsPtr is true: the result has memory of its own.
func (o *Op) ReturnsPtr() bool { return true }

// CallsExtern is false.
func (o *Op) CallsExtern() bool { return false }

// OverwritesInput is −1: no operand is ever written.
func (o *Op) OverwritesInput() int { return -1 }

// WriteHash writes the name, which holds every parameter.
func (o *Op) WriteHash(h hash.Hash) { fmt.Fprint(h, "cmf/", o.name) }

// Hashcode hashes the name.
func (o *Op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *Op) String() string { return o.name }

// DiffWRT says for which operands there is a derivative.
func (o *Op) DiffWRT(n int) []bool {
	d := make([]bool, n)
	for i := range d {
		d[i] = o.diff != nil && (o.constant == nil || !o.constant(i))
	}
	return d
}

// SymDiff declares the gradient with respect to each operand.
func (o *Op) SymDiff(in gorgonia.Nodes, out, g *gorgonia.Node) (gorgonia.Nodes, error) {
	if o.diff == nil {
		return nil, fmt.Errorf("%s has no derivative", o.name)
	}
	var b Builder
	gs := o.diff(&b, in, out, g)
	return gs, b.Err
}

// Builder applies operations to nodes and keeps the first error, so that an
// expression reads as one. After an error every result is nil.
type Builder struct{ Err error }

// Apply declares o(in...).
func (b *Builder) Apply(o *Op, in ...*gorgonia.Node) *gorgonia.Node {
	if !b.matrices(o.name, in...) {
		return nil
	}
	n, err := gorgonia.ApplyOp(o, in...)
	if err != nil {
		b.Err = err
		return nil
	}
	return n
}

// matrices reports whether an operation may go on with these operands.
func (b *Builder) matrices(name string, in ...*gorgonia.Node) bool {
	for i, n := range in {
		switch {
		case b.Err != nil:
		case n == nil:
			b.Err = fmt.Errorf("%s: operand %d is a nil node", name, i)
		case len(n.Shape()) != 2:
			b.Err = fmt.Errorf("%s: operand %d has shape %v; only matrices are allowed", name, i, n.Shape())
		}
	}
	return b.Err == nil
}

var errShape = errors.New("shapes do not fit")

func shapeOf(n *gorgonia.Node) Shape { return Shape{n.Shape()[0], n.Shape()[1]} }

// grain is the number of elements below which a second thread does not pay.
const grain = 1 << 14

// byRows runs body over ranges of n rows of k elements.
func byRows(n, k int, body func(lo, hi int)) func() {
	g := max(1, grain/max(1, k))
	return func() { kernel.Parallel(n, g, body) }
}
