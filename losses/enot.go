package losses

import (
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// expectile is τ of ENOT.
const expectile = .99

// ENOT is the expectile regulariser of the dual potentials,
//
//	L = Σ_j m_j·ℓ_τ(⟨x_j,y_j⟩ − w(x_j) − w*(y_j)),  w*(y_j) = ⟨x̂_j,y_j⟩ − w(x̂_j)
//	ℓ_τ(δ) = |τ − 1[δ < 0]|·δ²,  τ = .99
//
// over independent pairs of data x_j and Gibbs samples y_j, with mask weights
// m. δ > 0 violates Fenchel–Young: the conjugate solve stopped too early, and
// w(x_j) is raised at once. δ < 0 is the gap that every pair other than (x̂, y)
// has. Its small weight draws the potentials close, which keeps them from
// drifting where no pair binds them, but also biases them. Use it beside dual,
// as in dual+enot; the authors' factors are .3 to 1.
//
// Buzun, Bobrin, Dylov, "ENOT: Expectile Regularization for Fast and Accurate
// Training of Neural Optimal Transport", NeurIPS 2024. They write two terms,
// each with one potential held fixed; with x̂ fixed the sum of their gradients
// is the gradient of L.
type ENOT struct{}

// Name is "enot".
func (ENOT) Name() string { return "enot" }

// Inputs are the data, the Gibbs samples, their conjugates and the mask.
func (ENOT) Inputs() []*solvers.Kind {
	return []*solvers.Kind{solvers.BatchData, solvers.BatchGibbs, solvers.BatchConjugate, solvers.BatchMask}
}

// Declare declares L.
func (ENOT) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	x, y, xhat := batch(solvers.BatchData), batch(solvers.BatchGibbs), batch(solvers.BatchConjugate)
	inner := s.SumCols(s.Mul(s.Sub(x, xhat), y))
	delta := s.Add(s.Sub(inner, w.Value(s, x)), w.Value(s, xhat))
	over := s.Scale(expectile, s.Square(s.Relu(delta)))
	under := s.Scale(1-expectile, s.Square(s.Relu(s.Scale(-1, delta))))
	return s.MatMul(batch(solvers.BatchMask), true, s.Add(over, under), false)
}
