package solvers

import (
	"fmt"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"
	"cmf/solvers/transport"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Objective is a loss over batches, with its gradient in the weights.
type Objective interface {
	// Inputs are the kinds of batches that Gradient needs.
	Inputs() []*Kind

	// Weights are the trained weights; Gradient leaves their gradients there.
	Weights() []optim.Weight

	// Gradient returns the loss and the value of each of its terms. The map belongs to
	// the objective and holds until the next call. batches has all of Inputs, and may
	// have others.
	Gradient(batches map[*Kind]blas32.General) (loss float64, terms map[string]float64, err error)
}

// Source gives minibatches of ρ.
type Source interface {
	// Next fills the rows of dst.
	Next(dst blas32.General) error
}

// CMFGen learns the potential w of a conjugate moment measure ρ = ∇w*♯𝔓_w from
// samples of ρ. Each Step
//
//  1. moves a minibatch y of a persistent bank of particles by Langevin steps on w,
//  2. draws a minibatch x of the data,
//  3. solves x̂ = ∇w*(y) = argmax ⟨x,y⟩ − w(x) from the particles' last solutions,
//  4. steps the weights along the gradient of the loss, and projects them.
//
// y and x̂ are held fixed in the gradient. Only a few Langevin steps are made between
// weight steps: this is a damping, without which the fixed point diverges.
//
// A minibatch of the bank that runs away as a whole is put back on ∇w(x), the
// image of data; its conjugates are x, and its law is 𝔓_w once w is learned. A
// batch that goes wrong (for example particles, conjugates, loss or gradient that
// are not finite) changes no weight and halves the learning rate from then on.
// Several in a row restore the last good weights. When that does not help, Step
// returns ErrDiverged.
//
// With Still the bank holds points y of a given law ν in place of particles of 𝔓_w, and
// the loop learns the Monge maps between ν and ρ: ∇w* from ν to ρ, ∇w back.
//
// With Conditional it learns the laws of x given contexts c. Every particle then stands
// beside a row (x, c) of the data and lives under w(·; c): the minibatches of particles, of
// conjugates and of the data have the same contexts, row by row. Otherwise parts of w that
// depend on c alone would not cancel in the loss, which would have no minimum.
//
// Reference: Vesseron, Béthune, Cuturi, "Sample and Map from a Single Convex
// Potential: Generation using Conjugate Moment Measures", NeurIPS 2025.
type CMFGen struct {
	Potential potential.Potential
	Objective Objective
	Data      Source
	Sampler   sampling.Langevin
	Conjugate conjugate.Solver
	Adam      optim.Adam

	// Sinkhorn finds the plan of BatchBarycentre; Hessian finds the rows of BatchSolved.
	Sinkhorn transport.Sinkhorn
	Hessian  conjugate.HessianSolver

	// Guess writes guesses of the conjugates of y into x, both (b, d). The solves
	// start there; a row whose guess is not finite starts at the particle's last
	// solution, as all rows do when Guess is nil.
	Guess func(y, x blas32.General) error

	// Noise is the potential that the particles sample. nil means Potential, which
	// gives the conjugate moment measure. A potential.Carried of Potential gives that
	// of another inner product; ½|y|² gives the plain ICNN map from N(0, I).
	Noise potential.Potential

	// Still leaves the particles where they are: the bank is a sample of a given law, and
	// minibatches only walk through it. Sampler, Noise, Langevin and MaxVirial are not used.
	Still bool

	// Langevin steps each iteration; 0 means 5.
	Langevin int

	// MaxVirial is the largest Virial of sampling.Info, which is 1 at equilibrium: a
	// minibatch above it has run away. 0 means 10.
	MaxVirial float64

	// MeanHessian estimates the mean of ∇²w over a batch. Its inverse preconditions
	// the sampler and the conjugate solve, and is renewed every Renew iterations
	// (0 means 20). nil means no preconditioner.
	MeanHessian func(x blas32.General) (*mat.SymDense, error)
	Renew       int

	// Conditional is w(x; c), for data with contexts: Data then fills rows (x, c) of d + k
	// columns, State is of NewConditionalState, and Potential is set in every step, to w
	// at the contexts of the minibatch. The preconditioner is always the mean Hessian over
	// points and contexts; Guess and MeanHessian are not used.
	Conditional potential.Conditional

	// Visits of its minibatch after which a particle takes a fresh row of the data; 0 means 2.
	Visits int

	// Ranks are processes that train together, each with a Data and a State of its own; nil
	// for one process. Its Size is the same in all steps.
	Ranks *Ranks

	State *CMFGenState
}

// CMFGenState is all that changes from step to step.
type CMFGenState struct {
	Step     int
	Bank     *sampling.Chains // y_j, (n, d)
	Partners blas32.General   // x̂_j, (n, d)
	Given    *ContextState    // rows of the data beside the particles of a Conditional; otherwise nil
	Next     int              // first row of the next minibatch of the bank
	Adam     optim.AdamState
	Stream   *random.Stream

	// How divergence is counted and met. A checkpoint must hold it too, so that a run
	// that goes wrong repeats to the same bits.
	Failures int                  // batches skipped in a row up to now
	Halvings int                  // how often the learning rate was halved for skipped batches
	Stuck    int                  // iterations in a row whose particles ran away or did not move
	Restores int                  // returns to the last good weights so far
	Level    float64              // |loss| of the first iteration
	Good     map[string][]float32 // the last good weights by name

	preconditioner *potential.Preconditioner
	index          []int           // the rows of the minibatch of the bank
	moved          sampling.Chains // the minibatch of the bank
	x              blas32.General  // the minibatch of the data

	info CMFGenInfo // of the iteration that is being made
	made made       // its batches

	// Memory of kinds of batches.
	guess    blas32.General // (b, d)
	cost     blas32.General // (b, b)
	matching transport.Matching
}

// NewCMFGenState starts from n particles y and guesses of their conjugates, both of
// shape (n, d). A minibatch has size particles; size must divide n.
func NewCMFGenState(y, partners blas32.General, size int, stream *random.Stream) (*CMFGenState, error) {
	if size > 0 && y.Rows%size != 0 {
		return nil, fmt.Errorf("solvers: minibatches of %d from a bank of %d particles; the size must be a positive divisor of the bank's", size, y.Rows)
	}
	return NewStillState(y, partners, size, stream)
}

// NewStillState is NewCMFGenState for points y that stand still. A minibatch may have any
// size from 1 to n; one that reaches the end of the bank goes on at its beginning.
func NewStillState(y, partners blas32.General, size int, stream *random.Stream) (*CMFGenState, error) {
	switch {
	case size < 1 || y.Rows < size:
		return nil, fmt.Errorf("solvers: minibatches of %d from a bank of %d particles; the size must be from 1 to the bank's", size, y.Rows)
	case partners.Rows != y.Rows || partners.Cols != y.Cols:
		return nil, fmt.Errorf("solvers: %d particles of dimension %d with partners of shape (%d, %d); the shapes must be equal", y.Rows, y.Cols, partners.Rows, partners.Cols)
	}
	bank, err := sampling.NewChains(y)
	if err != nil {
		return nil, err
	}
	s := &CMFGenState{
		Bank: bank, Stream: stream, Partners: batch.New(y.Rows, y.Cols),
		x: batch.New(size, y.Cols),
	}
	batch.Copy(s.Partners, partners)
	return s, nil
}

// CMFGenInfo describes one iteration. With Ranks the loss and the acceptance are means over
// ranks, Masked and the restarted particles sums, and the rest is of this rank.
type CMFGenInfo struct {
	Loss      float64
	Terms     map[string]float64
	Adam      optim.AdamInfo
	Langevin  sampling.Info
	Conjugate conjugate.Info
	Masked    int                // rows whose conjugate is not usable
	Numbers   map[string]float64 // logged by kinds of batches; the map holds until the next Step
	RanAway   bool               // the minibatch of the bank was put back on the data's image
	Skipped   bool               // the batch went wrong
	Restored  bool               // the weights are the last good ones again
}

// Step makes one iteration. After an error that wraps ErrDiverged the weights are the
// last good ones; training may go on from them with other options.
func (c *CMFGen) Step() (CMFGenInfo, error) {
	s, weights := c.State, c.Objective.Weights()
	s.remember(weights)
	s.info = CMFGenInfo{Numbers: s.made.begin()}

	err := c.makeBatches(&s.info) // 1. to 3.
	// 4. θ ← project(Adam(∇L))
	err = s.descend(err, c.Objective, c.Adam, c.Ranks, &s.info)

	err = s.settle(err, c.Sampler.Adjusted && !c.Still, weights, &s.info)
	return s.info, err
}

func (c *CMFGen) makeBatches(info *CMFGenInfo) error {
	s := c.State
	if err := c.renewPreconditioner(); err != nil {
		return err
	}
	index := s.minibatch()
	if err := c.meetContexts(index); err != nil {
		return err
	}

	// 1. y ~ 𝔓_w
	if err := s.Bank.Gather(&s.moved, index); err != nil {
		return err
	}
	if !c.Still {
		if err := c.moveParticles(index, info); err != nil {
			return err
		}
	}

	// 2. x ~ ρ
	if err := c.drawPoints(index); err != nil {
		return err
	}

	// 3. x̂ = ∇w*(y), and whatever else the loss asks for
	return c.makeInputs()
}
