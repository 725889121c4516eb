package conjugate

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// HessianSolver solves ∇²w(x_i)·u_i = v_i for each row by conjugate gradients,
// preconditioned by P. It owns its work buffers, so it is not safe for
// concurrent use.
type HessianSolver struct {
	// Tolerance is the relative residual ‖v−Hu‖_P/‖v‖_P at which a row is solved.
	// 0 means 1e-3.
	Tolerance float64

	// MaxIterations is the number of products of a row. 0 means 2d, at most 200.
	MaxIterations int

	r, pr, q, hq blas32.General // residuals, P·r, directions, H·q
	norm2, first []float64      // ‖r‖²_P, now and at the start; norm2 is 0 in a row that is done
}

// HessianInfo tells how the solves of a batch of n rows went.
type HessianInfo struct {
	Status   []potential.Status // Stalled where w has no curvature along a direction
	Residual []float32          // ‖v−Hu‖_P/‖v‖_P by the recurrence, NaN where v is not finite
	Products int                // Hessian–vector products with the whole batch
}

// Unsolved counts the rows above the tolerance.
func (h HessianInfo) Unsolved() int { return potential.Failed(h.Status) }

// Solve writes into the rows of u, for each row, the u_i of least energy ½⟨u,Hu⟩ − ⟨v,u⟩
// that it reached; all shapes are (n, d). A row ends where v or a product is not finite,
// and where w has no curvature along the direction. A nil p is the identity. Running
// out of iterations is not an error.
func (c *HessianSolver) Solve(w potential.Curved, x, v, u blas32.General, p *potential.Preconditioner) (HessianInfo, error) {
	if err := errors.Join(checkLimits(c.Tolerance, c.MaxIterations), checkSystem(w, v, x, p), checkSystem(w, v, u, p)); err != nil {
		return HessianInfo{}, err
	}
	info := HessianInfo{Status: make([]potential.Status, x.Rows), Residual: make([]float32, x.Rows)}
	unsolved := c.start(v, u, p, &info)
	tolerance := cmp.Or(c.Tolerance, 1e-3)
	for limit := int(cmp.Or(float64(c.MaxIterations), float64(min(2*x.Cols, 200)))); unsolved > 0 && info.Products < limit; {
		if err := w.HessVec(x, c.q, c.hq); err != nil {
			return HessianInfo{}, fmt.Errorf("conjugate: Hessian–vector product: %w", err)
		}
		info.Products++
		for i, norm2 := range c.norm2 {
			if !(norm2 > 0) {
				c.end(i)
				continue
			}
			curvature := batch.Inner(batch.Row(c.q, i), batch.Row(c.hq, i))
			step := norm2 / curvature
			switch {
			case step > 0 && batch.Finite(step):
				batch.AddScaled(batch.Row(u, i), step, batch.Row(c.q, i))
				batch.AddScaled(batch.Row(c.r, i), -step, batch.Row(c.hq, i))
			case batch.Finite(curvature):
				c.end(i)
				info.Status[i] = potential.Stalled
			default:
				c.end(i)
				info.Status[i] = potential.NotFinite
			}
		}
		p.Apply(c.pr, c.r)
		running := false
		unsolved = 0
		for i := range c.norm2 {
			c.turn(i, tolerance, &info)
			running = running || c.norm2[i] > 0
			if float64(info.Residual[i]) <= tolerance {
				info.Status[i] = potential.Converged
				continue
			}
			unsolved++
			if info.Status[i] == potential.Converged {
				info.Status[i] = potential.MaxIterations
			}
		}
		if !running {
			break
		}
	}
	return info, nil
}

// start sets u to 0 and every direction to P·v, and counts the rows to solve.
func (c *HessianSolver) start(v, u blas32.General, p *potential.Preconditioner, info *HessianInfo) (unsolved int) {
	if n, d := v.Rows, v.Cols; c.r.Rows != n || c.r.Cols != d {
		c.r, c.pr, c.q, c.hq = batch.New(n, d), batch.New(n, d), batch.New(n, d), batch.New(n, d)
		c.norm2, c.first = make([]float64, n), make([]float64, n)
	}
	batch.Copy(c.r, v)
	p.Apply(c.pr, c.r)
	batch.Copy(c.q, c.pr)
	for i := range v.Rows {
		clear(batch.Row(u, i))
		norm2 := batch.Inner(batch.Row(c.r, i), batch.Row(c.pr, i))
		c.norm2[i], c.first[i] = norm2, norm2
		switch {
		case !batch.Finite(norm2):
			info.Residual[i], info.Status[i] = float32(math.NaN()), potential.NotFinite
			unsolved++
			c.end(i)
		case norm2 > 0:
			info.Residual[i], info.Status[i] = 1, potential.MaxIterations
			unsolved++
		}
	}
	return unsolved
}

// end takes row i out: a zero direction costs nothing and changes nothing.
func (c *HessianSolver) end(i int) {
	c.norm2[i] = 0
	clear(batch.Row(c.q, i))
	clear(batch.Row(c.r, i))
}

// turn moves row i to its next conjugate direction, or ends it.
func (c *HessianSolver) turn(i int, tolerance float64, info *HessianInfo) {
	if c.norm2[i] == 0 {
		return
	}
	norm2 := batch.Inner(batch.Row(c.r, i), batch.Row(c.pr, i))
	info.Residual[i] = float32(math.Sqrt(norm2 / c.first[i]))
	if !(norm2 > tolerance*tolerance*c.first[i]) {
		c.end(i)
		return
	}
	ratio := float32(norm2 / c.norm2[i])
	c.norm2[i] = norm2
	q := batch.Row(c.q, i)
	for j, z := range batch.Row(c.pr, i) {
		q[j] = z + ratio*q[j]
	}
}
