package potential

import (
	"errors"
	"fmt"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Carried is the potential v(y) = w(C⁻¹y) of the noise y = C·z, z ~ 𝔓_w, for a
// symmetric positive definite C. As the Noise of CMFGen,
//
//	ρ = ∇w*♯C♯𝔓_w,
//
// which is the conjugate moment measure of the inner product ⟨x, z⟩ = xᵀCz: the
// plain one in the coordinates C^{1/2}x, with the potential w(C^{-1/2}·). Conjugate
// moment measures are not equivariant under linear maps, so C is a choice. With a
// power of the covariance of ρ, one noise suits directions of different scales.
type Carried struct {
	Potential Curved

	carry, back        blas32.General  // C and C⁻¹
	logDet             float64         // of C
	at, product        blas32.General  // C⁻¹y, and ∇w or Hessian product there
	of, preconditioner *Preconditioner // the last preconditioner of w, and the carried one
}

var _ Curved = (*Carried)(nil)

// NewCarried returns the potential of the noise of w, carried by C. C is rounded to
// float32.
func NewCarried(w Curved, c mat.Symmetric) (*Carried, error) {
	d := c.SymmetricDim()
	if d != w.Dim() {
		return nil, fmt.Errorf("potential: noise of dimension %d carried by a matrix of dimension %d; they must agree", w.Dim(), d)
	}
	v := &Carried{Potential: w, carry: batch.FromMatrix(c)}
	var chol mat.Cholesky
	if !batch.AllFinite(v.carry.Data) || !chol.Factorize(symmetric(v.carry)) {
		return nil, errors.New("potential: the matrix that carries a noise is not positive definite")
	}
	var inverse mat.SymDense
	if err := chol.InverseTo(&inverse); err != nil {
		return nil, fmt.Errorf("potential: the matrix that carries a noise is close to singular: %w", err)
	}
	v.back, v.logDet = batch.FromMatrix(&inverse), chol.LogDet()
	return v, nil
}

// Matrix is C, (d, d).
func (v *Carried) Matrix() blas32.General { return v.carry }

// LogDet is log det C; log ∫e^{−v} = log Z_w + log det C.
func (v *Carried) LogDet() float64 { return v.logDet }

// Dim is d.
func (v *Carried) Dim() int { return v.Potential.Dim() }

// Back returns C⁻¹y_i for each row of y, (n, d).
func (v *Carried) Back(y blas32.General) blas32.General {
	z := batch.New(y.Rows, y.Cols)
	batch.Multiply(z, y, v.back)
	return z
}

// Eval writes w(C⁻¹y_i) and C⁻¹∇w(C⁻¹y_i).
func (v *Carried) Eval(y blas32.General, value []float32, grad blas32.General) error {
	if y.Cols != v.Dim() {
		return fmt.Errorf("potential: points of %d coordinates for a noise on ℝ^%d", y.Cols, v.Dim())
	}
	v.at = batch.Reshaped(v.at, y.Rows, y.Cols)
	batch.Multiply(v.at, y, v.back)
	if grad.Data == nil {
		return v.Potential.Eval(v.at, value, grad)
	}
	v.product = batch.Reshaped(v.product, y.Rows, y.Cols)
	if err := v.Potential.Eval(v.at, value, v.product); err != nil {
		return err
	}
	batch.Multiply(grad, v.product, v.back)
	return nil
}

// HessVec writes C⁻¹∇²w(C⁻¹y_i)C⁻¹·u_i.
func (v *Carried) HessVec(y, u, hu blas32.General) error {
	v.product = batch.Reshaped(v.product, y.Rows, y.Cols)
	if err := v.Potential.HessVec(v.Back(y), v.Back(u), v.product); err != nil {
		return err
	}
	batch.Multiply(hu, v.product, v.back)
	return nil
}

// Hessian is C⁻¹·h·C⁻¹, the Hessian of v at a point where w has the Hessian h.
func (v *Carried) Hessian(h mat.Symmetric) *mat.SymDense {
	back := symmetric(v.back)
	var half, whole mat.Dense
	half.Mul(back, h)
	whole.Mul(&half, back)
	return batch.Symmetrised(&whole)
}

// NoisePreconditioner returns the preconditioner for steps on the noise of a potential w,
// given a p that suits steps on w itself: p if noise is nil (the noise is 𝔓_w), C·P·C if
// noise is carried by C, and nil for any other noise.
func NoisePreconditioner(noise Potential, p *Preconditioner) *Preconditioner {
	switch v := noise.(type) {
	case nil:
		return p
	case *Carried:
		if p != nil {
			return v.Preconditioner(p)
		}
	}
	return nil
}

// Preconditioner is C·P·C for a preconditioner P that suits w.
func (v *Carried) Preconditioner(p *Preconditioner) *Preconditioner {
	if v.preconditioner != nil && v.of == p {
		return v.preconditioner
	}
	d := v.Dim()
	root, identity := batch.New(d, d), batch.New(d, d)
	for i := range d {
		identity.Data[i*d+i] = 1
	}
	p.RootT(root, identity) // L
	v.of, v.preconditioner = p, &Preconditioner{p: batch.New(d, d), l: batch.New(d, d)}
	batch.Multiply(v.preconditioner.l, v.carry, root)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, v.preconditioner.l, v.preconditioner.l, 0, v.preconditioner.p)
	return v.preconditioner
}

// symmetric is the symmetric matrix b, (d, d).
func symmetric(b blas32.General) *mat.SymDense {
	s := mat.NewSymDense(b.Rows, nil)
	for i := range b.Rows {
		for j := i; j < b.Rows; j++ {
			s.SetSym(i, j, float64(batch.Row(b, i)[j]))
		}
	}
	return s
}
