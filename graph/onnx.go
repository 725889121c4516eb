package graph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cmf/graph/op"
	"cmf/graph/wire"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// The version of the format. The operator set contains every operator that
// onnxGraph uses.
const (
	onnxFormat    = 7  // IR version, of ONNX 1.8
	onnxOperators = 13 // opset
)

// The element types of TensorProto.
const (
	onnxFloat   = 1
	onnxInt64   = 7
	onnxFloat64 = 11
)

// ONNX says what a model holds beside the computation.
type ONNX struct {
	Metadata map[string]string // texts that the model carries, by name

	// Units are those of inputs and outputs, by name. A value v that has units is
	// Center + Scale⊙v to who uses the model, in float64: an input less its centre is
	// formed before it is rounded to float32, an output after.
	Units map[string]ONNXUnits
}

// ONNXUnits are affine units; each slice has one number per column.
type ONNXUnits struct{ Center, Scale []float64 }

// Dual are the units of gradients by points that have the units u: a gradient by v is divided
// by Scale.
func (u ONNXUnits) Dual() ONNXUnits {
	dual := ONNXUnits{Center: make([]float64, len(u.Scale))}
	for _, v := range u.Scale {
		dual.Scale = append(dual.Scale, 1/v)
	}
	return dual
}

// WriteONNX writes the computation of the named outputs, with the present
// values of the weights, as a model for other runtimes. Numbers are float32, but for
// inputs and outputs with units: other runtimes support few operations in float64. The inputs must be declared
// with one row. The model's dimension N is the number of rows; each row of an
// output is a function of the same row of the inputs. Names of weights become
// identifiers as in C. An operation between rows, an output that depends on no
// input, and an operation without a counterpart are errors.
//
// Reference: onnx.ai/onnx/repo-docs/IR.html; opset 13.
func (s *Scope) WriteONNX(w io.Writer, outputs map[string]*gorgonia.Node, o ONNX) error {
	if s.Err != nil {
		return s.Err
	}
	if len(outputs) == 0 {
		return errors.New("graph: an ONNX model without outputs")
	}
	g := onnxGraph{
		values:  make(map[*gorgonia.Node]onnxValue),
		taken:   make(map[string]bool),
		scalars: make(map[float64]string),
		units:   o.Units,
	}
	names := slices.Sorted(maps.Keys(outputs))
	var roots gorgonia.Nodes
	for _, name := range names {
		if outputs[name] == nil {
			return fmt.Errorf("graph: output %q is nil: nothing declares it", name)
		}
		roots = append(roots, outputs[name])
		g.taken[name] = true
	}
	order := topological(roots...)
	for _, n := range s.inputs {
		if slices.Contains(order, n) {
			if err := g.input(n); err != nil {
				return err
			}
		}
	}
	weights := make(map[*gorgonia.Node]string)
	for p, n := range s.params {
		weights[n] = p.Name
	}
	for _, n := range order {
		if _, known := g.values[n]; known {
			continue
		}
		if n.Op() == nil {
			g.leaf(n, weights[n])
		} else if err := g.operation(n); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := g.output(name, outputs[name]); err != nil {
			return err
		}
	}
	operators := wire.Message{}.Text(1, "").Int(2, onnxOperators)
	model := wire.Message{}.Int(1, onnxFormat).Text(2, "cmf").Bytes(7, g.message.Text(2, "cmf")).Bytes(8, operators)
	for _, name := range slices.Sorted(maps.Keys(o.Metadata)) {
		model = model.Bytes(14, wire.Message{}.Text(1, name).Text(2, o.Metadata[name]))
	}
	_, err := w.Write(model)
	return err
}

// onnxGraph is a GraphProto under construction.
type onnxGraph struct {
	message wire.Message
	values  map[*gorgonia.Node]onnxValue
	taken   map[string]bool // names
	scalars map[float64]string
	units   map[string]ONNXUnits
}

// onnxValue is a node's name in the model, and whether it has N rows.
type onnxValue struct {
	name    string
	batched bool
}

func (g *onnxGraph) input(n *gorgonia.Node) error {
	if n.Shape()[0] != 1 {
		return fmt.Errorf("graph: input %q has shape %v; an ONNX model is declared with inputs of one row", n.Name(), n.Shape())
	}
	if g.taken[n.Name()] {
		return fmt.Errorf("graph: an input and an output are both named %q; in an ONNX model names are distinct", n.Name())
	}
	name, cols := g.unique(n.Name()), n.Shape()[1]
	units, ok := g.units[n.Name()]
	if !ok {
		g.values[n] = onnxValue{name, true}
		g.message = g.message.Bytes(11, g.batch(name, onnxFloat, cols))
		return nil
	}
	if err := units.check(n.Name(), cols); err != nil {
		return err
	}
	g.message = g.message.Bytes(11, g.batch(name, onnxFloat64, cols))
	from := g.apply("Sub", name, g.wide("center", units.Center))
	g.values[n] = onnxValue{g.cast(g.apply("Div", from, g.wide("scale", units.Scale)), onnxFloat), true}
	return nil
}

