// Command classifier trains the network whose features are used for the Fréchet distance of
// digits, and stores it with its accuracy.
package main

import (
	"context"
	"fmt"
	"os"

	"cmf/data/images"
	"cmf/experiments/picture"
	"cmf/graph/blas"
	"cmf/solvers/random"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "classifier:", err)
		os.Exit(1)
	}
}

func run() error {
	if _, err := blas.Use("auto", 0); err != nil {
		return err
	}
	set, err := images.MNIST(context.Background(), images.MNISTOptions{Dir: os.Getenv("CMF_DATA_DIR")})
	if err != nil {
		return err
	}
	rng := random.New(0, "classifier", 0)
	c, err := picture.NewClassifier(rng)
	if err != nil {
		return err
	}
	if err := c.Train(set.Train, set.TrainLabels, 12, rng, func(epoch int, loss float64) {
		fmt.Printf("epoch %2d  cross-entropy %.4f\n", epoch+1, loss)
	}); err != nil {
		return err
	}
	accuracy, err := c.Accuracy(set.Test, set.TestLabels)
	if err != nil {
		return err
	}
	fmt.Printf("accuracy on the %d held-out digits: %.2f %%\n", set.Test.Rows, 100*accuracy)
	return c.Checkpoint(accuracy).Save("experiments/picture/classifier.safetensors")
}
