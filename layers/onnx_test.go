package layers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cmf/graph"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// array is a tensor as testdata/onnx.js exchanges it.
type array struct {
	Dims []int     `json:"dims"`
	Data []float64 `json:"data"`
}

// request asks for a model's outputs at inputs.
type request struct {
	Model  string           `json:"model"` // path
	Inputs map[string]array `json:"inputs"`
}

// onnxruntime answers requests with an independent implementation. The test
// skips where Node.js does not find onnxruntime-node in the folder NODE_PATH.
func onnxruntime(t *testing.T, requests []request) []map[string]array {
	t.Helper()
	if os.Getenv("NODE_PATH") == "" || exec.Command("node", "-e", `require("onnxruntime-node")`).Run() != nil {
		t.Skip("no onnxruntime-node under NODE_PATH")
	}
	in, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	var out, complaint bytes.Buffer
	node := exec.Command("node", filepath.Join("testdata", "onnx.js"))
	node.Stdin, node.Stdout, node.Stderr = bytes.NewReader(in), &out, &complaint
	if err := node.Run(); err != nil {
		t.Fatalf("%v: %s", err, &complaint)
	}
	var answers []map[string]array
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

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
	var requests []request
	var programs []*graph.Program
	var labels []string
	for name, w := range cases {
		path := filepath.Join(t.TempDir(), "model.onnx")
		var model bytes.Buffer
		if err := WriteONNX(&model, w, nil); err != nil {
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
			inputs := map[string]array{"x": arrayOf(p.In("x"))}
			if c, ok := w.(Conditional); ok && c.Contexts() > 0 {
				fillNormal(p.In("context"), 10)
				inputs["context"] = arrayOf(p.In("context"))
			}
			run(t, p)
			requests = append(requests, request{path, inputs})
			programs = append(programs, p)
			labels = append(labels, fmt.Sprintf("%s, %d points", name, n))
		}
	}
	for i, answer := range onnxruntime(t, requests) {
		if len(answer) != 2 {
			t.Errorf("%s: %d outputs, want w and gradient", labels[i], len(answer))
		}
		for name, got := range answer {
			if err := got.near(programs[i].Out(name)); err != nil {
				t.Errorf("%s: %s %v", labels[i], name, err)
			}
		}
	}
}

func arrayOf(m graph.Matrix) array {
	a := array{Dims: []int{m.Rows, m.Cols}}
	for i := range m.Rows {
		for j := range m.Cols {
			a.Data = append(a.Data, m.At(i, j))
		}
	}
	return a
}

// near returns an error if a row differs, as a vector, by more than 1e-5 of its
// length; the error says by how much.
func (a array) near(want graph.Matrix) error {
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
