package graph

import (
	"bytes"
	"strings"
	"testing"

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
