package solvers

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas/blas32"
)

// MaxCurvature estimates λmax(P∇²w), the sharpest curvature of w in the metric
// P = L·Lᵀ, as the largest over the rows of at, (n, d), by power iterations on
// Lᵀ∇²w L from a random start. Hessian–vector products come from w where it is
// Curved and from central differences of ∇w otherwise.
//
// The estimate approaches λmax at those rows from below: a step of 1/λmax leaves
// a factor of two before ULA turns unstable. Rows without a finite answer are
// passed over; it is an error if there is no other.
func MaxCurvature(w Potential, at blas32.General, p *Metric, iterations int, rng *rand.Rand) (float64, error) {
	n, d := at.Rows, at.Cols
	if d != w.Dim() {
		return 0, fmt.Errorf("solvers: curvature asked for at points with %d columns of a potential of dimension %d; they must agree", d, w.Dim())
	}
	if n == 0 || d == 0 || iterations < 1 {
		return 0, fmt.Errorf("solvers: curvature asked for at %d points by %d iterations; at least 1 of each is needed", n, iterations)
	}
	if err := errors.Join(checkMetric(p, d), checkBatch("the points of a curvature estimate", at)); err != nil {
		return 0, err
	}
	curved, ok := w.(Curved)
	if !ok {
		curved = &differenced{Potential: w}
	}
	v, lv, hlv := newBatch(n, d), newBatch(n, d), newBatch(n, d)
	normals(rng, v.Data)
	normaliseRows(v)
	var lambda []float64
	for range iterations {
		p.Root(lv, v)
		if err := curved.HessVec(at, lv, hlv); err != nil {
			return 0, fmt.Errorf("solvers: Hessian–vector product for the curvature: %w", err)
		}
		p.RootT(v, hlv)
		lambda = normaliseRows(v)
	}
	largest := math.Inf(-1)
	for _, l := range lambda {
		if !math.IsNaN(l) && !math.IsInf(l, 0) {
			largest = max(largest, l)
		}
	}
	if math.IsInf(largest, -1) {
		return 0, fmt.Errorf("solvers: %w: the Hessian of the potential is not finite at any of the %d points of an estimate", ErrCurvature, n)
	}
	return largest, nil
}

// curvature estimates λmax(P∇²w) at particles drawn at random.
func (c *Chains) curvature(w Potential, p *Metric, rng *rand.Rand) (float64, error) {
	const points, iterations = 16, 10
	at := newBatch(min(points, c.Y.Rows), c.Y.Cols)
	for i := range at.Rows {
		copy(row(at, i), row(c.Y, rng.IntN(c.Y.Rows)))
	}
	return MaxCurvature(w, at, p, iterations, rng)
}

// differenced makes a Potential Curved by central differences.
type differenced struct{ Potential }

// HessVec writes (∇w(x + tv) − ∇w(x − tv))/(2t) into the rows of hv, where ‖tv‖
// is a hundredth of the root mean square of the entries of x: far over the
// rounding of float32, far below the spread of a sample.
func (w *differenced) HessVec(x, v, hv blas32.General) error {
	n, d := x.Rows, x.Cols
	var squares float64
	for i := range n {
		squares += sumSquares(row(x, i))
	}
	length := .01 * math.Sqrt(squares/float64(n*d))
	if length == 0 {
		length = .01
	}
	t := make([]float32, n)
	ahead, behind, gradient := newBatch(n, d), newBatch(n, d), newBatch(n, d)
	for i := range n {
		t[i] = 1
		if norm := math.Sqrt(sumSquares(row(v, i))); norm > 0 {
			t[i] = float32(length / norm)
		}
		a, b, dir := row(ahead, i), row(behind, i), row(v, i)
		for j, xj := range row(x, i) {
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
		out := row(hv, i)
		for j, g := range row(gradient, i) {
			out[j] = (out[j] - g) / (2 * t[i])
		}
	}
	return nil
}

// checkMetric reports a metric of another dimension than d.
func checkMetric(p *Metric, d int) error {
	if p == nil {
		return nil
	}
	if has := max(len(p.diag), p.p.Rows); has != d {
		return fmt.Errorf("solvers: the metric has dimension %d, the particles %d; they must agree", has, d)
	}
	return nil
}

// checkBatch reports a matrix whose numbers do not fill its shape.
func checkBatch(name string, b blas32.General) error {
	if b.Rows < 0 || b.Cols < 0 || b.Rows > 0 && (b.Stride < b.Cols || len(b.Data) < (b.Rows-1)*b.Stride+b.Cols) {
		return fmt.Errorf("solvers: %s: %d numbers at stride %d do not fill the shape (%d, %d)", name, len(b.Data), b.Stride, b.Rows, b.Cols)
	}
	return nil
}

// normaliseRows divides each row by its norm, a zero row by one, and returns the
// norms.
func normaliseRows(b blas32.General) []float64 {
	norms := make([]float64, b.Rows)
	for i := range norms {
		norms[i] = math.Sqrt(sumSquares(row(b, i)))
		if norms[i] == 0 {
			continue
		}
		for j := range row(b, i) {
			b.Data[i*b.Stride+j] /= float32(norms[i])
		}
	}
	return norms
}

func sumSquares(x []float32) float64 {
	var s float64
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return s
}
