package density

import (
	"context"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
)

// Rays is a quadrature of log Z_i = log ∫e^{−w_i} on ℝ or ℝ² for many convex potentials w_i
// at once, in polar coordinates about their least points m_i,
//
//	Z = det L·Σ_θ Δθ·∫_0^R e^{−w(m + rLθ)}·r^{d−1} dr,  L·Lᵀ = ∇²w(m)⁻¹
//
// On every ray R is where w has risen by 30, beyond which e^{−w} is negligible because w is
// convex, and the integral is by Gauss–Legendre. Where w is smooth the error falls faster
// than any power of the numbers of rays and of points.
type Rays struct {
	// Rays are the directions in the plane, an even number; 0 means 64. On the line there are 2.
	Rays int

	// Points on a ray; 0 means 64.
	Points int
}

const negligible = 30 // nats

// LogZ returns log Z_i for row i of w, whose least points are the rows of modes, (n, d), and
// the largest change of any when every other ray and point is left out: a bound on the error
// where w is smooth. A row whose Hessian at its mode is not positive definite gives NaN. The
// end of ctx, checked before each group of rows, is an error.
func (q Rays) LogZ(ctx context.Context, w potential.Rowwise, modes blas32.General) (logZ []float64, change float64, err error) {
	d := modes.Cols
	if d != w.Dim() || d < 1 || d > 2 || q.Rays < 0 || q.Rays%2 != 0 || q.Points < 0 {
		return nil, 0, fmt.Errorf("density: quadrature on %d rays of %d points on ℝ^%d, of a potential of dimension %d; allowed are an even number of rays, one or two dimensions, and equal ones", q.Rays, q.Points, d, w.Dim())
	}
	rays, points := directions(d, q.Rays), q.Points
	if points == 0 {
		points = 64
	}
	const most = 1 << 16 // rows at once
	group := max(1, most/(len(rays)*points))
	for lo := 0; lo < modes.Rows; lo += group {
		if err := ctx.Err(); err != nil {
			return nil, 0, fmt.Errorf("density: %w", err)
		}
		hi := min(lo+group, modes.Rows)
		rows := make([]int, hi-lo)
		for i := range rows {
			rows[i] = lo + i
		}
		g := rayGroup{w: w, rows: rows, modes: batch.Rows(modes, lo, hi), rays: rays}
		if err := g.prepare(); err != nil {
			return nil, 0, err
		}
		fine, err := g.integrate(points, 1)
		if err != nil {
			return nil, 0, err
		}
		coarse, err := g.integrate(points/2, min(2, d))
		if err != nil {
			return nil, 0, err
		}
		for i, v := range fine {
			logZ = append(logZ, v)
			if e := math.Abs(v - coarse[i]); e > change {
				change = e
			}
		}
	}
	return logZ, change, nil
}

// directions are unit vectors: ±1 on the line, evenly spaced in the plane.
func directions(d, n int) [][]float64 {
	if d == 1 {
		return [][]float64{{1}, {-1}}
	}
	if n == 0 {
		n = 64
	}
	u := make([][]float64, n)
	for k := range u {
		sin, cos := math.Sincos(2 * math.Pi * float64(k) / float64(n))
		u[k] = []float64{cos, sin}
	}
	return u
}

// rayGroup are the rays of some rows.
type rayGroup struct {
	w     potential.Rowwise
	rows  []int
	modes blas32.General
	rays  [][]float64

	steps  blas32.General // Lθ of each row and ray, (rows·rays, d)
	logDet []float64      // log det L; NaN where there is none
	least  []float32      // w(m)
	reach  []float64      // R
}

