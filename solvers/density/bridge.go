package density

import (
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// bridge is the potential U_β(z) = (1−β)·½|z|² + β·w(m + Rz), in the coordinates in
// which the reference N(m, RRᵀ) is N(0, I). There, steps with the identity as
// preconditioner are steps with the preconditioner RRᵀ.
type bridge struct {
	w    potential.Potential
	mean []float32
	root blas32.General // R, (d, d)
	logZ float64        // ½ log det(2πRRᵀ)
	beta float64

	// From the last evaluation: m + Rz, ∇w and w there, and ½|z|².
	y, pull blas32.General
	value   []float32
	half    []float64
}

func newBridge(w potential.Potential, reference *exact.Gaussian) *bridge {
	d := reference.Dim()
	b := &bridge{w: w, mean: make([]float32, d), root: batch.New(d, d)}
	batch.Narrow(b.mean, reference.Mean)
	for k, v := range reference.Values {
		b.logZ += math.Log(2*math.Pi*v) / 2
		for i := range d {
			batch.Row(b.root, i)[k] = float32(reference.Vectors.At(i, k) * math.Sqrt(v))
		}
	}
	return b
}

// start draws n particles from the reference.
func (b *bridge) start(n int, rng *random.Stream) (*sampling.Chains, error) {
	z := batch.New(n, b.Dim())
	rng.Normals(z.Data)
	return sampling.NewChains(z)
}

// raise sets β and returns ½|z|² − w for each particle of c. This times a rise of β is
// the rise of log ω.
func (b *bridge) raise(c *sampling.Chains, beta float64) ([]float64, error) {
	b.beta = beta
	if err := c.Refresh(b); err != nil {
		return nil, err
	}
	gaps := make([]float64, len(b.half))
	for i, h := range b.half {
		gaps[i] = h - float64(b.value[i])
		if !batch.Finite(gaps[i]) {
			return nil, fmt.Errorf("density: annealing: the potential is %g at a particle; it must be finite", b.value[i])
		}
	}
	return gaps, nil
}

// magnitude is the mean of |w| at the last evaluation.
func (b *bridge) magnitude() (mean float64) {
	for _, v := range b.value {
		mean += math.Abs(float64(v)) / float64(len(b.value))
	}
	return mean
}

// Dim is d.
func (b *bridge) Dim() int { return len(b.mean) }

// Eval writes U_β(z_i) and ∇U_β(z_i) = (1−β)z_i + βRᵀ∇w(m + Rz_i).
func (b *bridge) Eval(z blas32.General, value []float32, grad blas32.General) error {
	if n := z.Rows; b.y.Rows != n {
		b.y, b.pull = batch.New(n, b.Dim()), batch.New(n, b.Dim())
		b.value, b.half = make([]float32, n), make([]float64, n)
	}
	for i := range z.Rows {
		copy(batch.Row(b.y, i), b.mean)
		b.half[i] = batch.SumSquares(batch.Row(z, i)) / 2
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, z, b.root, 1, b.y)
	if err := b.w.Eval(b.y, b.value, b.pull); err != nil {
		return err
	}
	if value != nil {
		for i, v := range b.value {
			value[i] = float32((1-b.beta)*b.half[i] + b.beta*float64(v))
		}
	}
	if grad.Data != nil {
		batch.Copy(grad, z)
		blas32.Gemm(blas.NoTrans, blas.NoTrans, float32(b.beta), b.pull, b.root, float32(1-b.beta), grad)
	}
	return nil
}
