package losses

import (
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// Pairs fits the Monge map to the pairs of a discrete optimal transport between
// a batch of data and a batch of Gibbs samples,
//
//	L = mean_i ‖∇w(x_i) − y_σ(i)‖²
//
// Minibatch transport biases it in high dimension.
type Pairs struct{}

// Name is "pairs".
func (Pairs) Name() string { return "pairs" }

// Inputs are the data and their partners.
func (Pairs) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData, solvers.BatchPaired} }

// Declare declares L.
func (Pairs) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	r := s.Sub(w.Gradient(s, batch(solvers.BatchData)), batch(solvers.BatchPaired))
	return s.Mean(s.SumCols(s.Square(r)))
}
