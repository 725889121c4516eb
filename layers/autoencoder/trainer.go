package autoencoder

import (
	"fmt"
	"math"

	"cmf/graph"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/optim"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Options of training; zero values stand for what is said beside them.
type Options struct {
	Batch int     // pictures in a step, of this rank; 0 means 128
	LR    float64 // largest learning rate of Adam; 0 means 2e-3
	Steps int     // in all, over which the learning rate rises and falls

	// Ranks train together, each with minibatches and noise of its own; nil for one process.
	// A step is that on the minibatches of all: means and deviations of latents are over all
	// their rows.
	Ranks *solvers.Ranks
}

// Minibatches deals pictures.
type Minibatches interface {
	Next(dst blas32.General) error
}

// Trainer fits a network by Adam to minibatches.
type Trainer struct {
	Network *Network
	State   State

	adam      optim.Adam
	ranks     *solvers.Ranks
	pictures  Minibatches
	minibatch blas32.General
	noise     *random.Stream
	program   *graph.Program
	scorer    *graph.Program
	weights   []optim.Weight
}

// State is what a checkpoint of training must hold beside the weights and the
// streams of minibatches and noise.
type State struct {
	Step int
	Adam optim.AdamState
	Best Best
}

// Best are the weights of the least held-out loss so far.
type Best struct {
	Step    int
	Loss    float64
	Weights map[string][]float32 // nil before the first score
}

// scored is the number of pictures whose held-out loss is computed at once.
const scored = 250

// NewTrainer returns a trainer of n. It keeps pictures and noise, from which
// nothing else may draw.
func NewTrainer(n *Network, o Options, pictures Minibatches, noise *random.Stream) (*Trainer, error) {
	if o.Batch == 0 {
		o.Batch = 128
	}
	if o.LR == 0 {
		o.LR = 2e-3
	}
	if o.Batch < 2 || o.Steps < 1 {
		return nil, fmt.Errorf("autoencoder: %d steps of %d pictures; there must be at least 1 of 2", o.Steps, o.Batch)
	}
	schedule, err := optim.NewSchedule("cosine", 1e-3, o.Steps+1, o.Steps/10)
	if err != nil {
		return nil, err
	}
	t := &Trainer{Network: n, ranks: o.Ranks, minibatch: batch.New(o.Batch, n.Pixels()), adam: optim.Adam{LR: o.LR, Schedule: schedule}, pictures: pictures, noise: noise}
	s := graph.NewScope(tensor.Float32)
	x := s.Input("x", o.Batch, n.Pixels())
	z := s.Add(n.encodeBatch(s, x, o.Batch, o.Ranks), s.Scale(n.Noise, s.Input("noise", o.Batch, n.Latents)))
	loss := s.Mean(n.Mismatch(s, x, n.Decode(s, z)))
	out := map[string]*gorgonia.Node{"loss": loss}
	trained := n.params.Trained()
	var wrt []*gorgonia.Node
	for _, p := range trained {
		wrt = append(wrt, s.Param(p))
	}
	for k, g := range s.Grad(loss, wrt...) {
		out[trained[k].Name] = g
	}
	if t.program, err = s.Compile(out); err != nil {
		return nil, fmt.Errorf("autoencoder: %w", err)
	}
	for _, p := range trained {
		t.weights = append(t.weights, optim.Weight{Name: p.Name, Value: p.Float32s(), Grad: t.program.Out(p.Name).F32})
	}
	return t, nil
}

// Weights are those that are trained.
func (t *Trainer) Weights() []optim.Weight { return t.weights }

// Step makes a step and returns the loss of its minibatch, in nats for each picture.
func (t *Trainer) Step() (loss float64, err error) {
	if err := t.pictures.Next(t.minibatch); err != nil {
		return 0, err
	}
	t.Network.interleave(t.program.In("x").General(), t.minibatch, false)
	t.noise.Normals(t.program.In("noise").F32)
	if err := t.program.Run(); err != nil {
		return 0, err
	}
	told := []float32{float32(t.program.Out("loss").At(0, 0))}
	if err := t.ranks.Descend(nil, t.weights, told); err != nil {
		return 0, fmt.Errorf("autoencoder: step %d: %w", t.State.Step+1, err)
	}
	loss = float64(told[0]) / float64(t.ranks.Size())
	if _, err := t.adam.Step(&t.State.Adam, t.weights); err != nil {
		return loss, fmt.Errorf("autoencoder: step %d: %w", t.State.Step+1, err)
	}
	t.State.Step++
	return loss, nil
}

// Score is the mean loss of held-out pictures, the same on all ranks, without noise on the
// latents. It keeps the weights of the least score.
func (t *Trainer) Score(pictures blas32.General) (float64, error) {
	rows := min(scored, pictures.Rows)
	if rows < 2 {
		return 0, fmt.Errorf("autoencoder: %d held-out pictures; there must be at least 2", pictures.Rows)
	}
	if t.scorer == nil {
		n, s := t.Network, graph.NewScope(tensor.Float32)
		x := s.Input("x", rows, n.Pixels())
		program, err := s.Compile(map[string]*gorgonia.Node{"loss": s.Mean(n.Mismatch(s, x, n.Decode(s, n.encodeBatch(s, x, rows, nil))))})
		if err != nil {
			return 0, fmt.Errorf("autoencoder: %w", err)
		}
		t.scorer = program
	}
	sum := []float64{0}
	batches := pictures.Rows / rows
	for k := t.ranks.Rank(); k < batches; k += t.ranks.Size() {
		t.Network.interleave(t.scorer.In("x").General(), batch.Rows(pictures, k*rows, (k+1)*rows), false)
		if err := t.scorer.Run(); err != nil {
			return 0, err
		}
		sum[0] += t.scorer.Out("loss").At(0, 0)
	}
	t.ranks.Sum64(sum)
	loss := sum[0] / float64(batches)
	if best := &t.State.Best; best.Weights == nil || loss < best.Loss {
		best.Step, best.Loss = t.State.Step, loss
		if best.Weights == nil {
			best.Weights = map[string][]float32{}
		}
		for _, w := range t.weights {
			best.Weights[w.Name] = append(best.Weights[w.Name][:0], w.Value...)
		}
	}
	return loss, nil
}

// Finish takes the best weights, and gives the latents of all the pictures mean 0
// and deviation 1.
func (t *Trainer) Finish(pictures blas32.General) error {
	for _, w := range t.weights {
		copy(w.Value, t.State.Best.Weights[w.Name])
	}
	n := t.Network
	n.mean.Fill(func(int) float64 { return 0 })
	n.scale.Fill(func(int) float64 { return 1 })
	z, err := NewLatent(n).Learning(pictures)
	if err != nil {
		return err
	}
	mean, count := batch.Means(z), float64(z.Rows)
	n.mean.Fill(func(j int) float64 { return mean[j] })
	n.scale.Fill(func(j int) float64 {
		var sum float64
		for i := range z.Rows {
			v := float64(batch.Row(z, i)[j]) - mean[j]
			sum += v * v
		}
		return 1 / math.Sqrt(sum/count+leastVariance)
	})
	return nil
}
