package sampling

import (
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// MaxCurvature estimates λmax(P∇²w), the sharpest curvature of w in the preconditioner
// P = L·Lᵀ: the largest over the rows of at, (n, d), by power iterations on Lᵀ∇²w L from
// a random start. Hessian–vector products come from w if it is Curved, and from central
// differences of ∇w otherwise.
//
// The estimate approaches λmax at those rows from below; a step of 1/λmax is half the
// step at which ULA turns unstable. Rows without a finite answer are skipped; it is an
// error if all are.
func MaxCurvature(w potential.Potential, at blas32.General, p *potential.Preconditioner, iterations int, rng *random.Stream) (float64, error) {
	n, d := at.Rows, at.Cols
	if d != w.Dim() {
		return 0, fmt.Errorf("sampling: the curvature at points with %d columns, of a potential of dimension %d; they must agree", d, w.Dim())
	}
	if n == 0 || d == 0 || iterations < 1 {
		return 0, fmt.Errorf("sampling: the curvature at %d points by %d iterations; at least 1 of each is needed", n, iterations)
	}
	if err := errors.Join(potential.CheckPreconditioner(p, d), batch.Check("the points of a curvature estimate", at)); err != nil {
		return 0, err
	}
	curved, ok := w.(potential.Curved)
	if !ok {
		curved = &differenced{Potential: w}
	}
	v, lv, hlv := batch.New(n, d), batch.New(n, d), batch.New(n, d)
	rng.Normals(v.Data)
	batch.NormaliseRows(v)
	var lambda []float64
	for range iterations {
		p.Root(lv, v)
		if err := curved.HessVec(at, lv, hlv); err != nil {
			return 0, fmt.Errorf("sampling: Hessian–vector product for the curvature: %w", err)
		}
		p.RootT(v, hlv)
		lambda = batch.NormaliseRows(v)
	}
	largest := math.Inf(-1)
	for _, l := range lambda {
		if !math.IsNaN(l) && !math.IsInf(l, 0) {
			largest = max(largest, l)
		}
	}
	if math.IsInf(largest, -1) {
		return 0, fmt.Errorf("sampling: %w: the Hessian of the potential is not finite at any of the %d points where it is estimated", potential.ErrCurvature, n)
	}
	return largest, nil
}

// curvature estimates λmax(P∇²w) at particles drawn at random.
func (c *Chains) curvature(w potential.Potential, p *potential.Preconditioner, rng *random.Stream) (float64, error) {
	const points, iterations = 16, 10
	rows := make([]int, min(points, c.Y.Rows))
	for i := range rows {
		rows[i] = rng.IntN(c.Y.Rows)
	}
	return MaxCurvature(potential.Of(w, rows), batch.Gathered(c.Y, rows), p, iterations, rng)
}

// differenced makes a Potential Curved by central differences.
type differenced struct{ potential.Potential }

// HessVec writes (∇w(x + tv) − ∇w(x − tv))/(2t) into the rows of hv. ‖tv‖ is a hundredth
// of the root mean square of the entries of x: far above the rounding of float32, and
// far below the spread of a sample.
func (w *differenced) HessVec(x, v, hv blas32.General) error {
	n, d := x.Rows, x.Cols
	var squares float64
	for i := range n {
		squares += batch.SumSquares(batch.Row(x, i))
	}
	length := .01 * math.Sqrt(squares/float64(n*d))
	if length == 0 {
		length = .01
	}
	t := make([]float32, n)
	ahead, behind, gradient := batch.New(n, d), batch.New(n, d), batch.New(n, d)
	for i := range n {
		t[i] = 1
		if norm := math.Sqrt(batch.SumSquares(batch.Row(v, i))); norm > 0 {
			t[i] = float32(length / norm)
		}
		a, b, dir := batch.Row(ahead, i), batch.Row(behind, i), batch.Row(v, i)
		for j, xj := range batch.Row(x, i) {
			a[j], b[j] = xj+t[i]*dir[j], xj-t[i]*dir[j]
		}
	}
	if err := w.Eval(ahead, nil, hv); err != nil {
		return err
	}
	if err := w.Eval(behind, nil, gradient); err != nil {
		return err
	}
	for i := range n {
		out := batch.Row(hv, i)
		for j, g := range batch.Row(gradient, i) {
			out[j] = (out[j] - g) / (2 * t[i])
		}
	}
	return nil
}
