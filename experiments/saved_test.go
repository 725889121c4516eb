package experiments

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/experiments/fit"
	"cmf/experiments/picture"
	"cmf/graph"
	"cmf/solvers/random"
)

// A saved model with carried noise draws what the run drew, to the same bits; a matrix that
// cannot carry noise is refused by name.
func TestSavedCarry(t *testing.T) {
	env := small(t, "CMF_CARRY=0.3")
	out := env["CMF_OUT"]
	if _, _, err := execute(t, t.Context(), env); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(out, "checkpoint.safetensors")
	m, err := fit.LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	draw, err := m.Draw(t.Context(), 64, 20, random.New(1, "generation", 0))
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Units().Data(draw.Points, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := table.ReadBatch(filepath.Join(out, "samples.npy"))
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
	c.Put("carry", zeros, picture.Pixels, picture.Pixels)
	if _, err := fit.ModelOf(c); err == nil || !strings.Contains(err.Error(), `its "carry": potential: the matrix that carries a noise is not positive definite`) {
		t.Errorf("zeros: error %v", err)
	}
	c.Put("carry", carry.F32[:4], 2, 2)
	if _, err := fit.ModelOf(c); err == nil || !strings.Contains(err.Error(), `its "carry" has shape [2 2]; it must be [784 784]`) {
		t.Errorf("another shape: error %v", err)
	}
}
