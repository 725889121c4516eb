package solvers

import (
	"errors"
	"fmt"
	"slices"

	"cmf/solvers/optim"

	"gonum.org/v1/gonum/mat"
)

// Ranks are processes that train one model together. Each has its share of the data, with
// particles and random numbers of its own; the weights are the same on all, because every
// step descends along
//
//	∇L = (1/n)·Σ_r ∇L_r
//
// over the n ranks. If they have minibatches of b rows, and the loss is a mean over rows,
// that is the gradient of a minibatch of n·b. A loss that couples rows (pairs, sinkhorn,
// moments) couples those of each rank. All that is decided in a step is decided together: a
// batch that goes wrong on one rank changes the weights of none. nil is one process.
type Ranks struct {
	World World

	// Ask are numbers of this rank that a step also sums; Told are the sums, on all ranks.
	Ask, Told []float32

	buffer []float32
}

// World is what ranks need of a mpi.World; its calls are collective.
type World interface {
	Rank() int
	Size() int
	Sum32(x []float32) // replaces x by its sum over ranks, the same bits on all
	Sum64(x []float64)
}

func (r *Ranks) alone() bool { return r == nil || r.World == nil || r.World.Size() == 1 }

// Rank is the number of this process, from 0.
func (r *Ranks) Rank() int {
	if r.alone() {
		return 0
	}
	return r.World.Rank()
}

// Size is the number of processes.
func (r *Ranks) Size() int {
	if r.alone() {
		return 1
	}
	return r.World.Size()
}

// Sum64 replaces x by its sum over ranks.
func (r *Ranks) Sum64(x []float64) {
	if !r.alone() {
		r.World.Sum64(x)
	}
}

// meet is Descend for a step of CMFGen, and makes its info that of all ranks.
func (r *Ranks) meet(err error, weights []optim.Weight, info *CMFGenInfo) error {
	if r.alone() {
		return err
	}
	numbers := []float32{float32(info.Loss), float32(info.Langevin.Acceptance), indicator(info.RanAway), float32(info.Masked), float32(info.Langevin.Restarted)}
	if err := r.Descend(err, weights, numbers); err != nil {
		return err
	}
	n := float32(r.World.Size())
	info.Loss, info.Langevin.Acceptance, info.RanAway = float64(numbers[0]/n), float64(numbers[1]/n), 2*numbers[2] >= n
	info.Masked, info.Langevin.Restarted = int(numbers[3]), int(numbers[4])
	return nil
}

// Descend makes of the gradients of all ranks, left in weights, their mean, and replaces
// numbers by their sums; with these it sums Ask. err is how far this rank came: an error in its
// numbers becomes one of every rank. Any other error is not shared, because it is to end the
// program.
func (r *Ranks) Descend(err error, weights []optim.Weight, numbers []float32) error {
	if r.alone() || err != nil && !goneWrong(err) {
		return err
	}
	b := r.buffer[:0]
	for _, w := range weights {
		b = append(b, w.Grad...)
	}
	at := len(b)
	b = append(append(append(b, numbers...), flags(err)...), r.Ask...)
	r.World.Sum32(b)

	r.buffer = b
	sums := b[at:]
	copy(numbers, sums)
	sums = sums[len(numbers):]
	r.Told = append(r.Told[:0], sums[len(wrong):]...)
	if err := together(err, sums[:len(wrong)], r.World.Size()); err != nil {
		return err
	}
	n := float32(r.World.Size())
	for _, w := range weights {
		for i, g := range b[:len(w.Grad)] {
			w.Grad[i] = g / n
		}
		b = b[len(w.Grad):]
	}
	return nil
}

// meanHessian is the mean of the h of all ranks, or an error on all if one has an error.
func (r *Ranks) meanHessian(h *mat.SymDense, err error) (*mat.SymDense, error) {
	if r.alone() || err != nil && !goneWrong(err) {
		return h, err
	}
	if err != nil {
		// The size of h is not known here, so all agree first whether there is a mean.
		return nil, r.agree(err)
	}
	if err := r.agree(nil); err != nil {
		return nil, err
	}
	sum := mat.NewSymDense(h.SymmetricDim(), nil)
	sum.CopySym(h)
	r.World.Sum64(sum.RawSymmetric().Data)
	sum.ScaleSym(1/float64(r.World.Size()), sum)
	return sum, nil
}

// agree makes an error in the numbers of one rank an error of all.
func (r *Ranks) agree(err error) error {
	f := flags(err)
	r.World.Sum32(f)
	return together(err, f, r.World.Size())
}

// flags says which of wrong an error is.
func flags(err error) []float32 {
	f := make([]float32, len(wrong))
	for k, kind := range wrong {
		f[k] = indicator(errors.Is(err, kind))
	}
	return f
}

// together is the error of this rank, or one that says what went wrong on others.
func together(err error, flags []float32, n int) error {
	if err != nil {
		return err
	}
	if k := slices.IndexFunc(flags, func(v float32) bool { return v > 0 }); k >= 0 {
		return fmt.Errorf("solvers: on %g of %d ranks: %w", flags[k], n, wrong[k])
	}
	return nil
}

func indicator(b bool) float32 {
	if b {
		return 1
	}
	return 0
}
