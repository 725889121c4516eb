package experiments

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/data"
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers/random"
)

// A convolutional network is read back as it was, and one whose file is of other
// filters is refused by name.
func TestSavedConvolutions(t *testing.T) {
	a := layers.Architecture{Dim: 36, Picture: [3]int{6, 6, 1}, Convolutions: []layers.Convolution{{Filters: 3, Size: 3, Stride: 1}, {Filters: 2, Size: 2, Stride: 2}}, Hidden: []int{4}}
	w, err := layers.NewICNN(a)
	if err != nil {
		t.Fatal(err)
	}
	for k, p := range w.Params().All() {
		p.Fill(func(i int) float64 { return float64(k) + float64(i)/8 })
	}
	c := graph.NewCheckpoint()
	c.PutParams(w.Params())
	again, err := potentialOf(c, a)
	if err != nil {
		t.Fatal(err)
	}
	for k, p := range again.Params().All() {
		if !slices.Equal(p.Float32s(), w.Params().All()[k].Float32s()) {
			t.Errorf("%s is not what was saved", p.Name)
		}
	}
	a.Convolutions = slices.Clone(a.Convolutions)
	a.Convolutions[1].Filters = 3
	if _, err := potentialOf(c, a); err == nil || !strings.Contains(err.Error(), `"weight.layer1.skip" has shape [16 2]; its architecture needs [16 3]`) {
		t.Errorf("other filters: error %v", err)
	}
}

// A saved model whose noise is carried draws what the run drew, to the same bits;
// a matrix that carries nothing is refused by name.
func TestSavedCarry(t *testing.T) {
	out := small(t, "CMF_CARRY", "0.3")
	if _, _, err := execute(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(out, "checkpoint.safetensors")
	m, err := LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	draw, err := m.Draw(64, 20, random.New(1, "generation", 0))
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Units().Data(draw.Points)
	if err != nil {
		t.Fatal(err)
	}
	want, err := data.ReadNPY(filepath.Join(out, "samples.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Data, want.Data) {
		t.Error("the saved model draws other points")
	}

	c, err := graph.LoadCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	carry := c.Tensors["carry"]
	zeros := make([]float32, len(carry.F32))
	c.Put("carry", zeros, pixels, pixels)
	if _, err := modelOf(c); err == nil || !strings.Contains(err.Error(), `its "carry": solvers: the matrix that carries a noise is not positive definite`) {
		t.Errorf("zeros: error %v", err)
	}
	c.Put("carry", carry.F32[:4], 2, 2)
	if _, err := modelOf(c); err == nil || !strings.Contains(err.Error(), `its "carry" has shape [2 2]; it must be [784 784]`) {
		t.Errorf("another shape: error %v", err)
	}
}
