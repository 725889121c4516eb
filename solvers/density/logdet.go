package density

import (
	"context"
	"fmt"
	"math"

	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// LogDetHessian returns log det ∇²w(x_i) for each row of x, (n, d). It computes whole
// Hessians by d Hessian–vector products a row: exact up to rounding, at a cost that is
// acceptable for d up to about 1000. The determinant is computed in float64, in closed
// form for d ≤ 2, else by Cholesky factors.
//
// A row whose Hessian is not finite, or not positive definite, gives NaN, and the status
// says which. The end of ctx, checked before each group of rows, is an error.
func LogDetHessian(ctx context.Context, w potential.Curved, x blas32.General) (logDet []float64, info Info, err error) {
	n, d := x.Rows, x.Cols
	if d != w.Dim() || d < 1 {
		return nil, Info{}, fmt.Errorf("density: Hessians at points with %d columns, of a potential of dimension %d; they must agree", d, w.Dim())
	}
	if err := batch.Check("the points of Hessians", x); err != nil {
		return nil, Info{}, err
	}
	logDet, info.Status = make([]float64, n), make([]potential.Status, n)
	group := min(n, max(4, 1024/d)) // enough products for a call, enough factors for every thread
	at, axes, h := batch.New(group*d, d), batch.New(group*d, d), batch.New(group*d, d)
	for r := range axes.Rows {
		batch.Row(axes, r)[r%d] = 1
	}
	for lo := 0; lo < n; lo += group {
		if err := ctx.Err(); err != nil {
			return nil, Info{}, fmt.Errorf("density: %w", err)
		}
		k := min(group, n-lo)
		rows := make([]int, k*d)
		for r := range rows {
			rows[r] = lo + r/d
		}
		batch.Gather(at, x, rows)
		if err := potential.Of(w, rows).HessVec(batch.Rows(at, 0, k*d), batch.Rows(axes, 0, k*d), batch.Rows(h, 0, k*d)); err != nil {
			return nil, Info{}, fmt.Errorf("density: Hessian–vector products for determinants: %w", err)
		}
		kernel.Parallel(k, max(1, 64/d), func(from, to int) {
			for i := from; i < to; i++ {
				logDet[lo+i], info.Status[lo+i] = logDetSPD(batch.Rows(h, i*d, (i+1)*d))
			}
		})
	}
	return logDet, info, nil
}

// logDetSPD is log det h, from the symmetric part of h. It is NaN if that is not positive
// definite.
func logDetSPD(h blas32.General) (float64, potential.Status) {
	for i := range h.Rows {
		if !batch.AllFinite(batch.Row(h, i)) {
			return math.NaN(), potential.NotFinite
		}
	}
	at := func(i, j int) float64 { return (float64(batch.Row(h, i)[j]) + float64(batch.Row(h, j)[i])) / 2 }
	switch d := h.Rows; d {
	case 1:
		return logPositive(at(0, 0))
	case 2:
		if !(at(0, 0) > 0) {
			return math.NaN(), potential.NotConvex
		}
		return logPositive(at(0, 0)*at(1, 1) - at(0, 1)*at(0, 1))
	default:
		s := mat.NewSymDense(d, nil)
		for i := range d {
			for j := i; j < d; j++ {
				s.SetSym(i, j, at(i, j))
			}
		}
		var chol mat.Cholesky
		if !chol.Factorize(s) {
			return math.NaN(), potential.NotConvex
		}
		return chol.LogDet(), potential.Converged
	}
}

// logPositive is log v, or NaN if v is not positive.
func logPositive(v float64) (float64, potential.Status) {
	if !(v > 0) {
		return math.NaN(), potential.NotConvex
	}
	return math.Log(v), potential.Converged
}
