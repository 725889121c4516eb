package solvers

import (
	"context"
	"fmt"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// BatchData has the rows x_i ~ ρ, the minibatch of the data.
var BatchData = &Kind{Name: "data", CMFGen: func(c *CMFGen, dst blas32.General) error {
	batch.Copy(dst, c.State.x)
	return nil
}}

// BatchGibbs has the rows y_j ~ 𝔓_w, the minibatch of the bank.
var BatchGibbs = &Kind{Name: "gibbs", CMFGen: func(c *CMFGen, dst blas32.General) error {
	batch.Copy(dst, c.State.moved.Y)
	return nil
}}

// BatchConjugate has the rows x̂_j = ∇w*(y_j), as accurate as the solver made them.
var BatchConjugate = &Kind{Name: "conjugate", CMFGen: (*CMFGen).solveConjugates}

// BatchMask has the weight of each row of a loss; the weights sum to 1. Under CMFGen a
// weight is 1/(usable rows) if x̂_j is usable, else 0. Under CMFMA it falls with the
// energy in the box, and is 0 where the energy is not finite.
var BatchMask = &Kind{Name: "mask", Columns: 1,
	CMFGen: func(c *CMFGen, dst blas32.General) error {
		if _, err := c.Batch(BatchConjugate); err != nil {
			return err
		}
		info := &c.State.info
		w := 1 / float32(dst.Rows-info.Masked)
		for j := range dst.Data {
			dst.Data[j] = 0
			if usable(info.Conjugate, j) {
				dst.Data[j] = w
			}
		}
		return nil
	},
	CMFMA: func(c *CMFMA, dst blas32.General) error {
		batch.Copy(dst, c.State.mask)
		return nil
	},
}

// solveConjugates writes x̂ = ∇w*(y) into xhat. It is an error if no row is usable.
func (c *CMFGen) solveConjugates(xhat blas32.General) (err error) {
	s := c.State
	y, info := s.moved.Y, &s.info
	batch.Gather(xhat, s.Partners, s.index)
	if c.Guess != nil && c.Conditional == nil {
		s.guess = batch.Reshaped(s.guess, xhat.Rows, xhat.Cols)
		if err := c.Guess(y, s.guess); err != nil {
			return err
		}
		for i := range s.guess.Rows {
			if batch.Finite(batch.Norm(batch.Row(s.guess, i))) {
				copy(batch.Row(xhat, i), batch.Row(s.guess, i))
			}
		}
	}
	if info.Conjugate, err = c.Conjugate.Solve(context.Background(), c.Potential, y, xhat, s.preconditioner); err != nil {
		return err
	}
	batch.Scatter(s.Partners, xhat, s.index)
	for j := range xhat.Rows {
		if !usable(info.Conjugate, j) {
			info.Masked++
		}
	}
	if info.Masked == xhat.Rows {
		return fmt.Errorf("%w: the smallest residual of %d rows is %g", potential.ErrConjugates, info.Masked, slices.Min(info.Conjugate.Residual))
	}
	return nil
}

// looseResidual is the relative residual above which a conjugate that did not
// converge is left out of the loss: such a row says little about ∇w*.
const looseResidual = .1

func usable(info conjugate.Info, j int) bool {
	return info.Status[j] == potential.Converged || info.Residual[j] <= looseResidual
}
