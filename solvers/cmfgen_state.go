package solvers

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/blas/blas32"
)

// noise is the potential that the particles sample, and its sampler.
func (c *CMFGen) noise() (Potential, Langevin) {
	if c.Noise != nil {
		return c.Noise, c.Sampler
	}
	l := c.Sampler
	l.Metric = c.State.metric
	return c.Potential, l
}

// renewMetric makes P = (mean ∇²w)⁻¹ over a minibatch of the data and one of
// the last conjugates, every Renew iterations.
func (c *CMFGen) renewMetric() error {
	s := c.State
	if c.MeanHessian == nil || s.metric != nil && s.Step%cmp.Or(c.Renew, 20) != 0 {
		return nil
	}
	n := s.x.Rows
	at := newBatch(2*n, s.x.Cols)
	if err := c.Data.Next(rows(at, 0, n)); err != nil {
		return err
	}
	copyInto(rows(at, n, 2*n), rows(s.Partners, s.Next, s.Next+n))
	h, err := c.MeanHessian(at)
	if err != nil {
		return fmt.Errorf("solvers: renewing the preconditioner: %w", err)
	}
	if s.metric, err = MetricFromHessian(h); err != nil {
		return fmt.Errorf("solvers: renewing the preconditioner: %w", err)
	}
	return nil
}

// Metric is the preconditioner in use; nil before the first Step or without one.
func (s *CMFGenState) Metric() *Metric { return s.metric }

// SetMetric restores the preconditioner of a checkpoint.
func (s *CMFGenState) SetMetric(m *Metric) { s.metric = m }

// minibatch lists the rows of the bank whose turn it is.
func (s *CMFGenState) minibatch() []int {
	index := make([]int, s.x.Rows)
	for k := range index {
		index[k] = s.Next + k
	}
	s.Next = (s.Next + len(index)) % s.Bank.Y.Rows
	return index
}

// looseResidual is the relative residual above which a conjugate that did not
// converge is left out of the loss: such a row says little about ∇w*.
const looseResidual = .1

// maskRows weighs the usable rows equally and returns the number of the others.
func (s *CMFGenState) maskRows(info ConjugateInfo) (masked int) {
	usable := func(j int) bool { return info.Status[j] == Converged || info.Residual[j] <= looseResidual }
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
	if s.cost.Rows != s.x.Rows {
		s.cost = newBatch(s.x.Rows, s.x.Rows)
	}
	if err := SquaredDistances(s.cost, s.x, s.moved.Y); err != nil {
		return err
	}
	a, err := Assign(s.cost)
	if err != nil {
		return err
	}
	gatherRows(s.paired, s.moved.Y, a.Match)
	return nil
}

func needs(o Objective, batch string) bool { return slices.Contains(o.Inputs(), batch) }

func gatherRows(dst, src blas32.General, index []int) {
	for k, i := range index {
		copy(row(dst, k), row(src, i))
	}
}

func scatterRows(dst, src blas32.General, index []int) {
	for k, i := range index {
		copy(row(dst, i), row(src, k))
	}
}

func copyInto(dst, src blas32.General) {
	for i := range src.Rows {
		copy(row(dst, i), row(src, i))
	}
}
