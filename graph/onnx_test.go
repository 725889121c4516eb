package graph

import (
	"bytes"
	"strings"
	"testing"

	"cmf/graph/op"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Outputs that are not functions of each row alone, and operations without a
// counterpart, are refused. Another program tests in layers that models compute
// the right numbers.
func TestWriteONNXRefuses(t *testing.T) {
	type node = gorgonia.Node
	for name, c := range map[string]struct {
		declare func(s *Scope, x *node) nodes
		want    []string
	}{
		"no outputs":     {func(*Scope, *node) nodes { return nil }, []string{"without outputs"}},
		"nil output":     {func(*Scope, *node) nodes { return nodes{"w": nil} }, []string{`"w"`, "nil"}},
		"earlier error":  {func(s *Scope, x *node) nodes { return nodes{"w": s.Add(x, s.Ones(3, 3))} }, []string{"Add", "(3, 3)"}},
		"constant":       {func(s *Scope, _ *node) nodes { return nodes{"w": s.Ones(1, 1)} }, []string{`"w"`, "does not depend"}},
		"many rows":      {func(s *Scope, x *node) nodes { return nodes{"w": s.Add(x, s.Input("y", 5, 2))} }, []string{`"y"`, "(5, 2)", "one row"}},
		"one name":       {func(_ *Scope, x *node) nodes { return nodes{"x": x} }, []string{`"x"`, "distinct"}},
		"mean":           {func(s *Scope, x *node) nodes { return nodes{"w": s.Mean(x)} }, []string{"SumRows", "rows of a batch"}},
		"Gram matrix":    {func(s *Scope, x *node) nodes { return nodes{"w": s.MatMul(x, false, x, true)} }, []string{"MatMul", "rows of a batch"}},
		"transposed":     {func(s *Scope, x *node) nodes { return nodes{"w": s.MatMul(x, true, s.Ones(1, 1), false)} }, []string{"MatMul", "rows of a batch"}},
		"more rows":      {func(s *Scope, x *node) nodes { return nodes{"w": s.Mul(x, s.Ones(4, 2))} }, []string{"Mul", "rows of a batch"}},
		"no counterpart": {func(s *Scope, x *node) nodes { return nodes{"w": s.Tile(2, x)} }, []string{"Tile{2}", "no counterpart"}},
		"stock":          {func(_ *Scope, x *node) nodes { return nodes{"w": gorgonia.Must(gorgonia.Neg(x))} }, []string{"cannot go into"}},
	} {
		s := NewScope(tensor.Float32)
		outputs := c.declare(s, s.Input("x", 1, 2))
		var model bytes.Buffer
		err := s.WriteONNX(&model, outputs, ONNX{})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", name, err, w)
			}
		}
		if model.Len() > 0 {
			t.Errorf("%s: a refused model was written", name)
		}
	}
}

// message are the fields of an encoded message, by number: of integers their values, of all
// others their bytes.
type message map[protowire.Number][]any

func decoded(t *testing.T, raw []byte) message {
	t.Helper()
	m := message{}
	for len(raw) > 0 {
		field, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			t.Fatalf("no message: %v", protowire.ParseError(n))
		}
		raw = raw[n:]
		size := protowire.ConsumeFieldValue(field, kind, raw)
		if size < 0 {
			t.Fatalf("field %d: %v", field, protowire.ParseError(size))
		}
		var value any = raw[:size]
		switch kind {
		case protowire.VarintType:
			value, _ = protowire.ConsumeVarint(raw)
		case protowire.BytesType:
			value, _ = protowire.ConsumeBytes(raw)
		}
		m[field] = append(m[field], value)
		raw = raw[size:]
	}
	return m
}

func (m message) text(field protowire.Number) string {
	if len(m[field]) != 1 {
		return ""
	}
	text, _ := m[field][0].([]byte)
	return string(text)
}

