package inpaint

import (
	"math"
	"slices"
	"testing"

	"cmf/data/images"
	"cmf/experiments/picture"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

func TestHoles(t *testing.T) {
	for name, want := range map[string][2]int{"half": {392, 392}, "centre": {196, 196}, "random": {340, 444}, "scribble": {80, 400}} {
		h := NewHole(name, 3)
		if n := len(h.Hidden()); n < want[0] || n > want[1] {
			t.Errorf("the hole %s has %d pixels, want %d to %d", name, n, want[0], want[1])
		}
	}
	if h := NewHole("centre", 3); h.Observed[14*side+14] || !h.Observed[6*side+14] || !h.Observed[14*side+21] || h.Observed[20*side+20] {
		t.Error("the hole in the centre is elsewhere")
	}
}

// The test uses the PSNR of a known error, the SSIM of a picture with itself, its negative
// and a constant, and the standard deviation of known draws.
func TestMetrics(t *testing.T) {
	truth := batch.New(2, picture.Pixels)
	random.New(1, "picture", 0).Normals(truth.Data)
	for i, v := range truth.Data {
		truth.Data[i] = .5 + .2*max(-2, min(2, v))
	}
	hidden := NewHole("centre", 1).Hidden()
	off, negative, flat := batch.New(2, picture.Pixels), batch.New(2, picture.Pixels), batch.New(2, picture.Pixels)
	for i, v := range truth.Data {
		off.Data[i], negative.Data[i], flat.Data[i] = v+.1, 1-v, .5
	}
	if got := PSNR(truth, off, hidden); math.Abs(got-20) > 1e-4 {
		t.Errorf("an error of .1 gives %g dB, want 20", got)
	}
	if got := SSIM(truth, truth, hidden); math.Abs(got-1) > 1e-9 {
		t.Errorf("SSIM with itself %g, want 1", got)
	}
	if got := SSIM(truth, negative, hidden); got > -.8 {
		t.Errorf("SSIM with the negative %g, want near −1", got)
	}
	if got := SSIM(truth, flat, hidden); math.Abs(got) > .1 {
		t.Errorf("SSIM with a constant %g, want near 0", got)
	}
	// Two draws at ±.3 about any value have the unbiased standard deviation .3·√2.
	draws := batch.New(4, picture.Pixels)
	for i := range draws.Rows {
		for k := range picture.Pixels {
			batch.Row(draws, i)[k] = batch.Row(truth, i/2)[k] + .3*float32(1-2*(i%2))
		}
	}
	if got := Diversity(draws, 2, hidden); math.Abs(got-.3*math.Sqrt2) > 1e-6 {
		t.Errorf("diversity %g, want %g", got, .3*math.Sqrt2)
	}
	if got := Diversity(blas32.General{Rows: 4, Cols: picture.Pixels, Stride: 0, Data: batch.Row(truth, 0)}, 2, hidden); got > 1e-6 {
		t.Errorf("diversity of equal draws %g", got)
	}
}

// Each digit to complete comes with its own label.
func TestLabels(t *testing.T) {
	set := images.StandIn(1, 1000, 500)
	j, err := NewJudge(set, 60)
	if err != nil {
		t.Fatal(err)
	}
	for i, label := range j.labels {
		found := false
		for k := range set.Test.Rows {
			found = found || set.TestLabels[k] == label && slices.Equal(batch.Row(set.Test, k), batch.Row(j.Truth, i))
		}
		if !found {
			t.Fatalf("digit %d does not have the label %d", i, label)
		}
	}
}

// Weights that are equal keep every index, and an index comes up as often as its weight says.
func TestSystematic(t *testing.T) {
	rng := random.New(1, "indices", 0)
	even := systematic([]float64{3, 3, 3, 3}, rng)
	slices.Sort(even)
	if !slices.Equal(even, []int{0, 1, 2, 3}) {
		t.Errorf("equal weights give %v", even)
	}
	one := systematic([]float64{900, 0, 800, math.Inf(1)}, rng)
	if !slices.Equal(one, []int{1, 1, 1, 1}) {
		t.Errorf("one weight gives %v", one)
	}
	counts := make([]int, 3)
	const rounds = 4000
	for range rounds { // weights ½, ¼, ¼
		for _, k := range systematic([]float64{0, math.Ln2, math.Ln2}, rng) {
			counts[k]++
		}
	}
	for k, want := range []float64{1.5, .75, .75} {
		if got := float64(counts[k]) / rounds; math.Abs(got-want) > .03 {
			t.Errorf("index %d comes up %.3f times of 3, want %.2f", k, got, want)
		}
	}
}
