package autoencoder

import (
	"fmt"
	"io"

	"cmf/graph"
	"cmf/layers"

	"gorgonia.org/gorgonia"
)

// WriteONNX writes the decoder as an ONNX model (opset 13), for any number N of points,
// with the output "pictures" (N, Pixels), the channels of a pixel side by side. If the network of w is its conjugate, the input
// is noise "y" (N, Latents), and a further output is "latents", ∇w*(y); with contexts a
// further input is "context". Otherwise the input is "latents", because ∇w* takes a solve.
func (n *Network) WriteONNX(out io.Writer, w layers.Potential) error {
	s := graph.NewScope(n.params.Dtype())
	outputs := map[string]*gorgonia.Node{}
	var z *gorgonia.Node
	if c, ok := w.(*layers.Conjugate); ok {
		y := s.Input("y", 1, n.Latents)
		z = layers.OfContexts(s, c.Conjugate(), 1).Gradient(s, y)
		outputs["latents"] = z
	} else {
		z = s.Input("latents", 1, n.Latents)
	}
	outputs["pictures"] = s.Sigmoid(n.Decode(s, z))
	if err := s.WriteONNX(out, outputs, graph.ONNX{}); err != nil {
		return fmt.Errorf("autoencoder: ONNX model: %w", err)
	}
	return nil
}
