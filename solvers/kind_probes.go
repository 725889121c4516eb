package solvers

import (
	"errors"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// BatchProbe has rows v_i of independent signs, used to estimate traces.
var BatchProbe = &Kind{Name: "probe", CMFGen: func(c *CMFGen, dst blas32.General) error {
	for i := range dst.Data {
		dst.Data[i] = float32(2*c.State.Stream.IntN(2) - 1)
	}
	return nil
}}

// BatchSolved has the rows u_i = ∇²w(x_i)⁻¹v_i, found by CMFGen.Hessian. It logs how
// many of the solves did not converge. If a row is not finite, it and its probe become
// 0, and then do not count.
var BatchSolved = &Kind{Name: "solved", CMFGen: func(c *CMFGen, dst blas32.General) error {
	w, ok := c.Potential.(potential.Curved)
	if !ok {
		return errors.New("it needs Hessian–vector products, but the potential is not Curved")
	}
	probe, err := c.Batch(BatchProbe)
	if err != nil {
		return err
	}
	solve, err := c.Hessian.Solve(w, c.State.x, probe, dst, c.State.preconditioner)
	if err != nil {
		return err
	}
	c.Log("probes_unsolved", float64(solve.Unsolved()))
	for i := range dst.Rows {
		if !batch.Finite(batch.Norm(batch.Row(dst, i))) {
			clear(batch.Row(probe, i))
			clear(batch.Row(dst, i))
		}
	}
	return nil
}}
