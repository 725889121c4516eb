package solvers

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
)

// ErrDiverged says that training goes wrong again and again. The errors of
// CMFGen.Step and CMFMA.Step wrap it together with one of the errors below.
var ErrDiverged = errors.New("training diverged")

// wrong are the errors that come from the numbers of a batch, so that another batch or
// other weights may work.
var wrong = []error{potential.ErrParticles, potential.ErrConjugates, potential.ErrCurvature, potential.ErrLoss, potential.ErrEnergy, optim.ErrNonFiniteGradient}

func goneWrong(err error) bool {
	return slices.ContainsFunc(wrong, func(kind error) bool { return errors.Is(err, kind) })
}

const (
	maxFailures = 5   // failed batches in a row, after which the last good weights return, at 2⁻⁵ of the learning rate
	maxRestores = 3   // returns to the last good weights in a run
	goodEvery   = 100 // iterations between copies of the weights
	maxGrowth   = 1e6 // largest ratio of |loss| to that of the first iteration
)

// remember copies the weights from time to time while all is well.
func (s *CMFGenState) remember(weights []optim.Weight) {
	if s.Good != nil && (s.Step%goodEvery != 0 || s.Failures > 0 || s.Stuck > 0) {
		return
	}
	if s.Good == nil {
		s.Good = map[string][]float32{}
	}
	for _, w := range weights {
		s.Good[w.Name] = append(s.Good[w.Name][:0], w.Value...)
	}
}

// settle ends an iteration that gave err. An error in its numbers does not end the run
// yet: it halves the learning rate, and several in a row restore the weights. adjusted says
// whether particles move by MALA.
func (s *CMFGenState) settle(err error, adjusted bool, weights []optim.Weight, info *CMFGenInfo) error {
	if err == nil {
		err = s.checkParticles(adjusted, info)
	}
	switch {
	case err == nil:
		s.Failures = 0
		s.Step++
		return nil
	case !goneWrong(err):
		return err
	}
	info.Skipped = true
	s.Failures++
	s.Halvings++
	if s.Failures < maxFailures && s.Stuck < s.maxStuck() {
		s.Step++
		return nil
	}
	s.Halvings += maxFailures - s.Failures
	s.restore(weights)
	info.Restored = true
	if s.Restores <= maxRestores {
		s.Step++
		return nil
	}
	s.Halvings, s.Restores = 0, 0 // the caller may go on with other options
	return fmt.Errorf("solvers: %w: %d returns to the last good weights did not help; the last error: %w", ErrDiverged, maxRestores, err)
}

// restore goes back to the last good weights, which are at most goodEvery iterations
// older than the first failure. The moments of Adam, the Langevin step and the
// preconditioner belong to other weights and start anew; particles far from their law
// are put back when their minibatch has its turn.
func (s *CMFGenState) restore(weights []optim.Weight) {
	for _, w := range weights {
		copy(w.Value, s.Good[w.Name])
		clear(s.Adam.M[w.Name])
		clear(s.Adam.V[w.Name])
	}
	s.Bank.Step, s.Bank.Curvature, s.preconditioner = 0, 0, nil
	s.Failures, s.Stuck = 0, 0
	s.Restores++
}

// maxStuck is how many iterations in a row particles may be stuck: 50, plus those of
// two rounds of the bank.
func (s *CMFGenState) maxStuck() int { return 50 + 2*s.Bank.Y.Rows/s.x.Rows }

// checkParticles reports a bank whose minibatches ran away one after the other, or
// for which MALA has accepted no move for a long time.
func (s *CMFGenState) checkParticles(adjusted bool, info *CMFGenInfo) error {
	if !info.RanAway && !(adjusted && info.Langevin.Acceptance < 1e-3) {
		s.Stuck = 0
		return nil
	}
	if s.Stuck++; s.Stuck < s.maxStuck() {
		return nil
	}
	return fmt.Errorf("solvers: %w: they ran away or did not move in %d iterations in a row; the Langevin step is %g", potential.ErrParticles, s.Stuck, info.Langevin.Step)
}

// checkLoss reports a loss that is not finite, or far larger than in the first
// iteration, the only one that no weight step can have spoilt.
func (s *CMFGenState) checkLoss(loss float64) error {
	if !batch.Finite(loss) {
		return fmt.Errorf("solvers: %w: it is %g", potential.ErrLoss, loss)
	}
	size := math.Abs(loss)
	if s.Level == 0 {
		s.Level = size
	}
	if limit := maxGrowth * (1 + s.Level); size > limit {
		return fmt.Errorf("solvers: %w: it is %g, and was of size %g in the first iteration", potential.ErrLoss, loss, s.Level)
	}
	return nil
}
