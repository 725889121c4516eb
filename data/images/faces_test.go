package images

import (
	"slices"
	"testing"

	"cmf/solvers/batch"
)

func TestFacesAreRepeatable(t *testing.T) {
	a, b, other := Faces(3, 16, 12, 6), Faces(3, 16, 20, 6), Faces(4, 16, 12, 6)
	if !slices.Equal(a.Train.Data, b.Train.Data[:len(a.Train.Data)]) || !slices.Equal(a.Test.Data, b.Test.Data) {
		t.Error("the pictures depend on how many are drawn")
	}
	if slices.Equal(a.Train.Data, other.Train.Data) || slices.Equal(a.Train.Data[:len(a.Test.Data)], a.Test.Data) {
		t.Error("two seeds, or the two splits, give the same pictures")
	}
	if !a.StandIn || a.Side != 16 || a.Train.Cols != 3*16*16 {
		t.Errorf("side %d, %d values, stand-in %v", a.Side, a.Train.Cols, a.StandIn)
	}
	if none := Faces(3, 16, -1, 0); none.Train.Rows != 0 || none.Train.Cols != 768 {
		t.Errorf("no pictures: got shape (%d, %d)", none.Train.Rows, none.Train.Cols)
	}
}

// Faces differ in colour and form everywhere except in the corners, where only
// the ground differs.
func TestFacesVary(t *testing.T) {
	p := Faces(1, 32, 400, 0)
	sd := func(k int) float64 {
		column := p.Train
		column.Data, column.Cols = column.Data[k:], 1
		values := batch.New(p.Train.Rows, 1)
		for i := range p.Train.Rows {
			values.Data[i] = column.Data[i*column.Stride]
		}
		_, sd := moments(values)
		return sd
	}
	for plane := range 3 {
		ground, hair, cheek, eye := sd(plane*1024), sd(plane*1024+5*32+16), sd(plane*1024+20*32+11), sd(plane*1024+16*32+12)
		if ground < .01 || ground > .1 || hair < .15 || cheek < .08 || eye < .1 {
			t.Errorf("plane %d: standard deviations of ground %.3f, hair %.3f, cheek %.3f, eye %.3f", plane, ground, hair, cheek, eye)
		}
	}
	for i, v := range p.Train.Data {
		if !(v >= 0 && v <= 1) {
			t.Fatalf("value %d is %g", i, v)
		}
	}
}

func BenchmarkFaces(b *testing.B) {
	for b.Loop() {
		Faces(1, 32, 100, 0)
	}
}
