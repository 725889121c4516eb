package layers

import (
	"fmt"
	"io"

	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// WriteONNX writes w with its present weights as an ONNX model (opset 13): the
// input "x" (N, d), the outputs "w" (N, 1) and "gradient" (N, d), ∇w as an explicit
// network, for any number N of points.
func WriteONNX(out io.Writer, w Potential) error {
	s := graph.NewScope(w.Params().Dtype())
	x := s.Input("x", 1, w.Dim())
	err := s.WriteONNX(out, map[string]*gorgonia.Node{"w": w.Value(s, x), "gradient": w.Gradient(s, x)})
	if err != nil {
		return fmt.Errorf("layers: ONNX model: %w", err)
	}
	return nil
}
