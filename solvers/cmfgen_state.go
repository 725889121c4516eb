package solvers

import (
	"cmp"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// noise is the potential that the particles sample, and its sampler.
func (c *CMFGen) noise() (Potential, Langevin) {
	l, metric := c.Sampler, NoiseMetric(c.Noise, c.State.metric)
	if c.Noise == nil {
		l.Metric = metric
		return c.Potential, l
	}
	if metric != nil {
		l.Metric = metric
	}
	return c.Noise, l
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
	return s.precondition(h)
}

// precondition makes P = h⁻¹, or keeps the last P where there is none.
func (s *CMFGenState) precondition(h *mat.SymDense) error {
	m, err := MetricFromHessian(h)
	if err != nil {
		return fmt.Errorf("solvers: renewing the preconditioner: %w: %w", ErrCurvature, err)
	}
	s.metric = m
	return nil
}

// Metric is the preconditioner in use; nil before the first Step or without one.
func (s *CMFGenState) Metric() *Metric { return s.metric }

// SetMetric restores the preconditioner of a checkpoint.
func (s *CMFGenState) SetMetric(m *Metric) { s.metric = m }

// minibatch lists the rows of the bank whose turn it is.
func (s *CMFGenState) minibatch() []int {
	s.index = s.index[:0]
	for k := range s.x.Rows {
		s.index = append(s.index, s.Next+k)
	}
	s.Next = (s.Next + len(s.index)) % s.Bank.Y.Rows
	return s.index
}

// ranAway says whether the minibatch of the bank is lost as a whole: its virial
// is over the limit, or no particle is finite any more.
func (s *CMFGenState) ranAway(info LangevinInfo, err error, limit float64) bool {
	if err != nil {
		return len(s.moved.unhealthy(math.Inf(1))) == s.moved.Y.Rows
	}
	return info.Virial > limit
}

// restart puts the minibatch of the bank on the image of the points s.x,
// y = ∇w(x) with conjugates x, and lets the sampler find its step anew.
func (s *CMFGenState) restart(w Potential, index []int, info *LangevinInfo) error {
	if err := w.Eval(s.x, nil, s.moved.Y); err != nil {
		return fmt.Errorf("solvers: restarting the bank: %w", err)
	}
	if !finiteRow(s.moved.Y.Data) {
		return fmt.Errorf("solvers: %w, nor is ∇w finite on the data", ErrParticles)
	}
	scatterRows(s.Partners, s.x, index)
	s.moved.Step, s.moved.Curvature, s.moved.Fresh = 0, 0, false
	info.Restarted += len(index)
	return nil
}

// descend steps the weights along the gradient of the loss of the batches.
func (s *CMFGenState) descend(o Objective, adam Adam, batches map[string]blas32.General, info *CMFGenInfo) (err error) {
	if info.Loss, info.Terms, err = o.Gradient(batches); err != nil {
		return err
	}
	if err := s.checkLoss(info.Loss); err != nil {
		return err
	}
	adam.LR = math.Ldexp(cmp.Or(adam.LR, 1e-3), -s.Halvings)
	info.Adam, err = adam.Step(&s.Adam, o.Weights())
	return err
}

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
