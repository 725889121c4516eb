package solvers

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// bridge is the potential U_β(z) = (1−β)·½|z|² + β·w(m + Rz) in the coordinates
// in which the reference N(m, RRᵀ) is N(0, I). There, steps in the identity
// metric are those of the metric RRᵀ.
type bridge struct {
	w    Potential
	mean []float32
	root blas32.General // R, (d, d)
	logZ float64        // ½ log det(2πRRᵀ)
	beta float64

	// Of the last evaluation: m + Rz, ∇w and w there, and ½|z|².
	y, pull blas32.General
	value   []float32
	half    []float64
}

func newBridge(w Potential, reference *Gaussian) *bridge {
	d := reference.Dim()
	b := &bridge{w: w, mean: make([]float32, d), root: newBatch(d, d)}
	narrow(b.mean, reference.Mean)
	for k, v := range reference.Values {
		b.logZ += math.Log(2*math.Pi*v) / 2
		for i := range d {
			row(b.root, i)[k] = float32(reference.Vectors.At(i, k) * math.Sqrt(v))
		}
	}
	return b
}

// start draws n particles of the reference.
func (b *bridge) start(n int, rng *Stream) (*Chains, error) {
	z := newBatch(n, b.Dim())
	rng.Normals(z.Data)
	return NewChains(z)
}

// raise sets β and returns ½|z|² − w for each particle of c, whose product with a
// rise of β is the rise of log ω.
func (b *bridge) raise(c *Chains, beta float64) ([]float64, error) {
	b.beta = beta
	if err := c.Refresh(b); err != nil {
		return nil, err
	}
	gaps := make([]float64, len(b.half))
	for i, h := range b.half {
		gaps[i] = h - float64(b.value[i])
		if !isFinite(gaps[i]) {
			return nil, fmt.Errorf("solvers: annealing: the potential is %g at a particle; it must be finite", b.value[i])
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
		b.y, b.pull = newBatch(n, b.Dim()), newBatch(n, b.Dim())
		b.value, b.half = make([]float32, n), make([]float64, n)
	}
	for i := range z.Rows {
		copy(row(b.y, i), b.mean)
		b.half[i] = sumSquares(row(z, i)) / 2
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
		copyInto(grad, z)
		blas32.Gemm(blas.NoTrans, blas.NoTrans, float32(b.beta), b.pull, b.root, float32(1-b.beta), grad)
	}
	return nil
}
