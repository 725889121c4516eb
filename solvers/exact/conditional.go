package exact

import (
	"errors"
	"fmt"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Conditional is the law of the hidden coordinates h of a Gaussian given the
// observed ones o,
//
//	N(m_h + K(x_o − m_o), C),  K = Σ_ho·Σ_oo⁻¹,  C = Σ_hh − K·Σ_oh.
type Conditional struct {
	mean           []float64
	hidden, seen   []int
	gain           blas32.General // K, (h, o)
	covariance     *mat.SymDense  // C
	covarianceRoot blas32.General // its lower Cholesky factor
}

// Given conditions g on the coordinates k for which observed[k] is true. At least one
// must be observed and one hidden.
func (g *Gaussian) Given(observed []bool) (*Conditional, error) {
	if len(observed) != g.Dim() {
		return nil, fmt.Errorf("exact: observed has %d entries for a Gaussian of dimension %d; they must agree", len(observed), g.Dim())
	}
	c := &Conditional{mean: g.Mean}
	for k, seen := range observed {
		if seen {
			c.seen = append(c.seen, k)
		} else {
			c.hidden = append(c.hidden, k)
		}
	}
	h, o := len(c.hidden), len(c.seen)
	if h == 0 || o == 0 {
		return nil, fmt.Errorf("exact: %d coordinates observed and %d hidden; a conditional law needs some of both", o, h)
	}
	sigma := g.Power(1)
	var ofSeen mat.Cholesky
	if !ofSeen.Factorize(block(sigma, c.seen)) {
		return nil, errors.New("exact: the covariance of the observed coordinates is not positive definite")
	}
	cross := mat.NewDense(o, h, nil) // Σ_oh
	for i, a := range c.seen {
		for j, b := range c.hidden {
			cross.Set(i, j, sigma.At(a, b))
		}
	}
	var gain, explained mat.Dense // Kᵀ and K·Σ_oh
	if err := ofSeen.SolveTo(&gain, cross); err != nil {
		return nil, fmt.Errorf("exact: the covariance of the observed coordinates is close to singular: %w", err)
	}
	explained.Mul(gain.T(), cross)
	c.covariance = block(sigma, c.hidden)
	for i := range h {
		for j := i; j < h; j++ {
			c.covariance.SetSym(i, j, c.covariance.At(i, j)-(explained.At(i, j)+explained.At(j, i))/2)
		}
	}
	var ofHidden mat.Cholesky
	if !ofHidden.Factorize(c.covariance) {
		return nil, errors.New("exact: the covariance of the hidden coordinates given the observed is not positive definite")
	}
	var root mat.TriDense
	ofHidden.LTo(&root)
	c.gain, c.covarianceRoot = batch.FromMatrix(gain.T()), batch.FromMatrix(&root)
	return c, nil
}

// Mean overwrites the hidden coordinates of each row of x, (n, d), by their mean
// given the observed ones of that row.
func (c *Conditional) Mean(x blas32.General) error { return c.fill(x, nil) }

// Draw overwrites the hidden coordinates of each row of x, (n, d), by a draw of
// their law given the observed ones of that row.
func (c *Conditional) Draw(x blas32.General, rng *random.Stream) error { return c.fill(x, rng) }

func (c *Conditional) fill(x blas32.General, rng *random.Stream) error {
	if err := batch.Check("the points to fill", x); err != nil {
		return err
	}
	if x.Cols != len(c.mean) {
		return fmt.Errorf("exact: points of %d columns under a conditional law in dimension %d; they must agree", x.Cols, len(c.mean))
	}
	if x.Rows == 0 {
		return nil
	}
	from, to := batch.New(x.Rows, len(c.seen)), batch.New(x.Rows, len(c.hidden))
	for i := range x.Rows {
		for j, k := range c.seen {
			batch.Row(from, i)[j] = float32(float64(batch.Row(x, i)[k]) - c.mean[k])
		}
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, from, c.gain, 0, to)
	if rng != nil {
		xi := batch.New(to.Rows, to.Cols)
		rng.Normals(xi.Data)
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, xi, c.covarianceRoot, 1, to)
	}
	for i := range x.Rows {
		for j, k := range c.hidden {
			batch.Row(x, i)[k] = float32(float64(batch.Row(to, i)[j]) + c.mean[k])
		}
	}
	return nil
}

// block is the part of a in the rows and columns of index.
func block(a mat.Symmetric, index []int) *mat.SymDense {
	b := mat.NewSymDense(len(index), nil)
	for i, p := range index {
		for j := i; j < len(index); j++ {
			b.SetSym(i, j, a.At(p, index[j]))
		}
	}
	return b
}

// ClampedPreconditioner is the preconditioner for the Langevin steps of Clamped where
// ∇²w is the given W: P = W·C′·W, where C′ is the conditional covariance in the hidden
// coordinates and 0 elsewhere. y then moves so that x = ∇w*(y) moves like C′.
func (c *Conditional) ClampedPreconditioner(hessian mat.Symmetric) (*potential.Preconditioner, error) {
	d := len(c.mean)
	if hessian.SymmetricDim() != d {
		return nil, fmt.Errorf("exact: a Hessian of dimension %d for a conditional law in dimension %d; they must agree", hessian.SymmetricDim(), d)
	}
	columns := batch.New(d, len(c.hidden)) // the hidden columns of W
	for i := range d {
		for j, k := range c.hidden {
			batch.Row(columns, i)[j] = float32(hessian.At(i, k))
		}
	}
	p, l := batch.New(d, d), batch.New(d, d)
	narrow := blas32.General{Rows: d, Cols: len(c.hidden), Stride: d, Data: l.Data}
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, columns, c.covarianceRoot, 0, narrow)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, narrow, narrow, 0, p)
	return potential.DensePreconditioner(p, l)
}
