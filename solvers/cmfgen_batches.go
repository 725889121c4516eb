package solvers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/potential"
	"cmf/solvers/transport"

	"gonum.org/v1/gonum/blas/blas32"
)

// batches makes what the objective asks for, from the minibatches x of the data
// and y of the bank's rows index.
func (c *CMFGen) batches(index []int, info *CMFGenInfo) (map[string]blas32.General, error) {
	s := c.State
	all := s.offered()
	all[BatchData], all[BatchGibbs] = s.x, s.moved.Y
	if needs(c.Objective, BatchConjugate) {
		if err := c.conjugates(index, info); err != nil {
			return nil, err
		}
		all[BatchConjugate], all[BatchMask] = s.xhat, s.mask
	}
	if needs(c.Objective, BatchPaired) {
		if err := s.pair(); err != nil {
			return nil, err
		}
		all[BatchPaired] = s.paired
	}
	if needs(c.Objective, BatchBarycentre) {
		s.barycentre = batch.Reshaped(s.barycentre, s.x.Rows, s.x.Cols)
		plan, err := c.Sinkhorn.Barycentres(s.barycentre, s.x, s.moved.Y)
		if err != nil {
			return nil, err
		}
		info.Marginal = plan.MarginalError
		all[BatchBarycentre] = s.barycentre
	}
	if needs(c.Objective, BatchProbe) {
		if err := c.solveProbes(info); err != nil {
			return nil, err
		}
		all[BatchProbe], all[BatchSolved] = s.probe, s.solved
	}
	return all, nil
}

// offered is the map in which an iteration gathers its batches.
func (s *CMFGenState) offered() map[string]blas32.General {
	if s.batches == nil {
		s.batches = make(map[string]blas32.General)
	}
	return s.batches
}

// conjugates solves x̂ = ∇w*(y) and weighs the rows.
func (c *CMFGen) conjugates(index []int, info *CMFGenInfo) (err error) {
	s := c.State
	batch.Gather(s.xhat, s.Partners, index)
	if c.Guess != nil {
		s.guess = batch.Reshaped(s.guess, s.xhat.Rows, s.xhat.Cols)
		if err := c.Guess(s.moved.Y, s.guess); err != nil {
			return err
		}
		for i := range s.guess.Rows {
			if batch.Finite(batch.Norm(batch.Row(s.guess, i))) {
				copy(batch.Row(s.xhat, i), batch.Row(s.guess, i))
			}
		}
	}
	if info.Conjugate, err = c.Conjugate.Solve(context.Background(), c.Potential, s.moved.Y, s.xhat, s.preconditioner); err != nil {
		return err
	}
	batch.Scatter(s.Partners, s.xhat, index)
	if info.Masked = s.maskRows(info.Conjugate); info.Masked == s.x.Rows {
		return fmt.Errorf("solvers: %w: of %d rows, the least residual is %g", potential.ErrConjugates, info.Masked, slices.Min(info.Conjugate.Residual))
	}
	return nil
}

// looseResidual is the relative residual above which a conjugate that did not
// converge is left out of the loss: such a row says little about ∇w*.
const looseResidual = .1

// maskRows weighs the usable rows equally and returns the number of the others.
func (s *CMFGenState) maskRows(info conjugate.Info) (masked int) {
	usable := func(j int) bool { return info.Status[j] == potential.Converged || info.Residual[j] <= looseResidual }
	for j := range info.Status {
		if !usable(j) {
			masked++
		}
	}
	w := 1 / float32(max(1, len(info.Status)-masked))
	for j := range info.Status {
		s.mask.Data[j] = 0
		if usable(j) {
			s.mask.Data[j] = w
		}
	}
	return masked
}

// pair matches y to x by optimal assignment for the squared distance.
func (s *CMFGenState) pair() error {
	s.cost = batch.Reshaped(s.cost, s.x.Rows, s.x.Rows)
	s.paired = batch.Reshaped(s.paired, s.x.Rows, s.x.Cols)
	if err := transport.SquaredDistances(s.cost, s.x, s.moved.Y); err != nil {
		return err
	}
	a, err := s.matching.Assign(s.cost)
	if err != nil {
		return err
	}
	batch.Gather(s.paired, s.moved.Y, a.Match)
	return nil
}

// solveProbes draws signs v and solves ∇²w(x)·u = v. A row that is not finite
// becomes 0, and then has no say.
func (c *CMFGen) solveProbes(info *CMFGenInfo) error {
	s := c.State
	w, ok := c.Potential.(potential.Curved)
	if !ok {
		return errors.New("solvers: probes need Hessian–vector products, and the potential is not Curved")
	}
	s.probe, s.solved = batch.Reshaped(s.probe, s.x.Rows, s.x.Cols), batch.Reshaped(s.solved, s.x.Rows, s.x.Cols)
	for i := range s.probe.Data {
		s.probe.Data[i] = float32(2*s.Stream.IntN(2) - 1)
	}
	solve, err := c.Hessian.Solve(w, s.x, s.probe, s.solved, s.preconditioner)
	if err != nil {
		return err
	}
	info.Unsolved = solve.Unsolved
	for i := range s.solved.Rows {
		if !batch.Finite(batch.Norm(batch.Row(s.solved, i))) {
			clear(batch.Row(s.probe, i))
			clear(batch.Row(s.solved, i))
		}
	}
	return nil
}

func needs(o Objective, input string) bool { return slices.Contains(o.Inputs(), input) }
