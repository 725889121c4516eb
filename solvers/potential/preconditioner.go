package potential

import (
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Preconditioner is a symmetric positive definite matrix P = L·Lᵀ that preconditions
// the steps of a sampler or of a conjugate solve. The best P is the inverse of
// a typical Hessian of the potential. A nil *Preconditioner is the identity.
type Preconditioner struct {
	p, l blas32.General // dense P and L, or nil Data when diagonal
	diag []float32      // P's diagonal when P is diagonal
	root []float32      // its square root
}

// DiagonalPreconditioner returns P = diag(p). Every entry must be positive and finite.
func DiagonalPreconditioner(p []float64) (*Preconditioner, error) {
	m := &Preconditioner{diag: make([]float32, len(p)), root: make([]float32, len(p))}
	for i, v := range p {
		if !(v > 0) || math.IsInf(v, 1) {
			return nil, fmt.Errorf("potential: entry %d of a diagonal preconditioner is %g; it must be positive and finite", i, v)
		}
		m.diag[i], m.root[i] = float32(v), float32(math.Sqrt(v))
	}
	return m, nil
}

// PreconditionerFromHessian returns P = H⁻¹ for a symmetric positive definite H.
// With H = C·Cᵀ (Cholesky), L = C⁻ᵀ.
func PreconditionerFromHessian(h mat.Symmetric) (*Preconditioner, error) {
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		return nil, errors.New("potential: the Hessian of a preconditioner is not positive definite")
	}
	d := h.SymmetricDim()
	var c, inv mat.TriDense
	chol.LTo(&c)
	if err := inv.InverseTri(&c); err != nil {
		return nil, fmt.Errorf("potential: the Hessian of a preconditioner is close to singular: %w", err)
	}
	var p mat.SymDense
	if err := chol.InverseTo(&p); err != nil {
		return nil, fmt.Errorf("potential: the Hessian of a preconditioner is close to singular: %w", err)
	}
	m := &Preconditioner{p: batch.New(d, d), l: batch.New(d, d)}
	for i := range d {
		for j := range d {
			m.p.Data[i*d+j] = float32(p.At(i, j))
			m.l.Data[i*d+j] = float32(inv.At(j, i))
		}
	}
	return m, nil
}

// Factors are P and L, dense (d, d), or nil Data when the preconditioner is diagonal.
func (m *Preconditioner) Factors() (p, l blas32.General) { return m.p, m.l }

// DensePreconditioner is the preconditioner with the given factors, as Factors returns them.
func DensePreconditioner(p, l blas32.General) (*Preconditioner, error) {
	if p.Rows == 0 || p.Rows != p.Cols || l.Rows != p.Rows || l.Cols != p.Cols {
		return nil, fmt.Errorf("potential: a preconditioner with factors of shape (%d, %d) and (%d, %d); both must be square and of equal shape", p.Rows, p.Cols, l.Rows, l.Cols)
	}
	return &Preconditioner{p: p, l: l}, nil
}

// Apply writes P·x_i into the rows of dst, both of shape (n, d). dst must not
// overlap x.
func (m *Preconditioner) Apply(dst, x blas32.General) { m.mul(dst, x, false, (*Preconditioner).full) }

// Root writes L·x_i into the rows of dst: for x ~ N(0, I) the result is
// N(0, P). dst must not overlap x.
func (m *Preconditioner) Root(dst, x blas32.General) { m.mul(dst, x, true, (*Preconditioner).half) }

// RootT writes Lᵀ·x_i into the rows of dst. dst must not overlap x.
func (m *Preconditioner) RootT(dst, x blas32.General) { m.mul(dst, x, false, (*Preconditioner).half) }

func (m *Preconditioner) full() ([]float32, blas32.General) { return m.diag, m.p }

func (m *Preconditioner) half() ([]float32, blas32.General) { return m.root, m.l }

// mul writes x·M (or x·Mᵀ) row by row for the factor M that part selects.
func (m *Preconditioner) mul(dst, x blas32.General, trans bool, part func(*Preconditioner) ([]float32, blas32.General)) {
	if m == nil {
		for i := range x.Rows {
			copy(batch.Row(dst, i), batch.Row(x, i))
		}
		return
	}
	diag, dense := part(m)
	if diag != nil {
		for i := range x.Rows {
			out, in := batch.Row(dst, i), batch.Row(x, i)
			for j, v := range in {
				out[j] = diag[j] * v
			}
		}
		return
	}
	t := blas.NoTrans
	if trans {
		t = blas.Trans
	}
	if x.Rows > 0 {
		blas32.Gemm(blas.NoTrans, t, 1, x, dense, 0, dst)
	}
}

// CheckPreconditioner reports a preconditioner whose dimension is not d.
func CheckPreconditioner(p *Preconditioner, d int) error {
	if p == nil {
		return nil
	}
	if has := max(len(p.diag), p.p.Rows); has != d {
		return fmt.Errorf("potential: the preconditioner has dimension %d, the particles %d; they must agree", has, d)
	}
	return nil
}
