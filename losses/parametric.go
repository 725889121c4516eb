package losses

import (
	"fmt"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// Parametric is a term with its own weights besides the potential's. They are trained,
// averaged and kept in checkpoints like those.
type Parametric interface {
	Term

	// Bind returns the term with new weights of w's element type.
	Bind(w layers.Potential) (Parametric, error)

	// Params are the weights of a bound term. Their names begin with the term's.
	Params() *graph.Params
}

// Predictor is a Parametric term that predicts conjugates.
type Predictor interface {
	Parametric

	// Predict declares a guess of ∇w*(y_j), shape (n, d). The conjugate solves start
	// there.
	Predict(s *graph.Scope, y *gorgonia.Node) *gorgonia.Node
}

// bind gives every Parametric term its weights.
func (l Sum) bind(w layers.Potential) (Sum, error) {
	bound := make(Sum, len(l))
	for i, t := range l {
		bound[i] = t
		p, ok := t.Term.(Parametric)
		if !ok {
			continue
		}
		own, err := p.Bind(w)
		if err != nil {
			return nil, fmt.Errorf("term %q: %w", t.Term.Name(), err)
		}
		bound[i].Term = own
	}
	return bound, nil
}

// params are the trained weights of a bound sum's terms.
func (l Sum) params() []*graph.Param {
	var own []*graph.Param
	for _, t := range l {
		if p, ok := t.Term.(Parametric); ok {
			own = append(own, p.Params().Trained()...)
		}
	}
	return own
}

// Guess writes the prediction of ∇w*(y_j) into the rows of x, both of the
// objective's batch shape (n, d). It is nil if no term predicts.
func (o *Objective) Guess() func(y, x blas32.General) error {
	if o.guess == nil {
		return nil
	}
	return func(y, x blas32.General) error {
		in, out := o.guess.In(solvers.BatchGibbs.Name).General(), o.guess.Out(solvers.BatchConjugate.Name)
		for _, b := range []blas32.General{y, x} {
			if b.Rows != in.Rows || b.Cols != in.Cols {
				return fmt.Errorf("losses: predicting conjugates in batches of (%d, %d) and (%d, %d); the loss is compiled for (%d, %d)", y.Rows, y.Cols, x.Rows, x.Cols, in.Rows, in.Cols)
			}
		}
		batch.Copy(in, y)
		if err := o.guess.Run(); err != nil {
			return fmt.Errorf("losses: predicting conjugates: %w", err)
		}
		batch.Copy(x, out.General())
		return nil
	}
}

// predictor compiles the first Predictor of the bound sum for n rows of dimension d. It is
// nil if there is none.
func (l Sum) predictor(w layers.Potential, n int) (*graph.Program, error) {
	for _, t := range l {
		if p, ok := t.Term.(Predictor); ok {
			s := graph.NewScope(w.Params().Dtype())
			return s.Compile(map[string]*gorgonia.Node{solvers.BatchConjugate.Name: p.Predict(s, s.Input(solvers.BatchGibbs.Name, n, w.Dim()))})
		}
	}
	return nil, nil
}
