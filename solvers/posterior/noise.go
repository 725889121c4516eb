// Package posterior conditions a model on part of a point. Noise is the potential of the
// noise given observed coordinates of ∇w*(y), and can be sampled like any other;
// Clamped puts the observed coordinates back after each step.
package posterior

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Noise is the potential of the noise y behind points x = ∇w*(y). The coordinates with
// m_k = 1 are observed: their values are o_k, with a normal error of deviation s,
//
//	U(y) = v(y) + Σ_k m_k(x_k − o_k)²/(2s²)
//	∇U(y) = ∇v(y) + ∇²w(x)⁻¹[m ⊙ (x − o)]/s²
//
// since ∇²w*(y) = ∇²w(x)⁻¹. A draw of e^{−U} mapped by ∇w* is one of ρ given o.
//
// Row i of a batch belongs to observation i. So a batch has as many rows as Observed,
// and a sampler must not put one particle on another: Hamiltonian never does, and
// Langevin does not if it has the Metropolis test and a large Runaway.
type Noise struct {
	Potential potential.Curved

	// Noise is v. nil means Potential, the conjugate moment measure.
	Noise potential.Potential

	Observed  blas32.General // o, (n, d); hidden coordinates may hold anything
	Mask      []bool         // m, length d
	Deviation float64        // s, positive, in units of x

	// Conjugate solves for x, starting from the last solution of the row; nil means
	// LBFGS to a relative residual of 1e-3.
	Conjugate conjugate.Solver

	// Hessian solves for ∇²w(x)⁻¹; its zero value works.
	Hessian conjugate.HessianSolver

	// Preconditioner preconditions both solves: the inverse of a mean ∇²w. nil is the
	// identity.
	Preconditioner *potential.Preconditioner

	// Points are the x of the last evaluated batch, (n, d); at the start, a guess.
	Points blas32.General

	// Unconverged counts the conjugate solves that missed their tolerance.
	Unconverged int

	misfit, back blas32.General // m ⊙ (x − o)/s² and ∇²w(x)⁻¹ times it
}

var _ potential.Potential = (*Noise)(nil)

// Dim is d.
func (p *Noise) Dim() int { return p.Potential.Dim() }

// Eval writes U(y_i) into value and ∇U(y_i) into the rows of grad; see
// potential.Potential. A row whose conjugate is not finite has the value NaN.
func (p *Noise) Eval(y blas32.General, value []float32, grad blas32.General) error {
	if err := p.check(y); err != nil {
		return err
	}
	noise := p.Noise
	if noise == nil {
		noise = p.Potential
	}
	if err := noise.Eval(y, value, grad); err != nil {
		return err
	}
	if p.Conjugate == nil {
		p.Conjugate = &conjugate.LBFGS{}
	}
	info, err := p.Conjugate.Solve(context.Background(), p.Potential, y, p.Points, p.Preconditioner)
	if err != nil {
		return err
	}
	precision := 1 / (p.Deviation * p.Deviation)
	for i, status := range info.Status {
		if status != potential.Converged {
			p.Unconverged++
		}
		x, o, r := batch.Row(p.Points, i), batch.Row(p.Observed, i), batch.Row(p.misfit, i)
		var squares float64
		for k, seen := range p.Mask {
			if seen {
				e := float64(x[k]) - float64(o[k])
				squares += e * e
				r[k] = float32(e * precision)
			}
		}
		if value != nil {
			value[i] += float32(squares * precision / 2)
			if status == potential.NotFinite {
				value[i] = float32(math.NaN())
			}
		}
	}
	if grad.Data == nil {
		return nil
	}
	if _, err := p.Hessian.Solve(p.Potential, p.Points, p.misfit, p.back, p.Preconditioner); err != nil {
		return err
	}
	for i := range y.Rows {
		batch.AddScaled(batch.Row(grad, i), 1, batch.Row(p.back, i))
	}
	return nil
}

func (p *Noise) check(y blas32.General) error {
	n, d := y.Rows, p.Dim()
	switch {
	case !(p.Deviation > 0) || !batch.Finite(p.Deviation):
		return fmt.Errorf("posterior: observations with a deviation of %g; it must be positive", p.Deviation)
	case len(p.Mask) != d:
		return fmt.Errorf("posterior: a mask of length %d in dimension %d; they must agree", len(p.Mask), d)
	case p.Observed.Rows != n || p.Observed.Cols != d || p.Points.Rows != n || p.Points.Cols != d:
		return fmt.Errorf("posterior: %d points of dimension %d with observations of shape (%d, %d) and conjugates of shape (%d, %d); the shapes must agree",
			n, y.Cols, p.Observed.Rows, p.Observed.Cols, p.Points.Rows, p.Points.Cols)
	}
	if p.misfit.Rows != n || p.misfit.Cols != d {
		p.misfit, p.back = batch.New(n, d), batch.New(n, d)
	}
	return errors.Join(batch.Check("the observations", p.Observed), batch.Check("the conjugates", p.Points))
}

// Preconditioner is the inverse of the Hessian of a Noise's U where ∇²v and ∇²w are the
// given V and W: P = (V + W⁻¹·diag(m)·W⁻¹/s²)⁻¹. It is the best preconditioner for
// Langevin steps on U.
func Preconditioner(v, w mat.Symmetric, mask []bool, deviation float64) (*potential.Preconditioner, error) {
	d := len(mask)
	switch {
	case v.SymmetricDim() != d || w.SymmetricDim() != d:
		return nil, fmt.Errorf("posterior: Hessians of dimension %d and %d with a mask of length %d; they must agree", v.SymmetricDim(), w.SymmetricDim(), d)
	case !(deviation > 0) || !batch.Finite(deviation):
		return nil, fmt.Errorf("posterior: observations with a deviation of %g; it must be positive", deviation)
	}
	var chol mat.Cholesky
	if !chol.Factorize(w) {
		return nil, errors.New("posterior: the Hessian of a posterior's potential is not positive definite")
	}
	var inverse mat.SymDense
	if err := chol.InverseTo(&inverse); err != nil {
		return nil, fmt.Errorf("posterior: the Hessian of a posterior's potential is close to singular: %w", err)
	}
	seen := mat.NewDense(d, d, nil) // diag(m)·W⁻¹/s
	for i, m := range mask {
		for j := range d {
			if m {
				seen.Set(i, j, inverse.At(i, j)/deviation)
			}
		}
	}
	var hessian mat.SymDense
	hessian.SymOuterK(1, seen.T())
	hessian.AddSym(&hessian, v)
	return potential.PreconditionerFromHessian(&hessian)
}
