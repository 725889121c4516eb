package solvers

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Metric is a symmetric positive definite matrix P = L·Lᵀ that preconditions
// the steps of a sampler or of a conjugate solve. The best P is the inverse of
// a typical Hessian of the potential. A nil *Metric is the identity.
type Metric struct {
	p, l blas32.General // dense P and L, or nil Data when diagonal
	diag []float32      // P's diagonal when P is diagonal
	root []float32      // its square root
}

// DiagonalMetric returns P = diag(p). Every entry must be positive and finite.
func DiagonalMetric(p []float64) (*Metric, error) {
	m := &Metric{diag: make([]float32, len(p)), root: make([]float32, len(p))}
	for i, v := range p {
		if !(v > 0) || math.IsInf(v, 1) {
			return nil, fmt.Errorf("solvers: entry %d of a diagonal metric is %g; it must be positive and finite", i, v)
		}
		m.diag[i], m.root[i] = float32(v), float32(math.Sqrt(v))
	}
	return m, nil
}

// MetricFromHessian returns P = H⁻¹ for a symmetric positive definite H.
// With H = C·Cᵀ (Cholesky), L = C⁻ᵀ.
func MetricFromHessian(h mat.Symmetric) (*Metric, error) {
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		return nil, errors.New("solvers: the Hessian of a metric is not positive definite")
	}
	d := h.SymmetricDim()
	var c, inv mat.TriDense
	chol.LTo(&c)
	if err := inv.InverseTri(&c); err != nil {
		return nil, fmt.Errorf("solvers: the Hessian of a metric is close to singular: %w", err)
	}
	var p mat.SymDense
	if err := chol.InverseTo(&p); err != nil {
		return nil, fmt.Errorf("solvers: the Hessian of a metric is close to singular: %w", err)
	}
	m := &Metric{p: newBatch(d, d), l: newBatch(d, d)}
	for i := range d {
		for j := range d {
			m.p.Data[i*d+j] = float32(p.At(i, j))
			m.l.Data[i*d+j] = float32(inv.At(j, i))
		}
	}
	return m, nil
}

// Factors are P and L, dense (d, d), or nil Data when the metric is diagonal.
func (m *Metric) Factors() (p, l blas32.General) { return m.p, m.l }

// DenseMetric is the metric with the given factors, as Factors gave them.
func DenseMetric(p, l blas32.General) (*Metric, error) {
	if p.Rows == 0 || p.Rows != p.Cols || l.Rows != p.Rows || l.Cols != p.Cols {
		return nil, fmt.Errorf("solvers: a metric of factors (%d, %d) and (%d, %d); both must be square and equal", p.Rows, p.Cols, l.Rows, l.Cols)
	}
	return &Metric{p: p, l: l}, nil
}

// Apply writes P·x_i into the rows of dst, both of shape (n, d). dst must not
// overlap x.
func (m *Metric) Apply(dst, x blas32.General) { m.mul(dst, x, false, (*Metric).full) }

// Root writes L·x_i into the rows of dst: for x ~ N(0, I) the result is
// N(0, P). dst must not overlap x.
func (m *Metric) Root(dst, x blas32.General) { m.mul(dst, x, true, (*Metric).half) }

// RootT writes Lᵀ·x_i into the rows of dst. dst must not overlap x.
func (m *Metric) RootT(dst, x blas32.General) { m.mul(dst, x, false, (*Metric).half) }

func (m *Metric) full() ([]float32, blas32.General) { return m.diag, m.p }
func (m *Metric) half() ([]float32, blas32.General) { return m.root, m.l }

// mul writes x·M (or x·Mᵀ) row by row for the factor M that part selects.
func (m *Metric) mul(dst, x blas32.General, trans bool, part func(*Metric) ([]float32, blas32.General)) {
	if m == nil {
		for i := range x.Rows {
			copy(row(dst, i), row(x, i))
		}
		return
	}
	diag, dense := part(m)
	if diag != nil {
		for i := range x.Rows {
			out, in := row(dst, i), row(x, i)
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

// newBatch returns a zero (n, d) batch.
func newBatch(n, d int) blas32.General {
	return blas32.General{Rows: n, Cols: d, Stride: d, Data: make([]float32, n*d)}
}

// row is the i-th row of b as a slice.
func row(b blas32.General, i int) []float32 {
	return b.Data[i*b.Stride : i*b.Stride+b.Cols]
}

// rows is the view of rows lo to hi of b.
func rows(b blas32.General, lo, hi int) blas32.General {
	b.Rows = hi - lo
	if hi == lo {
		b.Data = nil
	} else if b.Data != nil {
		b.Data = b.Data[lo*b.Stride : (hi-1)*b.Stride+b.Cols]
	}
	return b
}
