package solvers

import (
	"cmf/solvers/batch"
	"cmf/solvers/transport"

	"gonum.org/v1/gonum/blas/blas32"
)

// BatchPaired has the rows y_σ(i), the partners of the x_i in the optimal assignment
// of y to x for the squared distance.
var BatchPaired = &Kind{Name: "paired", CMFGen: func(c *CMFGen, dst blas32.General) error {
	s := c.State
	s.cost = batch.Reshaped(s.cost, s.x.Rows, s.x.Rows)
	if err := transport.SquaredDistances(s.cost, s.x, s.moved.Y); err != nil {
		return err
	}
	a, err := s.matching.Assign(s.cost)
	if err != nil {
		return err
	}
	batch.Gather(dst, s.moved.Y, a.Match)
	return nil
}}

// BatchBarycentre has the rows ȳ_i = Σ_j π_ij·y_j / Σ_j π_ij, the mean partners of the
// x_i. π is the entropic plan of CMFGen.Sinkhorn; its marginal error is logged.
var BatchBarycentre = &Kind{Name: "barycentre", CMFGen: func(c *CMFGen, dst blas32.General) error {
	plan, err := c.Sinkhorn.Barycentres(dst, c.State.x, c.State.moved.Y)
	if err != nil {
		return err
	}
	c.Log("sinkhorn_marginal_error", plan.MarginalError)
	return nil
}}
