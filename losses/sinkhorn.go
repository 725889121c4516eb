package losses

import (
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// Sinkhorn fits the Monge map to the barycentric projection of an entropic
// optimal transport plan P between a batch of data and a batch of Gibbs samples,
//
//	L = mean_i ‖∇w(x_i) − ȳ_i‖²,  ȳ_i = Σ_j P_ij·y_j / Σ_j P_ij
//
// ȳ averages over several partners, so it varies less with the batch than the partners in
// Pairs. It is closer to the mean of y, because entropy shrinks it towards that.
// Pooladian and Niles-Weed, "Entropic estimation of optimal transport maps",
// arXiv 2109.12004, 2021, study this estimate of the Monge map.
type Sinkhorn struct{}

// Name is "sinkhorn".
func (Sinkhorn) Name() string { return "sinkhorn" }

// Inputs are the data and the barycentres of their partners.
func (Sinkhorn) Inputs() []*solvers.Kind {
	return []*solvers.Kind{solvers.BatchData, solvers.BatchBarycentre}
}

// Declare declares L.
func (Sinkhorn) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	r := s.Sub(w.Gradient(s, batch(solvers.BatchData)), batch(solvers.BatchBarycentre))
	return s.Mean(s.SumCols(s.Square(r)))
}
