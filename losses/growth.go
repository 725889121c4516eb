package losses

import (
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// Growth keeps w growing beyond the data at least as fast as within it, along
// the rays from the data's mean x̄,
//
//	L = Σ_i relu(a_i − b_i)² / Σ_i a_i²,  Δ_i = x_i − x̄
//	a_i = ⟨∇w(x_i) − ∇w(x̄), Δ_i⟩,  b_i = ⟨∇w(x̄ + κΔ_i) − ∇w(x_i), Δ_i⟩/(κ−1),  κ = 1.5
//
// a_i/‖Δ_i‖² is the mean radial curvature of w from x̄ to x_i, and b_i/‖Δ_i‖²
// is its mean from x_i to half as far again. L is dimensionless, and 0 for any
// quadratic. It weighs points by a_i², so mostly the outermost ones count.
//
// The reason: the data does not say how w grows beyond it. The hinges are straight there,
// so the curvature falls to that of the outer quadratic, which is only a fraction of it.
// The tails of 𝔓_w widen, and ∇w*, whose slope is the inverse curvature, throws their
// samples far out. Since −log ρ ~ |x|^r implies w ~ |x|^p with p(p−1) = r, the curvature
// of w along a ray is constant for Gaussian tails and grows for lighter ones; L penalises
// only a fall of it. For tails heavier than a Gaussian's the curvature should fall, and
// this term is a bias.
type Growth struct{}

// beyond is κ of Growth.
const beyond = 1.5

// Name is "growth".
func (Growth) Name() string { return "growth" }

// Inputs are the data.
func (Growth) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData} }

// Declare declares L.
func (Growth) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	x := batch(solvers.BatchData)
	if s.Err != nil {
		return nil
	}
	center := s.Scale(1/float64(x.Shape()[0]), s.SumRows(x))
	delta := s.Sub(x, center)
	edge := w.Gradient(s, x)
	along := func(g *gorgonia.Node) *gorgonia.Node { return s.SumCols(s.Mul(g, delta)) }
	within := along(s.Sub(edge, w.Gradient(s, center)))
	outside := along(s.Sub(w.Gradient(s, s.Add(center, s.Scale(beyond, delta))), edge))
	lack := s.Relu(s.Sub(within, s.Scale(1/(beyond-1), outside)))
	return s.Mul(s.Sum(s.Square(lack)), s.Reciprocal(s.Sum(s.Square(within))))
}
