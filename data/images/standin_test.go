package images

import (
	"math"
	"slices"
	"testing"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

func TestStandInIsRepeatable(t *testing.T) {
	a, b, other := StandIn(3, 40, 20), StandIn(3, 60, 20), StandIn(4, 40, 20)
	if !slices.Equal(a.Train.Data, b.Train.Data[:len(a.Train.Data)]) || !slices.Equal(a.TrainLabels, b.TrainLabels[:40]) {
		t.Error("the first images depend on how many are drawn")
	}
	if !slices.Equal(a.Test.Data, b.Test.Data) {
		t.Error("the test images depend on how many training images are drawn")
	}
	if slices.Equal(a.Train.Data, other.Train.Data) || slices.Equal(a.Train.Data[:len(a.Test.Data)], a.Test.Data) {
		t.Error("two seeds, or the two splits, give the same images")
	}
	if none := StandIn(3, -1, 0); none.Train.Rows != 0 || none.Test.Rows != 0 || none.Train.Cols != 784 {
		t.Errorf("no images: got shape (%d, %d)", none.Train.Rows, none.Train.Cols)
	}
}

// The stand-in has the statistics of MNIST: mean .1307, standard deviation
// .3081, digits centred by mass within 20×20 of 28×28, whole grey levels.
func TestStandInLooksLikeMNIST(t *testing.T) {
	images := StandIn(1, 2000, 0)
	mean, sd := moments(images.Train)
	t.Logf("mean %.4f, standard deviation %.4f", mean, sd)
	if math.Abs(mean-.1307) > .01 || math.Abs(sd-.3081) > .015 {
		t.Errorf("pixels have mean %.4f and standard deviation %.4f, want about .1307 and .3081", mean, sd)
	}
	var counts [10]int
	for i := range images.Train.Rows {
		counts[images.TrainLabels[i]]++
		var mass, x, y float64
		left, right, top, bottom := 28, -1, 28, -1
		for p, v := range batch.Row(images.Train, i) {
			if v < 0 || v > 1 || float32(math.Round(float64(255*v)))/255 != v {
				t.Fatalf("image %d, pixel %d is %v, not a grey level k/255", i, p, v)
			}
			if v > 0 {
				left, right, top, bottom = min(left, p%28), max(right, p%28), min(top, p/28), max(bottom, p/28)
			}
			mass += float64(v)
			x += float64(v) * float64(p%28)
			y += float64(v) * float64(p/28)
		}
		if math.Abs(x/mass-13.5) > 1.5 || math.Abs(y/mass-13.5) > 1.5 {
			t.Errorf("image %d has its mass at (%.1f, %.1f), want within 1.5 of the middle", i, x/mass, y/mass)
		}
		if side := max(right-left, bottom-top) + 1; side < 18 || side > 23 {
			t.Errorf("image %d, a %d, is %d pixels at its longest, want about 20", i, images.TrainLabels[i], side)
		}
	}
	for digit, n := range counts {
		if n < 140 || n > 260 {
			t.Errorf("%d of 2000 images are a %d, want about 200", n, digit)
		}
	}
}

// Digits that a reader can name are told apart by their nearest neighbour.
func TestStandInIsReadable(t *testing.T) {
	images := StandIn(2, 2000, 300)
	accuracy := nearestNeighbour(images.Train, images.TrainLabels, images.Test, images.TestLabels)
	t.Logf("1-NN accuracy %.3f", accuracy)
	if accuracy < .95 {
		t.Errorf("1-NN accuracy is %.3f, want at least .95", accuracy)
	}
}

// A classifier that has only seen the stand-in reads real digits far above
// chance (.1): they are digits, not ten arbitrary symbols.
func TestStandInCarriesOverToMNIST(t *testing.T) {
	if testing.Short() {
		t.Skip("reads all of MNIST")
	}
	images, drawn := realMNIST(t), StandIn(5, 3000, 0)
	test := images.Test
	test.Rows = 300
	accuracy := nearestNeighbour(drawn.Train, drawn.TrainLabels, test, images.TestLabels)
	t.Logf("1-NN accuracy on MNIST %.3f", accuracy)
	if accuracy < .6 {
		t.Errorf("1-NN accuracy on MNIST is %.3f, want at least .6", accuracy)
	}
}

// nearestNeighbour is the share of test images whose nearest training image has
// their label.
func nearestNeighbour(train blas32.General, trainLabels []uint8, test blas32.General, testLabels []uint8) float64 {
	right := 0
	for i := range test.Rows {
		best, label := float32(math.Inf(1)), uint8(0)
		for j := range train.Rows {
			var d float32
			other := batch.Row(train, j)
			for k, v := range batch.Row(test, i) {
				d += (v - other[k]) * (v - other[k])
			}
			if d < best {
				best, label = d, trainLabels[j]
			}
		}
		if label == testLabels[i] {
			right++
		}
	}
	return float64(right) / float64(test.Rows)
}

func BenchmarkStandIn(b *testing.B) {
	for b.Loop() {
		StandIn(1, 1000, 0)
	}
}