func (u ONNXUnits) check(name string, cols int) error {
	if len(u.Center) != cols || len(u.Scale) != cols {
		return fmt.Errorf("graph: %d centres and %d scales for %q of %d columns", len(u.Center), len(u.Scale), name, cols)
	}
	return nil
}

func (g *onnxGraph) output(name string, n *gorgonia.Node) error {
	v := g.values[n]
	if !v.batched {
		return fmt.Errorf("graph: output %q does not depend on an input", name)
	}
	cols := n.Shape()[1]
	units, ok := g.units[name]
	if !ok {
		g.add("Identity", name, nil, v.name)
		g.message = g.message.Bytes(12, g.batch(name, onnxFloat, cols))
		return nil
	}
	if err := units.check(name, cols); err != nil {
		return err
	}
	scaled := g.apply("Mul", g.cast(v.name, onnxFloat64), g.wide("scale", units.Scale))
	g.add("Add", name, nil, scaled, g.wide("center", units.Center))
	g.message = g.message.Bytes(12, g.batch(name, onnxFloat64, cols))
	return nil
}

// cast is the name of a value as another type.
func (g *onnxGraph) cast(name string, element int) string {
	const integer = 2
	result := g.fresh("Cast")
	g.add("Cast", result, wire.Message{}.Bytes(5, wire.Message{}.Text(1, "to").Int(3, element).Int(20, integer)), name)
	return result
}

// wide is the name of a row in float64.
func (g *onnxGraph) wide(name string, vs []float64) string {
	var raw []byte
	for _, v := range vs {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
	}
	return g.tensor(g.fresh(name), onnxFloat64, raw, 1, len(vs))
}

// batch is the ValueInfoProto of an (N, cols) matrix.
func (g *onnxGraph) batch(name string, element, cols int) wire.Message {
	shape := wire.Message{}.Bytes(1, wire.Message{}.Text(2, "N")).Bytes(1, wire.Message{}.Int(1, cols))
	matrix := wire.Message{}.Int(1, element).Bytes(2, shape)
	return wire.Message{}.Text(1, name).Bytes(2, wire.Message{}.Bytes(1, matrix))
}

// leaf adds a weight, or a constant if weight is empty.
func (g *onnxGraph) leaf(n *gorgonia.Node, weight string) {
	if weight == "" {
		weight = n.Name()
	}
	g.values[n] = onnxValue{name: g.matrix(weight, n.Value())}
}

// matrix adds the present values of v under a name like the given one.
func (g *onnxGraph) matrix(name string, v gorgonia.Value) string {
	m := matrixOf(v.(*tensor.Dense))
	var raw []byte
	for i := range m.Rows {
		for j := range m.Cols {
			raw = appendFloat(raw, m.At(i, j))
		}
	}
	return g.tensor(g.unique(name), onnxFloat, raw, m.Rows, m.Cols)
}

// operation adds what n computes: one operator, or a few where ONNX has none.
func (g *onnxGraph) operation(n *gorgonia.Node) error {
	o, ok := n.Op().(*op.Op)
	if !ok {
		return fmt.Errorf("graph: %v cannot go into an ONNX model; operations of graph/op can", n.Op())
	}
	var in []string
	var batched bool
	operands := children(n)
	for _, c := range operands {
		in = append(in, g.values[c].name)
		batched = batched || g.values[c].batched
	}
	first := g.values[operands[0]].batched
	mixes := batched && n.Shape()[0] != 1
	call, name := o.String(), ""
	var err error
	kind, _, _ := strings.Cut(call, "{")
	switch kind {
	case "Add", "Sub", "Mul", "Softplus", "Sigmoid", "Exp", "Log", "Reciprocal", "Sqrt", "Tanh", "Relu":
		name = g.apply(kind, in...)
	case "MatMul":
		var tx, ty bool
		if _, err := fmt.Sscanf(call, "MatMul{%t,%t}", &tx, &ty); err != nil {
			return fmt.Errorf("graph: %s: %w", call, err)
		}
		mixes = first && tx || g.values[operands[1]].batched
		name = g.fresh("Gemm")
		g.add("Gemm", name, wire.Message{}.Bytes(5, flag("transA", tx)).Bytes(5, flag("transB", ty)), in...)
	case "Affine":
		var a, c float64
		if _, err := fmt.Sscanf(call, "Affine{%g,%g}", &a, &c); err != nil {
			return fmt.Errorf("graph: %s: %w", call, err)
		}
		name = in[0]
		if a != 1 {
			name = g.apply("Mul", name, g.scalar(a))
		}
		if c != 0 {
			name = g.apply("Add", name, g.scalar(c))
		}
	case "SumRows":
		mixes = first
		name = g.apply("ReduceSum", in[0], g.integers(0))
	case "SumCols":
		name = g.apply("ReduceSum", in[0], g.integers(1))
	case "Expand":
		name = g.apply("Expand", in[0], g.integers(n.Shape()...))
	case "LogSumExp":
		name = g.fresh("ReduceLogSumExp")
		g.add("ReduceLogSumExp", name, wire.Message{}.Bytes(5, integers("axes", 1)), in...)
	case "Softmax":
		name = g.apply("Softmax", in...)
	case "SumGroups": // a product with columns of r ones
		from, to := operands[0].Shape()[1], n.Shape()[1]
		name = g.apply("MatMul", in[0], g.groups(from, to, false))
	case "RepeatCols":
		from, to := operands[0].Shape()[1], n.Shape()[1]
		name = g.apply("MatMul", in[0], g.groups(to, from, true))
	case "SigmoidGrad": // s·(1−s)·g
		name = g.apply("Mul", g.apply("Mul", in[0], g.apply("Sub", g.scalar(1), in[0])), in[1])
	case "SigmoidGrad2": // (1−2s)·g·u
		slope := g.apply("Sub", g.scalar(1), g.apply("Mul", g.scalar(2), in[0]))
		name = g.apply("Mul", g.apply("Mul", slope, in[1]), in[2])
	case "Convolve", "ConvolveTransposed":
		mixes = g.values[operands[1]].batched
		name, err = g.convolution(n, in, kind == "ConvolveTransposed")
	case "Resize", "ResizeTransposed":
		name, err = g.resizing(n, in, kind == "ResizeTransposed")
	case "Step":
		name = g.apply("Relu", g.apply("Sign", in[0]))
	default:
		return fmt.Errorf("graph: %s has no counterpart in ONNX", call)
	}
	if err != nil {
		return err
	}
	if mixes {
		return fmt.Errorf("graph: %s works between the rows of a batch; in an ONNX model each row is computed by itself", call)
	}
	g.values[n] = onnxValue{name, batched}
	return nil
}

