package layers

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"cmf/graph"
	"cmf/graph/onnxtest"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// manyOperations is a function whose gradient is derived, with every operation
// that a model can hold: √(1 + |x|²) + Σ_j (log(eˣ + e⁻ˣ) + tanh x + max(x, 0) +
// σ(x) + σ′(x)).
func manyOperations() Potential {
	params, _ := graph.NewParams(tensor.Float32)
	return declared{3, params, func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
		norm := s.Sqrt(s.Affine(1, s.SumCols(s.Square(x)), 1))
		sum := s.Log(s.Add(s.Exp(x), s.Exp(s.Scale(-1, x))))
		sigma := s.Sigmoid(x)
		for _, f := range []*gorgonia.Node{s.Tanh(x), s.Relu(x), sigma, s.Grad(sigma, x)[0]} {
			sum = s.Add(sum, f)
		}
		return s.Add(norm, s.SumCols(sum))
	}}
}

// onnxruntime computes what the graph does, for every part of an architecture.
func TestONNXRuntimeAgrees(t *testing.T) {
	cases := map[string]Potential{"derived gradient": manyOperations()}
	for name, a := range map[string]Architecture{
		"one layer":  {Dim: 3, Hidden: []int{5}},
		"line":       {Dim: 1, Hidden: []int{4, 4}, Knots: 1},
		"skips":      {Dim: 3, Hidden: []int{8, 7, 6}},
		"diagonal":   {Dim: 3, Hidden: []int{8, 6}, DiagonalSkips: true},
		"ranks":      {Dim: 3, Hidden: []int{8, 6}, Rank: 2},
		"knots":      {Dim: 3, Hidden: []int{8}, Knots: 3},
		"rotated":    {Dim: 3, Hidden: []int{8}, Rotated: true},
		"full":       {Dim: 3, Hidden: []int{8}, Full: true},
		"maximum":    {Dim: 3, Hidden: []int{8, 7, 6}, Unit: Maximum, Tau: .5},
		"filtered":   {Dim: 18, Picture: [3]int{3, 3, 2}, Convolutions: []Convolution{{4, 2, 1, 0}, {3, 2, 1, 0}}, Hidden: []int{5}, Unit: Maximum},
		"all maxima": Architecture{Unit: Maximum}.everything(16, 32, 24, 16),
		"padded": {
			Dim: 60, Picture: [3]int{6, 5, 2}, Convolutions: []Convolution{{4, 4, 2, 1}, {3, 2, 1, 0}, {5, 1, 1, 0}}, Hidden: []int{5}, DiagonalSkips: true, Rank: 1, Full: true,
		},
		"float64":    {Dim: 3, Hidden: []int{8, 6}, Float64: true},
		"contexts":   {Dim: 3, Hidden: []int{8, 6}, Full: true, Unit: Maximum, Context: 2, ContextHidden: 4},
		"convolved":  {Dim: 18, Picture: [3]int{3, 3, 2}, Convolutions: []Convolution{{4, 2, 1, 0}, {3, 2, 1, 0}}, Hidden: []int{5}},
		"everything": {Dim: 16, Hidden: []int{32, 24, 16}, DiagonalSkips: true, Rank: 2, Knots: 2, Rotated: true, Full: true},
	} {
		m, err := NewICNN(a)
		if err != nil {
			t.Fatal(err)
		}
		randomise(m, 5)
		cases[name] = m
	}
	for _, a := range maxima {
		a.Float64 = false
		cases[fmt.Sprintf("quadratics %+v", a)] = softMaximum(t, a)
	}
	var requests []onnxtest.Request
	var programs []*graph.Program
	var labels []string
	for name, w := range cases {
		path := filepath.Join(t.TempDir(), "model.onnx")
		var model bytes.Buffer
		if err := WriteONNX(&model, w, ONNX{}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, model.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 37} {
			s := graph.NewScope(w.Params().Dtype())
			x := points(s, n, w.Dim())
			at := OfContexts(s, w, n)
			p := compile(t, s, map[string]*gorgonia.Node{"w": at.Value(s, x), "gradient": at.Gradient(s, x)})
			fillNormal(p.In("x"), 9)
			inputs := map[string]onnxtest.Array{"x": arrayOf(p.In("x"))}
			if c, ok := w.(Conditional); ok && c.Contexts() > 0 {
				fillNormal(p.In("context"), 10)
				inputs["context"] = arrayOf(p.In("context"))
			}
			run(t, p)
			requests = append(requests, onnxtest.Request{Model: path, Inputs: inputs})
			programs = append(programs, p)
			labels = append(labels, fmt.Sprintf("%s, %d points", name, n))
		}
	}
	for i, answer := range onnxtest.Run(t, requests) {
		if len(answer) != 2 {
			t.Errorf("%s: %d outputs, want w and gradient", labels[i], len(answer))
		}
		for name, got := range answer {
			if err := agree(got, programs[i].Out(name)); err != nil {
				t.Errorf("%s: %s %v", labels[i], name, err)
			}
		}
	}
}

