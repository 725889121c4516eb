package losses

import (
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// Dual is the semi-dual of optimal transport from the data to the Gibbs factor,
//
//	L = mean_i w(x_i) + Σ_j m_j·(⟨x̂_j, y_j⟩ − w(x̂_j)),  x̂_j = ∇w*(y_j)
//
// with mask weights m. By the envelope theorem its gradient in θ, with y and x̂
// held fixed, is E_data[∂w] − E_generated[∂w]. Where the network is φ = w* the
// roles of data and noise are exchanged: L = mean_i w(x_i) + Σ_j m_j·φ(y_j), and
// the gradient is E_noise[∂φ(y)] − E_data[∂φ(∇w(x))] with ∇w(x) held fixed.
type Dual struct{}

// Name is "dual".
func (Dual) Name() string { return "dual" }

// Inputs are the data, the Gibbs samples, their conjugates and the mask.
func (Dual) Inputs() []*solvers.Kind {
	return []*solvers.Kind{solvers.BatchData, solvers.BatchGibbs, solvers.BatchConjugate, solvers.BatchMask}
}

// Declare declares L.
func (Dual) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	if c, ok := w.(*layers.Conjugate); ok {
		conjugate := c.Conjugate().Value(s, batch(solvers.BatchGibbs))
		return s.Add(s.Mean(c.ValueAtSolution(s, batch(solvers.BatchData))), s.MatMul(batch(solvers.BatchMask), true, conjugate, false))
	}
	xhat := batch(solvers.BatchConjugate)
	inner := s.SumCols(s.Mul(xhat, batch(solvers.BatchGibbs)))
	conjugate := s.Sub(inner, w.Value(s, xhat)) // w*(y_j)
	return s.Add(s.Mean(w.Value(s, batch(solvers.BatchData))), s.MatMul(batch(solvers.BatchMask), true, conjugate, false))
}
