package solvers

import (
	"cmp"
	"errors"
	"fmt"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// ContextState is what the bank of a Conditional has besides particles: each particle y_j
// stands beside a row (x_j, c_j) of the data, and lives under w(·; c_j).
type ContextState struct {
	Points   blas32.General // x_j, (n, d)
	Contexts blas32.General // c_j, (n, k)

	contexts blas32.General // of the minibatch, (b, k)
	fresh    blas32.General // rows of the data, (·, d + k)
}

// NewConditionalState is NewCMFGenState for a Conditional. Particle y_j and its conjugate
// stand beside the point x_j of the data, (n, d), with the context c_j, (n, k).
func NewConditionalState(points, contexts, y, partners blas32.General, size int, stream *random.Stream) (*CMFGenState, error) {
	if err := batch.CheckSameShape("the points", points, "their particles", y); err != nil {
		return nil, fmt.Errorf("solvers: %w", err)
	}
	if err := batch.Check("the contexts", contexts); err != nil {
		return nil, fmt.Errorf("solvers: %w", err)
	}
	if contexts.Rows != points.Rows || contexts.Cols < 1 {
		return nil, fmt.Errorf("solvers: %d points with contexts of shape (%d, %d); each point needs one, of one column or more", points.Rows, contexts.Rows, contexts.Cols)
	}
	s, err := NewCMFGenState(y, partners, size, stream)
	if err != nil {
		return nil, err
	}
	s.Given = &ContextState{Points: batch.New(y.Rows, y.Cols), Contexts: batch.New(y.Rows, contexts.Cols)}
	batch.Copy(s.Given.Points, points)
	batch.Copy(s.Given.Contexts, contexts)
	return s, nil
}

// ContextsOf is the kind of batch that has the context of each row, of k columns. The rows
// of all other batches share them.
func ContextsOf(k int) *Kind {
	copied := func(dst, contexts blas32.General) error {
		if contexts.Cols != dst.Cols {
			return fmt.Errorf("the state has no contexts of %d columns", dst.Cols)
		}
		batch.Copy(dst, contexts)
		return nil
	}
	return &Kind{
		Name: "context", Columns: k,
		CMFGen: func(c *CMFGen, dst blas32.General) error {
			if c.State.Given == nil {
				return copied(dst, blas32.General{})
			}
			return copied(dst, c.State.Given.contexts)
		},
		CMFMA: func(c *CMFMA, dst blas32.General) error { return copied(dst, c.State.contexts) },
	}
}

// meetContexts makes Potential that of the contexts of the minibatch, after some of its
// particles have taken fresh rows of the data.
func (c *CMFGen) meetContexts(index []int) (err error) {
	g := c.State.Given
	switch {
	case c.Conditional == nil:
		return nil
	case g == nil || c.Still || g.Contexts.Cols != c.Conditional.Contexts():
		return errors.New("solvers: a Conditional needs a state of NewConditionalState with contexts of its size, and particles that move")
	}
	if err := c.takeRows(index); err != nil {
		return err
	}
	g.contexts = batch.Reshaped(g.contexts, len(index), g.Contexts.Cols)
	batch.Gather(g.contexts, g.Contexts, index)
	c.Potential, err = c.Conditional.Given(g.contexts)
	return err
}

// takeRows gives a part of the minibatch fresh rows (x, c) of the data, such that a particle
// has a new one at every Visits-th visit. It starts there at y = ∇w(x; c), x̂ = x: once w is
// learned, y has the law 𝔓_{w(·; c)}. Noise without contexts stays where it is.
func (c *CMFGen) takeRows(index []int) error {
	s, g, b, visits := c.State, c.State.Given, len(index), cmp.Or(c.Visits, 2)
	visit := s.Step * b / s.Bank.Y.Rows % visits
	index = index[visit*b/visits : (visit+1)*b/visits]
	if len(index) == 0 {
		return nil
	}
	d := g.Points.Cols
	g.fresh = batch.Reshaped(g.fresh, len(index), d+g.Contexts.Cols)
	if err := c.Data.Next(g.fresh); err != nil {
		return err
	}
	x, contexts := columns(g.fresh, 0, d), columns(g.fresh, d, g.fresh.Cols)
	batch.Scatter(g.Points, x, index)
	batch.Scatter(g.Contexts, contexts, index)
	batch.Scatter(s.Partners, x, index)
	if c.Noise != nil {
		return nil
	}
	w, err := c.Conditional.Given(contexts)
	if err != nil {
		return err
	}
	y := batch.New(len(index), d)
	if err := w.Eval(x, nil, y); err != nil {
		return fmt.Errorf("solvers: images of fresh rows of the data: %w", err)
	}
	batch.Scatter(s.Bank.Y, y, index)
	return nil
}

// columns are the columns lo to hi−1 of b, in the memory of b.
func columns(b blas32.General, lo, hi int) blas32.General {
	return blas32.General{Rows: b.Rows, Cols: hi - lo, Stride: b.Stride, Data: b.Data[lo:]}
}

// drawPoints fills the minibatch of the data: with the next rows, or with those that stand
// beside the particles.
func (c *CMFGen) drawPoints(index []int) error {
	s := c.State
	if c.Conditional == nil {
		return c.Data.Next(s.x)
	}
	batch.Gather(s.x, s.Given.Points, index)
	return nil
}

// renewGivenPreconditioner is renewPreconditioner for a Conditional.
func (c *CMFGen) renewGivenPreconditioner() error {
	s, g := c.State, c.State.Given
	if g == nil || s.preconditioner != nil && s.Step%cmp.Or(c.Renew, 20) != 0 {
		return nil
	}
	index := s.ahead()
	contexts := batch.Gathered(g.Contexts, index)
	w, err := c.Conditional.Given(batch.Stacked(contexts, contexts))
	if err != nil {
		return err
	}
	h, err := c.Ranks.meanHessian(potential.MeanHessian(w, batch.Stacked(batch.Gathered(g.Points, index), batch.Gathered(s.Partners, index))))
	if err != nil {
		return fmt.Errorf("solvers: renewing the preconditioner: %w", err)
	}
	return s.precondition(h)
}
