package solvers

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/mat"
)

// moveParticles moves the minibatch of the bank by Langevin steps, or puts it back if it
// has run away.
func (c *CMFGen) moveParticles(index []int, info *CMFGenInfo) (err error) {
	s := c.State
	noise, sampler := c.noise()
	s.moved.Fresh = false
	info.Langevin, err = sampler.Run(context.Background(), noise, &s.moved, cmp.Or(c.Langevin, 5), s.Stream)
	if info.RanAway = s.ranAway(info.Langevin, err, cmp.Or(c.MaxVirial, 10)); info.RanAway {
		if err = c.drawPoints(index); err == nil {
			err = s.restart(c.Potential, index, &info.Langevin)
		}
	}
	if err != nil {
		return err
	}
	return s.Bank.Scatter(&s.moved, index)
}

// noise is the potential that the particles sample, and its sampler.
func (c *CMFGen) noise() (potential.Potential, sampling.Langevin) {
	l, preconditioner := c.Sampler, potential.NoisePreconditioner(c.Noise, c.State.preconditioner)
	if c.Noise == nil {
		l.Preconditioner = preconditioner
		return c.Potential, l
	}
	if preconditioner != nil {
		l.Preconditioner = preconditioner
	}
	return c.Noise, l
}

// renewPreconditioner makes P = (mean ∇²w)⁻¹ every Renew iterations. The mean is over
// a minibatch of the data and one of the last conjugates.
func (c *CMFGen) renewPreconditioner() error {
	s := c.State
	if c.Conditional != nil {
		return c.renewGivenPreconditioner()
	}
	if c.MeanHessian == nil || s.preconditioner != nil && s.Step%cmp.Or(c.Renew, 20) != 0 {
		return nil
	}
	n := s.x.Rows
	at := batch.New(2*n, s.x.Cols)
	if err := c.Data.Next(batch.Rows(at, 0, n)); err != nil {
		return err
	}
	batch.Gather(batch.Rows(at, n, 2*n), s.Partners, s.ahead())
	h, err := c.Ranks.meanHessian(c.MeanHessian(at))
	if err != nil {
		return fmt.Errorf("solvers: renewing the preconditioner: %w", err)
	}
	return s.precondition(h)
}

// precondition makes P = h⁻¹, or keeps the last P where h has no inverse.
func (s *CMFGenState) precondition(h *mat.SymDense) error {
	m, err := potential.PreconditionerFromHessian(h)
	if err != nil {
		return fmt.Errorf("solvers: renewing the preconditioner: %w: %w", potential.ErrCurvature, err)
	}
	s.preconditioner = m
	return nil
}

// Preconditioner is the preconditioner in use, nil before the first Step and in a run
// that has none.
func (s *CMFGenState) Preconditioner() *potential.Preconditioner { return s.preconditioner }

// SetPreconditioner restores the preconditioner of a checkpoint.
func (s *CMFGenState) SetPreconditioner(m *potential.Preconditioner) { s.preconditioner = m }

// minibatch lists the rows of the bank that this step moves.
func (s *CMFGenState) minibatch() []int {
	index := s.ahead()
	s.Next = (s.Next + len(index)) % s.Bank.Y.Rows
	return index
}

// ahead lists the rows of the next minibatch.
func (s *CMFGenState) ahead() []int {
	s.index = s.index[:0]
	for k := range s.x.Rows {
		s.index = append(s.index, (s.Next+k)%s.Bank.Y.Rows)
	}
	return s.index
}

// ranAway says whether the minibatch of the bank is lost as a whole: its virial
// is over the limit, or no particle is finite any more.
func (s *CMFGenState) ranAway(info sampling.Info, err error, limit float64) bool {
	if err != nil {
		return len(s.moved.Unhealthy(math.Inf(1))) == s.moved.Y.Rows
	}
	return info.Virial > limit
}

// restart puts the minibatch of the bank on the image of the points s.x,
// y = ∇w(x) with conjugates x, and lets the sampler find its step anew.
func (s *CMFGenState) restart(w potential.Potential, index []int, info *sampling.Info) error {
	if err := w.Eval(s.x, nil, s.moved.Y); err != nil {
		return fmt.Errorf("solvers: restarting the bank: %w", err)
	}
	if !batch.AllFinite(s.moved.Y.Data) {
		return fmt.Errorf("solvers: %w, and ∇w is not finite on the data either", potential.ErrParticles)
	}
	batch.Scatter(s.Partners, s.x, index)
	s.moved.Step, s.moved.Curvature, s.moved.Fresh = 0, 0, false
	info.Restarted += len(index)
	return nil
}

// descend steps the weights along the gradient of the loss on the batches just made, if err,
// that of making them, is nil; with several ranks along the mean of theirs.
func (s *CMFGenState) descend(err error, o Objective, adam optim.Adam, ranks *Ranks, info *CMFGenInfo) error {
	if err == nil {
		info.Loss, info.Terms, err = o.Gradient(s.made.batches)
	}
	if err = ranks.meet(err, o.Weights(), info); err != nil {
		return err
	}
	if err := s.checkLoss(info.Loss); err != nil {
		return err
	}
	adam.LR = math.Ldexp(cmp.Or(adam.LR, 1e-3), -s.Halvings)
	info.Adam, err = adam.Step(&s.Adam, o.Weights())
	return err
}
