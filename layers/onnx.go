package layers

import (
	"fmt"
	"io"

	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// WriteONNX writes w with its present weights as an ONNX model (opset 13): the
// input "x" (N, d), the outputs "w" (N, 1) and "gradient" (N, d), ∇w as an explicit
// network, for any number N of points. Where the network is the conjugate w*, it is
// written instead: the input "y", and the outputs "conjugate", w*(y), and
// "gradient", ∇w*(y). A Conditional has the further input "context" (N, k), the context of
// each point. metadata are texts that the model carries, by name.
func WriteONNX(out io.Writer, w Potential, metadata map[string]string) error {
	s := graph.NewScope(w.Params().Dtype())
	of, input, value := w, "x", "w"
	if c, ok := w.(*Conjugate); ok {
		of, input, value = c.Conjugate(), "y", "conjugate"
	}
	x := s.Input(input, 1, w.Dim())
	of = OfContexts(s, of, 1)
	err := s.WriteONNX(out, map[string]*gorgonia.Node{value: of.Value(s, x), "gradient": of.Gradient(s, x)}, metadata)
	if err != nil {
		return fmt.Errorf("layers: ONNX model: %w", err)
	}
	return nil
}

// OfContexts is w for a batch of n rows whose contexts are the input "context" of s; without
// contexts it is w.
func OfContexts(s *graph.Scope, w Potential, n int) Potential {
	if c, ok := w.(Conditional); ok && c.Contexts() > 0 {
		return c.Given(s, s.Input("context", n, c.Contexts()))
	}
	return w
}