// prepare finds the steps and the reaches.
func (g *rayGroup) prepare() error {
	n, d := g.modes.Rows, g.modes.Cols
	w := g.w.Of(g.rows)
	g.least, g.logDet = make([]float32, n), make([]float64, n)
	if err := w.Eval(g.modes, g.least, blas32.General{}); err != nil {
		return fmt.Errorf("density: least values: %w", err)
	}
	hessians := make([]*mat.SymDense, n)
	for i := range hessians {
		hessians[i] = mat.NewSymDense(d, nil)
	}
	axis, column := batch.New(n, d), batch.New(n, d)
	for k := range d {
		for i := range n {
			clear(batch.Row(axis, i))
			batch.Row(axis, i)[k] = 1
		}
		if err := w.HessVec(g.modes, axis, column); err != nil {
			return fmt.Errorf("density: Hessians at least points: %w", err)
		}
		for i, h := range hessians {
			for j := k; j < d; j++ {
				h.SetSym(k, j, float64(batch.Row(column, i)[j]))
			}
		}
	}
	g.steps = batch.New(n*len(g.rays), d)
	for i, h := range hessians {
		var chol mat.Cholesky
		if !chol.Factorize(h) {
			g.logDet[i] = math.NaN()
			continue
		}
		g.logDet[i] = -chol.LogDet() / 2
		var root mat.TriDense
		chol.UTo(&root) // H = UᵀU, L = U⁻¹
		for k, u := range g.rays {
			var step mat.VecDense
			if err := step.SolveVec(&root, mat.NewVecDense(d, u)); err != nil {
				g.logDet[i] = math.NaN()
				break
			}
			batch.Narrow(batch.Row(g.steps, i*len(g.rays)+k), step.RawVector().Data)
		}
	}
	return g.findReach()
}

// findReach doubles R on every ray until w has risen enough, and halves the last doubling.
func (g *rayGroup) findReach() error {
	g.reach = make([]float64, g.steps.Rows)
	for r := range g.reach {
		g.reach[r] = math.Sqrt(2 * negligible)
	}
	const doublings = 40
	rise := func(by []float64) ([]float64, error) { return g.rises(1, func(r, _ int) float64 { return by[r] }) }
	short := 1
	for k := 0; short > 0 && k < doublings; k++ {
		risen, err := rise(g.reach)
		if err != nil {
			return err
		}
		short = 0
		for r, v := range risen {
			if v < negligible { // not where v is NaN
				g.reach[r] *= 2
				short++
			}
		}
	}
	const bisections = 4 // R then exceeds the least one by a sixteenth at most
	low := make([]float64, len(g.reach))
	for range bisections {
		middle := make([]float64, len(low))
		for r := range low {
			middle[r] = (low[r] + g.reach[r]) / 2
		}
		risen, err := rise(middle)
		if err != nil {
			return err
		}
		for r, v := range risen {
			if v < negligible {
				low[r] = middle[r]
			} else {
				g.reach[r] = middle[r]
			}
		}
	}
	return nil
}

// rises are w − w(m) at points points at distances at(ray, point) on all rays.
func (g *rayGroup) rises(points int, at func(ray, point int) float64) ([]float64, error) {
	n := g.steps.Rows * points
	x, value, rows := batch.New(n, g.modes.Cols), make([]float32, n), make([]int, n)
	for i := range n {
		ray := i / points
		row := ray / len(g.rays)
		rows[i] = g.rows[row]
		r := at(ray, i%points)
		for j, m := range batch.Row(g.modes, row) {
			batch.Row(x, i)[j] = float32(float64(m) + r*float64(batch.Row(g.steps, ray)[j]))
		}
	}
	if err := g.w.Of(rows).Eval(x, value, blas32.General{}); err != nil {
		return nil, fmt.Errorf("density: values on rays: %w", err)
	}
	risen := make([]float64, n)
	for i, v := range value {
		risen[i] = float64(v) - float64(g.least[i/points/len(g.rays)])
	}
	return risen, nil
}

// integrate is log Z of each row by every stride-th ray.
func (g *rayGroup) integrate(points, stride int) ([]float64, error) {
	d := g.modes.Cols
	node, weight := make([]float64, points), make([]float64, points)
	quad.Legendre{}.FixedLocations(node, weight, 0, 1)
	risen, err := g.rises(points, func(ray, point int) float64 { return g.reach[ray] * node[point] })
	if err != nil {
		return nil, err
	}
	logZ := make([]float64, g.modes.Rows)
	angle := 1.
	if d == 2 {
		angle = 2 * math.Pi * float64(stride) / float64(len(g.rays))
	}
	for i := range logZ {
		var sum float64
		for k := 0; k < len(g.rays); k += stride {
			ray := i*len(g.rays) + k
			for p := range points {
				sum += angle * weight[p] * math.Exp(-risen[ray*points+p]) * math.Pow(g.reach[ray], float64(d)) * math.Pow(node[p], float64(d-1))
			}
		}
		logZ[i] = math.Log(sum) + g.logDet[i] - float64(g.least[i])
	}
	return logZ, nil
}
