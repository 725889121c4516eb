package layers

import (
	"fmt"
	"io"

	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// ONNX says how a potential is written as an ONNX model. Its zero value is all that is needed
// in units of learning.
type ONNX struct {
	Metadata map[string]string // texts that the model carries, by name

	// Input are the units c, s of the points that go in, x = c + s⊙z where w is a function of
	// z; nil for points z. "gradient" is then with respect to x: ∇w(z)/s.
	Input *graph.ONNXUnits

	// Image, unless it is empty, names a further output, ∇w(z) in the units Output, or as it
	// is where that is nil: the image of a point under the map.
	Image  string
	Output *graph.ONNXUnits
}

// WriteONNX writes w with its present weights as an ONNX model (opset 13): the
// input "x" (N, d), the outputs "w" (N, 1) and "gradient" (N, d), ∇w as an explicit
// network, for any number N of points. Where the network is the conjugate w*, it is
// written instead: the input "y", and the outputs "conjugate", w*(y), and
// "gradient", ∇w*(y). Numbers are float32; what o gives units is float64.
func WriteONNX(out io.Writer, w Potential, o ONNX) error {
	s := graph.NewScope(w.Params().Dtype())
	input, value := "x", "w"
	if c, ok := w.(*Conjugate); ok {
		w, input, value = c.Conjugate(), "y", "conjugate"
	}
	z := s.Input(input, 1, w.Dim())
	gradient := w.Gradient(s, z)
	outputs := map[string]*gorgonia.Node{value: w.Value(s, z), "gradient": gradient}
	units := map[string]graph.ONNXUnits{}
	if o.Input != nil {
		units[input] = *o.Input
		inverse := graph.ONNXUnits{Center: make([]float64, len(o.Input.Scale))}
		for _, v := range o.Input.Scale {
			inverse.Scale = append(inverse.Scale, 1/v)
		}
		units["gradient"] = inverse
	}
	if o.Image != "" {
		outputs[o.Image] = gradient
		if o.Output != nil {
			units[o.Image] = *o.Output
		}
	}
	if err := s.WriteONNX(out, outputs, graph.ONNX{Metadata: o.Metadata, Units: units}); err != nil {
		return fmt.Errorf("layers: ONNX model: %w", err)
	}
	return nil
}
