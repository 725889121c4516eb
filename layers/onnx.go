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
// "gradient", ∇w*(y). metadata are texts that the model carries, by name.
func WriteONNX(out io.Writer, w Potential, metadata map[string]string) error {
	s := graph.NewScope(w.Params().Dtype())
	if c, ok := w.(*Conjugate); ok {
		y, phi := s.Input("y", 1, w.Dim()), c.Conjugate()
		err := s.WriteONNX(out, map[string]*gorgonia.Node{"conjugate": phi.Value(s, y), "gradient": phi.Gradient(s, y)}, metadata)
		if err != nil {
			return fmt.Errorf("layers: ONNX model: %w", err)
		}
		return nil
	}
	x := s.Input("x", 1, w.Dim())
	err := s.WriteONNX(out, map[string]*gorgonia.Node{"w": w.Value(s, x), "gradient": w.Gradient(s, x)}, metadata)
	if err != nil {
		return fmt.Errorf("layers: ONNX model: %w", err)
	}
	return nil
}
