package potential

import (
	"fmt"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Conditional is a family of potentials w(·; c) on ℝᵈ, convex in x for every context
// c ∈ ℝᵏ. The law of x given c is ∇w*(·; c)♯𝔓_{w(·;c)}, and every context has a
// normaliser Z(c) = ∫e^{−w(y; c)} dy of its own.
type Conditional interface {
	// Dim is d.
	Dim() int

	// Contexts is k.
	Contexts() int

	// Given is the potential whose row i is w(·; c_i), for c of shape (n, k); with n = 1
	// it is w(·; c) for any number of rows. c must not change while it is in use.
	Given(c blas32.General) (Rowwise, error)
}

// Rowwise is a Potential with a function w_i of its own for each row i of a batch, so
// that batches must have its number of rows and their order.
type Rowwise interface {
	Curved

	// Of is the potential of a batch that has the listed rows; its row k is w_{rows[k]}.
	// It holds until the next Of.
	Of(rows []int) Rowwise
}

// Of is w for a batch of the listed rows: w itself unless it is Rowwise.
func Of[W Potential](w W, rows []int) W {
	if r, ok := any(w).(Rowwise); ok {
		if of, ok := r.Of(rows).(W); ok {
			return of
		}
	}
	return w
}

// Averaged is a Curved potential that may have a faster way to a mean Hessian than products.
type Averaged interface {
	Curved

	// MeanHessian is the mean of ∇²w(x_i); ok says whether there is such a way.
	MeanHessian(x blas32.General) (h *mat.SymDense, ok bool, err error)
}

// MeanHessian is the mean of ∇²w(x_i) over the rows of x, (n, d), n ≥ 1: by d products
// a row, unless w is Averaged.
func MeanHessian(w Curved, x blas32.General) (*mat.SymDense, error) {
	n, d := x.Rows, x.Cols
	if n < 1 || d != w.Dim() {
		return nil, fmt.Errorf("potential: mean Hessian over points of shape (%d, %d); it needs at least one point of ℝ^%d", n, d, w.Dim())
	}
	if a, ok := w.(Averaged); ok {
		if h, ok, err := a.MeanHessian(x); ok || err != nil {
			return h, err
		}
	}
	axis, product, sum := batch.New(n, d), batch.New(n, d), mat.NewDense(d, d, nil)
	for k := range d {
		for i := range n {
			clear(batch.Row(axis, i))
			batch.Row(axis, i)[k] = 1
		}
		if err := w.HessVec(x, axis, product); err != nil {
			return nil, fmt.Errorf("potential: Hessian–vector product for a mean Hessian: %w", err)
		}
		for j, v := range batch.Means(product) {
			sum.Set(k, j, v)
		}
	}
	return batch.Symmetrised(sum), nil
}
