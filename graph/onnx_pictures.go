package graph

import (
	"fmt"

	"cmf/graph/op"
	"cmf/graph/wire"

	"gorgonia.org/gorgonia"
)

// convolution adds Convolve, or its adjoint in the pictures, of the given window.
// ONNX has the channels of a picture above its lines: (N, channels, height, width).
func (g *onnxGraph) convolution(n *gorgonia.Node, in []string, transposed bool) (string, error) {
	var w op.Window
	form := "Convolve{%d %d %d %d %d %d}"
	if transposed {
		form = "ConvolveTransposed{%d %d %d %d %d %d}"
	}
	call := n.Op().(*op.Op).String()
	if _, err := fmt.Sscanf(call, form, &w.Height, &w.Width, &w.Channels, &w.Size, &w.Stride, &w.Padding); err != nil {
		return "", fmt.Errorf("graph: %s: %w", call, err)
	}
	filters := children(n)[1].Shape()[1]
	kappa := g.permuted(g.reshaped(in[1], w.Size, w.Size, w.Channels, filters), 3, 2, 0, 1)
	attributes := wire.Message{}.Bytes(5, list("strides", w.Stride, w.Stride)).
		Bytes(5, list("pads", w.Padding, w.Padding, w.Padding, w.Padding))
	operator, height, width, channels := "Conv", w.Height, w.Width, w.Channels
	if transposed {
		// The lines at the end of a picture that no square reaches.
		rest := func(side int) int { return (side + 2*w.Padding - w.Size) % w.Stride }
		attributes = attributes.Bytes(5, list("output_padding", rest(w.Height), rest(w.Width)))
		operator, channels = "ConvTranspose", filters
		height, width = w.Positions()
	}
	name := g.fresh(operator)
	g.add(operator, name, attributes, g.permuted(g.reshaped(in[0], -1, height, width, channels), 0, 3, 1, 2), kappa)
	return g.reshaped(g.permuted(name, 0, 2, 3, 1), -1, n.Shape()[1]), nil
}

// resizing adds Resize or its adjoint: a product along each side of the pictures.
func (g *onnxGraph) resizing(n *gorgonia.Node, in []string, transposed bool) (string, error) {
	var r op.Resizing
	form := "Resize{%d %d %d %d %d}"
	if transposed {
		form = "ResizeTransposed{%d %d %d %d %d}"
	}
	call := n.Op().(*op.Op).String()
	if _, err := fmt.Sscanf(call, form, &r.Height, &r.Width, &r.Channels, &r.ToHeight, &r.ToWidth); err != nil {
		return "", fmt.Errorf("graph: %s: %w", call, err)
	}
	down, across := r.ResizeSides()
	side := func(name string, m op.Matrix[float64]) string {
		var raw []byte
		for _, v := range m.Data {
			raw = appendFloat(raw, v)
		}
		matrix := g.tensor(g.fresh(name), onnxFloat, raw, m.Rows, m.Cols)
		if transposed {
			matrix = g.permuted(matrix, 1, 0)
		}
		return matrix
	}
	height, width, to := r.Height, r.Width, r.ToHeight
	if transposed {
		height, width, to = r.ToHeight, r.ToWidth, r.Height
	}
	lines := g.apply("MatMul", side("down", down), g.reshaped(in[0], -1, height, width*r.Channels))
	pixels := g.apply("MatMul", side("across", across), g.reshaped(lines, -1, to, width, r.Channels))
	return g.reshaped(pixels, -1, n.Shape()[1]), nil
}

// reshaped adds a tensor in another shape, of which one size may be −1.
func (g *onnxGraph) reshaped(name string, shape ...int) string {
	return g.apply("Reshape", name, g.integers(shape...))
}

// permuted adds a tensor whose axis k is the given axis axes[k].
func (g *onnxGraph) permuted(name string, axes ...int) string {
	result := g.fresh("Transpose")
	g.add("Transpose", result, wire.Message{}.Bytes(5, list("perm", axes...)), name)
	return result
}

// list is the AttributeProto of a list of integers.
func list(name string, vs ...int) wire.Message {
	const integers = 7
	m := wire.Message{}.Text(1, name)
	for _, v := range vs {
		m = m.Int(8, v)
	}
	return m.Int(20, integers)
}