// Every operator of a written model has the attributes that the format gives it, each with the
// type of its value, and inputs that are there before it.
func TestONNXIsWellFormed(t *testing.T) {
	s := NewScope(tensor.Float32)
	window := op.Window{Height: 4, Width: 5, Channels: 2, Size: 3, Stride: 2, Padding: 1}
	filters := s.Constant("filters", 18, 3, func(i, j int) float64 { return float64(i - j) })
	x := s.Input("x", 1, 40)
	small := s.Resize(op.Resizing{Height: 4, Width: 5, Channels: 2, ToHeight: 2, ToWidth: 3}, x)
	product := s.MatMul(x, false, s.Constant("matrix", 3, 40, func(i, j int) float64 { return float64(i + j) }), true)
	sum := s.Add(s.SumCols(s.Square(s.Convolve(window, x, filters))), s.Add(s.SumCols(s.Square(small)), s.LogSumExp(product)))
	var file bytes.Buffer
	if err := s.WriteONNX(&file, nodes{"sum": sum, "gradient": s.Grad(sum, x)[0]}, ONNX{Metadata: map[string]string{"experiment": "none"}}); err != nil {
		t.Fatal(err)
	}
	// The field of AttributeProto that holds a value of each of its types; ints are repeated.
	const integer, integers = 2, 7
	holds := map[uint64]protowire.Number{integer: 3, integers: 8}
	known := map[string]map[string]uint64{
		"Conv": {"strides": integers, "pads": integers}, "ConvTranspose": {"strides": integers, "pads": integers, "output_padding": integers},
		"Transpose": {"perm": integers}, "Gemm": {"transA": integer, "transB": integer}, "ReduceLogSumExp": {"axes": integers},
	}
	graph := decoded(t, []byte(decoded(t, file.Bytes()).text(7)))
	there := map[string]bool{}
	for _, input := range graph[11] {
		there[decoded(t, input.([]byte)).text(1)] = true
	}
	for _, tensor := range graph[5] {
		there[decoded(t, tensor.([]byte)).text(8)] = true
	}
	seen := map[string]int{}
	for _, raw := range graph[1] {
		node := decoded(t, raw.([]byte))
		operator := node.text(4)
		seen[operator]++
		for _, input := range node[1] {
			if !there[string(input.([]byte))] {
				t.Errorf("%s takes %s, which is not there", operator, input)
			}
		}
		there[node.text(2)] = true
		got := map[string]uint64{}
		for _, raw := range node[5] {
			attribute := decoded(t, raw.([]byte))
			if len(attribute[20]) != 1 {
				t.Fatalf("%s: an attribute without a type: %v", operator, attribute)
			}
			kind := attribute[20][0].(uint64)
			got[attribute.text(1)] = kind
			if len(attribute) != 3 || len(attribute[holds[kind]]) == 0 {
				t.Errorf("%s: attribute %s of type %d is %v", operator, attribute.text(1), kind, attribute)
			}
		}
		if diff := cmp.Diff(known[operator], got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("attributes of %s:\n%s", operator, diff)
		}
	}
	for operator := range known {
		if seen[operator] == 0 {
			t.Errorf("no %s among %v", operator, seen)
		}
	}
	if !there["sum"] || !there["gradient"] {
		t.Error("the outputs are not computed")
	}
}

// Units of another number of columns are refused.
func TestWriteONNXRefusesUnits(t *testing.T) {
	for name, want := range map[string]string{"x": `1 centres and 1 scales for "x" of 2 columns`, "w": `1 centres and 1 scales for "w" of 2 columns`} {
		s := NewScope(tensor.Float32)
		var model bytes.Buffer
		err := s.WriteONNX(&model, nodes{"w": s.Relu(s.Input("x", 1, 2))}, ONNX{Units: map[string]ONNXUnits{name: {[]float64{1}, []float64{1}}}})
		if err == nil || !strings.Contains(err.Error(), want) || model.Len() > 0 {
			t.Errorf("%s: %v, want %q; %d bytes", name, err, want, model.Len())
		}
	}
}
