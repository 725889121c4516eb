package losses

import (
	"fmt"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// Penalty replaces the projection of an ICNN's hidden weights W_l onto ≥ 0,
//
//	L = Σ_l ‖relu(−W_l)‖²
//
// and its factor is its strength. In a loss with this term W_l may fall below 0, and w is
// only nearly convex: the checks of convexity that a run reports say how nearly. The output
// weights, the quadratic's and those of quadratic skips stay projected, because a negative
// one would make w concave along a direction at once. It might even be unbounded below, and
// then neither 𝔓_w nor w* is defined.
//
// Makkuva, Taghvaei, Oh, Lee, "Optimal transport mapping via input convex
// neural networks", ICML 2020, section 4, relax the conjugate's network in this
// way.
type Penalty struct{}

// Name is "penalty".
func (Penalty) Name() string { return "penalty" }

// Inputs are empty.
func (Penalty) Inputs() []*solvers.Kind { return nil }

// Declare declares L. A potential that is not an ICNN of at least two hidden
// layers is an error: there is no W_l.
func (p Penalty) Declare(s *graph.Scope, w layers.Potential, _ func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	hidden := p.relaxes(w)
	if len(hidden) == 0 && s.Err == nil {
		s.Err = fmt.Errorf("losses: %T has no hidden weights W_l to penalise; use an ICNN of two or more hidden layers", w)
	}
	var loss *gorgonia.Node
	for _, v := range hidden {
		l := s.Sum(s.Square(s.Relu(s.Scale(-1, s.Param(v)))))
		if loss == nil {
			loss = l
		} else {
			loss = s.Add(loss, l)
		}
	}
	return loss
}

// relaxes lists the weights W_l of w, which are not projected in a loss with this term.
func (Penalty) relaxes(w layers.Potential) []*graph.Param {
	m, ok := w.(*layers.ICNN)
	if !ok {
		return nil
	}
	var hidden []*graph.Param
	for _, layer := range m.Layers {
		for _, piece := range layer {
			if piece.Weigh != nil {
				hidden = append(hidden, piece.Weigh)
			}
		}
	}
	return hidden
}

// relaxes lists the weights that a Penalty in the sum frees from projection.
func (l Sum) relaxes(w layers.Potential) []*graph.Param {
	for _, t := range l {
		if p, ok := t.Term.(Penalty); ok {
			return p.relaxes(w)
		}
	}
	return nil
}
