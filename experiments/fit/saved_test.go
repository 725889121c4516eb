package fit

import (
	"slices"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/layers"
)

// A convolutional network is read back unchanged. A file with other filters is refused,
// and the error names them.
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
	if _, err := potentialOf(c, a); err == nil || !strings.Contains(err.Error(), `"weight.layer1.skip" has shape [4 2]; its architecture needs [4 3]`) {
		t.Errorf("other filters: error %v", err)
	}
}
