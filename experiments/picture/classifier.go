package picture

import (
	_ "embed"
	"errors"
	"fmt"
	"math"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/optim"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Classifier is a small network that names the digit in a 28×28 picture with
// values in [0, 1]:
//
//	h = softplus(softplus(x·W₁ + b₁)·W₂ + b₂),  p(class) ∝ exp(h·W₃ + b₃)
//
// Its second hidden layer h, with 64 units, is the space in which the Fréchet distance of
// digits is measured. It is not the Inception network: its distances can be compared only
// with others that this project measures.
type Classifier struct {
	params  *graph.Params
	weights [3]*graph.Param
	biases  [3]*graph.Param
	program *graph.Program
}

const (
	Pixels   = 28 * 28
	features = 64
	classes  = 10
)

//go:embed classifier.safetensors
var trainedClassifier []byte

// NewClassifier returns an untrained network.
func NewClassifier(rng *random.Stream) (*Classifier, error) {
	ps, err := graph.NewParams(tensor.Float32)
	if err != nil {
		return nil, err
	}
	c := &Classifier{params: ps}
	sizes := []int{Pixels, 128, features, classes}
	for l := range c.weights {
		c.weights[l] = ps.New(fmt.Sprintf("layer%d.weight", l), sizes[l], sizes[l+1])
		c.biases[l] = ps.New(fmt.Sprintf("layer%d.bias", l), 1, sizes[l+1])
		scale := math.Sqrt(2 / float64(sizes[l]))
		c.weights[l].Fill(func(int) float64 { return scale * rng.NormFloat64() })
	}
	return c, nil
}

// TrainedClassifier returns the network that this project trained on the 60 000
// digits of MNIST, with its accuracy on the 10 000 held-out ones.
func TrainedClassifier() (c *Classifier, accuracy string, err error) {
	ckpt, err := graph.ParseCheckpoint(trainedClassifier)
	if err != nil {
		return nil, "", fmt.Errorf("experiments: the built-in classifier: %w", err)
	}
	if c, err = NewClassifier(random.New(0, "classifier", 0)); err != nil {
		return nil, "", err
	}
	if err := ckpt.GetParams(c.params); err != nil {
		return nil, "", fmt.Errorf("experiments: the built-in classifier: %w", err)
	}
	return c, ckpt.Texts["accuracy"], nil
}

// declare declares the features and the logits of a batch.
func (c *Classifier) declare(s *graph.Scope, x *gorgonia.Node) (h, logits *gorgonia.Node) {
	h = x
	for l := range c.weights {
		a := s.Add(s.Param(c.biases[l]), s.MatMul(h, false, s.Param(c.weights[l]), false))
		if l == len(c.weights)-1 {
			return h, a
		}
		h = s.Softplus(a)
	}
	return nil, nil
}

// Evaluate gives the features, (n, 64), and the class probabilities, (n, 10), of
// n pictures.
func (c *Classifier) Evaluate(x blas32.General) (h, p blas32.General, err error) {
	const rows = 256
	if x.Cols != Pixels {
		return h, p, fmt.Errorf("experiments: pictures of %d pixels for a classifier of %d; they must agree", x.Cols, Pixels)
	}
	if c.program == nil {
		s := graph.NewScope(tensor.Float32)
		h, a := c.declare(s, s.Input("x", rows, Pixels))
		// With the mean subtracted, exponentials of logits stay in range.
		e := s.Exp(s.Sub(a, s.Scale(1./classes, s.SumCols(a))))
		out := map[string]*gorgonia.Node{"features": h, "probabilities": s.Mul(e, s.Reciprocal(s.SumCols(e)))}
		if c.program, err = s.Compile(out); err != nil {
			return h0, h0, err
		}
	}
	h, p = batch.New(x.Rows, features), batch.New(x.Rows, classes)
	in := c.program.In("x").General()
	for lo := 0; lo < x.Rows; lo += rows {
		n := min(rows, x.Rows-lo)
		for i := range n {
			copy(in.Data[i*Pixels:(i+1)*Pixels], x.Data[(lo+i)*x.Stride:])
		}
		if err := c.program.Run(); err != nil {
			return h0, h0, err
		}
		copy(h.Data[lo*features:(lo+n)*features], c.program.Out("features").F32)
		copy(p.Data[lo*classes:(lo+n)*classes], c.program.Out("probabilities").F32)
	}
	return h, p, nil
}

var h0 blas32.General

// Accuracy is the share of pictures whose most probable class is their label.
func (c *Classifier) Accuracy(x blas32.General, labels []uint8) (float64, error) {
	if len(labels) != x.Rows {
		return 0, fmt.Errorf("experiments: %d labels for %d pictures; they must agree", len(labels), x.Rows)
	}
	_, p, err := c.Evaluate(x)
	if err != nil {
		return 0, err
	}
	right := 0
	for i, want := range labels {
		best := 0
		for k, v := range p.Data[i*classes : (i+1)*classes] {
			if v > p.Data[i*classes+best] {
				best = k
			}
		}
		if best == int(want) {
			right++
		}
	}
	return float64(right) / float64(len(labels)), nil
}

// Train fits the network by cross-entropy over whole epochs in batches of 128,
// with Adam under a cosine schedule. after is called at the end of each epoch.
func (c *Classifier) Train(x blas32.General, labels []uint8, epochs int, rng *random.Stream, after func(epoch int, loss float64)) error {
	const rows = 128
	if len(labels) != x.Rows || x.Rows < rows {
		return errors.New("experiments: training needs a label for each of at least 128 pictures")
	}
	s := graph.NewScope(tensor.Float32)
	_, a := c.declare(s, s.Input("x", rows, Pixels))
	hot := s.Input("labels", rows, classes)
	loss := s.Mean(s.Sub(s.Log(s.SumCols(s.Exp(a))), s.SumCols(s.Mul(hot, a))))
	out := map[string]*gorgonia.Node{"loss": loss}
	ps := c.params.Trained()
	for _, p := range ps {
		out[p.Name] = s.Grad(loss, s.Param(p))[0]
	}
	program, err := s.Compile(out)
	if err != nil {
		return err
	}
	var weights []optim.Weight
	for _, p := range ps {
		weights = append(weights, optim.Weight{Name: p.Name, Value: p.Float32s(), Grad: program.Out(p.Name).F32})
	}
	steps := x.Rows / rows
	schedule, err := optim.NewSchedule("cosine", .01, epochs*steps, 100)
	if err != nil {
		return err
	}
	adam := optim.Adam{LR: 1e-3, Schedule: schedule}
	var state optim.AdamState
	in, lab := program.In("x"), program.In("labels")
	for epoch := range epochs {
		order := rng.Perm(x.Rows)
		var sum float64
		for t := range steps {
			clear(lab.F32)
			for i, r := range order[t*rows : (t+1)*rows] {
				copy(in.F32[i*Pixels:(i+1)*Pixels], x.Data[r*x.Stride:])
				lab.F32[i*classes+int(labels[r])] = 1
			}
			if err := program.Run(); err != nil {
				return err
			}
			sum += program.Out("loss").At(0, 0)
			if _, err := adam.Step(&state, weights); err != nil {
				return err
			}
		}
		after(epoch, sum/float64(steps))
	}
	return nil
}

// Checkpoint holds the weights, with the accuracy as a text.
func (c *Classifier) Checkpoint(accuracy float64) *graph.Checkpoint {
	ckpt := graph.NewCheckpoint()
	ckpt.PutParams(c.params)
	ckpt.Texts["accuracy"] = fmt.Sprintf("%.4f", accuracy)
	return ckpt
}