// With units a model takes points in float64, forms differences to the centre before it rounds,
// and gives gradients and images in units, also for either network.
func TestONNXInUnitsOfTheData(t *testing.T) {
	const n = 50
	input := graph.ONNXUnits{Center: []float64{1e5 + 1./3, -2e5, .01}, Scale: []float64{2, 1e-3, 300}}
	output := graph.ONNXUnits{Center: []float64{-7e6 - 1./7, 3, 0}, Scale: []float64{.5, 1e4, 1}}
	icnn, err := NewICNN(Architecture{Dim: 3, Hidden: []int{8, 6}, Full: true})
	if err != nil {
		t.Fatal(err)
	}
	randomise(icnn, 5)
	for name, w := range map[string]Potential{"w": icnn, "conjugate": NewConjugate(softMaximum(t, Architecture{Dim: 3, Pieces: 5, Tau: .3}))} {
		path := filepath.Join(t.TempDir(), "model.onnx")
		var model bytes.Buffer
		if err := WriteONNX(&model, w, ONNX{Input: &input, Image: "map", Output: &output}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, model.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		in := "x"
		if c, ok := w.(*Conjugate); ok {
			w, in = c.Conjugate(), "y"
		}
		s := graph.NewScope(w.Params().Dtype())
		z := points(s, n, 3)
		p := compile(t, s, map[string]*gorgonia.Node{"value": w.Value(s, z), "gradient": w.Gradient(s, z)})
		fillNormal(p.In("x"), 9)
		run(t, p)
		x := arrayOf(p.In("x"))
		for i, v := range x.Data {
			x.Data[i] = input.Center[i%3] + input.Scale[i%3]*v
		}
		x.Type = "float64"
		answer := onnxtest.Run(t, []onnxtest.Request{{Model: path, Inputs: map[string]onnxtest.Array{in: x}}})[0]
		gradient := p.Out("gradient")
		for i := range n {
			if got, want := answer[name].Data[i], p.Out("value").At(i, 0); !(math.Abs(got-want) <= 1e-5*(1+math.Abs(want))) {
				t.Fatalf("%s: row %d is %g, want %g", name, i+1, got, want)
			}
			for j := range 3 {
				g := gradient.At(i, j)
				rounding := 1e-5 * (1 + math.Abs(g))
				if got := answer["gradient"].Data[3*i+j]; !(math.Abs(got*input.Scale[j]-g) <= rounding) {
					t.Fatalf("%s: row %d has the gradient %g, want %g", name, i+1, got, g/input.Scale[j])
				}
				if got, want := answer["map"].Data[3*i+j], output.Center[j]+output.Scale[j]*g; !(math.Abs(got-want) <= output.Scale[j]*rounding) {
					t.Fatalf("%s: row %d has the image %.9g, want %.9g", name, i+1, got, want)
				}
			}
		}
	}
}

func arrayOf(m graph.Matrix) onnxtest.Array {
	a := onnxtest.Array{Dims: []int{m.Rows, m.Cols}}
	for i := range m.Rows {
		for j := range m.Cols {
			a.Data = append(a.Data, m.At(i, j))
		}
	}
	return a
}

// agree returns an error if a row differs, as a vector, by more than 1e-5 of its
// length; the error says by how much.
func agree(a onnxtest.Array, want graph.Matrix) error {
	if len(a.Dims) != 2 || a.Dims[0] != want.Rows || a.Dims[1] != want.Cols {
		return fmt.Errorf("has shape %v, want (%d, %d)", a.Dims, want.Rows, want.Cols)
	}
	for i := range want.Rows {
		var length, gap float64
		for j := range want.Cols {
			length = math.Hypot(length, want.At(i, j))
			gap = math.Hypot(gap, a.Data[i*want.Cols+j]-want.At(i, j))
		}
		if !(gap <= 1e-5*length) {
			return fmt.Errorf("of point %d differs by %.2g of its length", i, gap/length)
		}
	}
	return nil
}