// apply adds an operator without attributes and returns the name of its result.
func (g *onnxGraph) apply(operator string, in ...string) string {
	name := g.fresh(operator)
	g.add(operator, name, nil, in...)
	return name
}

// add adds a NodeProto, which starts with the given attributes.
func (g *onnxGraph) add(operator, result string, attributes wire.Message, in ...string) {
	node := attributes.Text(2, result).Text(3, result).Text(4, operator)
	for _, name := range in {
		node = node.Text(1, name)
	}
	g.message = g.message.Bytes(1, node)
}

// flag is the AttributeProto of an integer that is 0 or 1.
func flag(name string, set bool) wire.Message {
	const integer = 2
	value := 0
	if set {
		value = 1
	}
	return wire.Message{}.Text(1, name).Int(3, value).Int(20, integer)
}

// integers is the AttributeProto of a list.
func integers(name string, values ...int) wire.Message {
	const list = 7
	m := wire.Message{}.Text(1, name)
	for _, v := range values {
		m = m.Int(8, v)
	}
	return m.Int(20, list)
}

// groups is the name of the (cols, groups) matrix that is 1 where a column belongs to a
// group of adjacent columns, or of its transpose.
func (g *onnxGraph) groups(cols, groups int, transposed bool) string {
	rows, size := cols, cols/groups
	if transposed {
		rows, cols = groups, rows
	} else {
		cols = groups
	}
	var raw []byte
	for i := range rows {
		for j := range cols {
			c, group := i, j
			if transposed {
				c, group = j, i
			}
			var v float64
			if c/size == group {
				v = 1
			}
			raw = appendFloat(raw, v)
		}
	}
	return g.tensor(g.fresh("groups"), onnxFloat, raw, rows, cols)
}

// scalar is the name of a constant that is repeated to any shape.
func (g *onnxGraph) scalar(v float64) string {
	if name, known := g.scalars[v]; known {
		return name
	}
	name := g.tensor(g.fresh("scalar"), onnxFloat, appendFloat(nil, v))
	g.scalars[v] = name
	return name
}

func appendFloat(raw []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(v)))
}

// integers is the name of a new vector, such as of axes or of a shape.
func (g *onnxGraph) integers(vs ...int) string {
	var raw []byte
	for _, v := range vs {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return g.tensor(g.fresh("integers"), onnxInt64, raw, len(vs))
}

// tensor adds an initializer and returns its name.
func (g *onnxGraph) tensor(name string, element int, raw []byte, shape ...int) string {
	var t wire.Message
	for _, n := range shape {
		t = t.Int(1, n)
	}
	g.message = g.message.Bytes(5, t.Int(2, element).Text(8, name).Bytes(9, raw))
	return name
}

func (g *onnxGraph) fresh(what string) string {
	return g.unique(fmt.Sprintf("%s_%d", what, len(g.taken)))
}

// unique reserves a name: an identifier of C, which is what the format allows.
func (g *onnxGraph) unique(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '_'
	}, name)
	for g.taken[name] {
		name += "_"
	}
	g.taken[name] = true
	return name
}
