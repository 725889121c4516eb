package solvers

import (
	"errors"
	"fmt"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// checkGroups makes sure that the particles of model, and walkers beside them, stand in groups
// of one context.
func checkGroups(model *CMFGenState, groups, own, walk int, walkers blas32.General) error {
	contexts, size := model.Given.Contexts, model.x.Rows/groups
	if model.x.Rows%groups != 0 || own > size {
		return fmt.Errorf("solvers: minibatches of %d particles for %d contexts with %d points of the model each; there must be a particle for each point, and as many for each context", model.x.Rows, groups, own)
	}
	if want := contexts.Rows / size * walk; walkers.Rows != want {
		return fmt.Errorf("solvers: %d walkers beside %d particles; there must be %d for each group of %d particles, %d in all", walkers.Rows, contexts.Rows, walk, size, want)
	}
	for i := range contexts.Rows {
		for k, v := range batch.Row(contexts, i) {
			if v != batch.Row(contexts, i-i%size)[k] {
				return fmt.Errorf("solvers: particle %d has another context than particle %d; each %d in a row must share one", i+1, i-i%size+1, size)
			}
		}
	}
	return nil
}

// meetContexts makes Potential and Energy those of the contexts of the minibatch.
func (c *CMFMA) meetContexts(index []int) (err error) {
	s := c.State
	k := 0
	if s.Given != nil {
		k = s.Given.Contexts.Cols
	}
	switch {
	case k == 0 && c.Conditional == nil && c.EnergyGiven == nil:
		return nil
	case k == 0 || c.Conditional == nil || c.EnergyGiven == nil || c.Conditional.Contexts() != k || c.EnergyGiven.Contexts() != k:
		return errors.New("solvers: CMFMA with contexts needs a Conditional, an EnergyGiven and a state whose particles have contexts, of the same number of columns")
	}
	if c.Potential, err = c.Conditional.Given(batch.Gathered(s.Given.Contexts, index)); err != nil {
		return err
	}
	rows, size := s.points.Rows/s.groups, len(index)/s.groups
	for i := range s.points.Rows {
		copy(batch.Row(s.contexts, i), batch.Row(s.Given.Contexts, index[i/rows*size]))
	}
	c.Energy, err = c.EnergyGiven.Given(s.contexts)
	return err
}

// takeWalkers gives half of the particles of the minibatch, by turns, the walkers of their
// context: y = ∇w(x; c), x̂ = x. A particle is met too seldom to follow a potential that changes;
// once w is learned, y has the law 𝔓_{w(·; c)}.
func (c *CMFMA) takeWalkers(index []int) error {
	const visits = 2
	s, b := c.State, len(index)
	if s.Given == nil || s.Walkers == nil {
		return nil
	}
	size, visit := b/s.groups, s.Step*b/s.Bank.Y.Rows%visits
	index = index[visit*b/visits : (visit+1)*b/visits]
	walkers := make([]int, len(index))
	for k, i := range index {
		walkers[k] = i/size*s.walk + i%size%s.walk
	}
	w, err := c.Conditional.Given(batch.Gathered(s.Given.Contexts, index))
	if err != nil {
		return err
	}
	x := batch.Gathered(s.Walkers.Y, walkers)
	y := batch.New(x.Rows, x.Cols)
	if err := w.Eval(x, nil, y); err != nil {
		return fmt.Errorf("solvers: images of walkers: %w", err)
	}
	batch.Scatter(s.Bank.Y, y, index)
	batch.Scatter(s.Partners, x, index)
	return nil
}

// meetWalkers gathers the walkers of the contexts of the minibatch, and lists them, with their
// energy. Without contexts these are all, and there is no list.
func (c *CMFMA) meetWalkers(index []int) (walking []int, e Energy, err error) {
	s := c.State
	if s.Given == nil {
		return nil, c.Energy, nil
	}
	size := len(index) / s.groups
	contexts := batch.New(s.groups*s.walk, s.Given.Contexts.Cols)
	for i := range contexts.Rows {
		first := index[i/s.walk*size]
		walking = append(walking, first/size*s.walk+i%s.walk)
		copy(batch.Row(contexts, i), batch.Row(s.Given.Contexts, first))
	}
	if err := s.Walkers.Gather(s.moving, walking); err != nil {
		return nil, nil, err
	}
	s.moving.Fresh = false
	e, err = c.EnergyGiven.Given(contexts)
	return walking, e, err
}

// meanHessian is the mean Hessian over the points x of the minibatch.
func (c *CMFMA) meanHessian(x blas32.General) (*mat.SymDense, error) {
	if c.Conditional == nil {
		return c.MeanHessian(x)
	}
	w, ok := c.Potential.(potential.Curved)
	if !ok {
		return nil, fmt.Errorf("solvers: a potential given contexts without Hessian–vector products")
	}
	return potential.MeanHessian(w, x)
}
