package layers

import (
	"fmt"
	"io"

	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// ONNX says how a potential is written; the zero value is enough in units of learning.
type ONNX struct {
	Metadata map[string]string // texts that the model carries, by name
	Input    *graph.ONNXUnits  // of the points x = c + s⊙z that go in; w is a function of z, and "gradient" ∇w(z)/s
	Image    string            // a further output, ∇w(z) in the units Output; none if empty
	Output   *graph.ONNXUnits
}

// WriteONNX writes w with its present weights as an ONNX model (opset 13): the input "x" (N, d),
// the outputs "w" (N, 1) and "gradient" (N, d), ∇w as an explicit network, for any number N of
// points. A Conditional has the further input "context" (N, k), the context of each point. Where
// the network is the conjugate w*, it is written instead: the input "y", and the outputs
// "conjugate", w*(y), and "gradient", ∇w*(y). Numbers with units are float64, others float32.
func WriteONNX(out io.Writer, w Potential, o ONNX) error {
	s := graph.NewScope(w.Params().Dtype())
	of, input, value := w, "x", "w"
	if c, ok := w.(*Conjugate); ok {
		of, input, value = c.Conjugate(), "y", "conjugate"
	}
	z := s.Input(input, 1, w.Dim())
	of = OfContexts(s, of, 1)
	outputs := map[string]*gorgonia.Node{value: of.Value(s, z), "gradient": of.Gradient(s, z)}
	units := map[string]graph.ONNXUnits{}
	if u := o.Input; u != nil {
		units[input], units["gradient"] = *u, u.Dual()
	}
	if o.Image != "" {
		outputs[o.Image] = outputs["gradient"]
	}
	if o.Output != nil {
		units[o.Image] = *o.Output
	}
	if err := s.WriteONNX(out, outputs, graph.ONNX{Metadata: o.Metadata, Units: units}); err != nil {
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
