package picture

import (
	"slices"
	"strings"
	"testing"

	"cmf/data/images"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// Training lowers the cross-entropy and classifies unseen digits. A checkpoint restores
// the same network.
func TestClassifierLearns(t *testing.T) {
	set := images.StandIn(1, 1280, 500)
	rng := random.New(1, "classifier", 0)
	c, err := NewClassifier(rng)
	if err != nil {
		t.Fatal(err)
	}
	before, err := c.Accuracy(set.Test, set.TestLabels)
	if err != nil {
		t.Fatal(err)
	}
	var losses []float64
	if err := c.Train(set.Train, set.TrainLabels, 15, rng, func(_ int, loss float64) { losses = append(losses, loss) }); err != nil {
		t.Fatal(err)
	}
	if len(losses) != 15 || losses[14] > losses[0]/2 {
		t.Errorf("cross-entropy by epoch: %.3f", losses)
	}
	after, err := c.Accuracy(set.Test, set.TestLabels)
	if err != nil {
		t.Fatal(err)
	}
	if before > .3 || after < .8 {
		t.Errorf("accuracy %.3f before training and %.3f after", before, after)
	}

	saved := c.Checkpoint(after)
	again, err := NewClassifier(random.New(2, "classifier", 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := saved.GetParams(again.params); err != nil {
		t.Fatal(err)
	}
	want, _, err := c.Evaluate(set.Test)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := again.Evaluate(set.Test)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Data, want.Data) {
		t.Error("the network of the checkpoint has other features")
	}
}

// The built-in network also classifies the digits that the program draws.
func TestTrainedClassifier(t *testing.T) {
	c, accuracy, err := TrainedClassifier()
	if err != nil {
		t.Fatal(err)
	}
	if accuracy < "0.97" {
		t.Errorf("its accuracy on MNIST is %s", accuracy)
	}
	set := images.StandIn(1, 0, 500)
	if share, err := c.Accuracy(set.Test, set.TestLabels); err != nil || share < .5 {
		t.Errorf("accuracy on drawn digits %.3f, %v", share, err)
	}
}

func TestClassifierBadInput(t *testing.T) {
	c, err := NewClassifier(random.New(1, "classifier", 0))
	if err != nil {
		t.Fatal(err)
	}
	_, _, shape := c.Evaluate(batch.New(2, 10))
	_, labels := c.Accuracy(batch.New(2, Pixels), make([]uint8, 3))
	for want, err := range map[string]error{
		"pictures of 10 pixels": shape, "3 labels for 2 pictures": labels,
		"at least 128 pictures": c.Train(batch.New(2, Pixels), make([]uint8, 2), 1, nil, nil),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}
