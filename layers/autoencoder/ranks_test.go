package autoencoder

import (
	"math"
	"slices"
	"sync"
	"testing"

	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// half is one of two ranks, goroutines of this process.
type half struct {
	rank     int
	to, from chan []float64
}

func halves() [2]half {
	a, b := make(chan []float64, 1), make(chan []float64, 1)
	return [2]half{{0, a, b}, {1, b, a}}
}

func (h half) Rank() int { return h.rank }
func (h half) Size() int { return 2 }

func (h half) Sum64(x []float64) {
	h.to <- slices.Clone(x)
	for i, v := range <-h.from {
		x[i] += v
	}
}

func (h half) Sum32(x []float32) {
	wide := make([]float64, len(x))
	batch.Widen(wide, x)
	h.Sum64(wide)
	batch.Narrow(x, wide)
}

// always deals the same pictures.
type always blas32.General

func (a always) Next(dst blas32.General) error {
	batch.Copy(dst, blas32.General(a))
	return nil
}

// A step of two ranks is that of one on the minibatches of both: the means and deviations of
// latents are over all rows, and so are their gradients. Scores are those of one rank.
func TestRanksStepTogether(t *testing.T) {
	x := digits(t)
	held := batch.Rows(x, 64, 600)
	learn := func(pictures blas32.General, r *solvers.Ranks) (*Trainer, []float64) {
		a := For(14, 14, 1, 8, Bernoulli)
		a.Hidden, a.Noise = 64, 0
		n, err := New(a, random.New(1, "weights", 0))
		if err != nil {
			t.Fatal(err)
		}
		tr, err := NewTrainer(n, Options{Batch: pictures.Rows, Steps: 20, Ranks: r}, always(pictures), random.New(1, "noise", 0))
		if err != nil {
			t.Fatal(err)
		}
		var losses []float64
		for range 3 {
			loss, err := tr.Step()
			if err != nil {
				t.Error(err)
			}
			losses = append(losses, loss)
		}
		score, err := tr.Score(held)
		if err != nil {
			t.Error(err)
		}
		return tr, append(losses, score)
	}
	alone, want := learn(batch.Rows(x, 0, 64), nil)
	var both [2]*Trainer
	var got [2][]float64
	var all sync.WaitGroup
	for rank, h := range halves() {
		all.Go(func() {
			both[rank], got[rank] = learn(batch.Rows(x, 32*rank, 32*rank+32), &solvers.Ranks{World: h})
		})
	}
	all.Wait()
	if !slices.Equal(got[0], got[1]) {
		t.Errorf("losses and scores %g, and %g", got[0], got[1])
	}
	for k, v := range want {
		if math.Abs(got[0][k]-v) > 2e-4*v {
			t.Errorf("losses and score of two ranks %.4f, and of one %.4f", got[0], want)
		}
	}
	for k, w := range alone.Weights() {
		mine := both[0].Weights()[k]
		if !slices.Equal(mine.Value, both[1].Weights()[k].Value) {
			t.Errorf("%s differs between ranks", w.Name)
		}
		var off, size float64
		for i, v := range w.Grad {
			off += float64(mine.Grad[i]-v) * float64(mine.Grad[i]-v)
			size += float64(v) * float64(v)
		}
		if off > 1e-5*size {
			t.Errorf("the gradient of %s is off by %.2g of its norm", w.Name, math.Sqrt(off/size))
		}
	}
}
