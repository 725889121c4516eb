package layers

import (
	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// Gradient declares ∇w(x), shape (n, d), as an explicit network:
//
//	γ_L = c,  γ_{l−1} = Σ_p δ_{l,p}·W_{l,p}ᵀ
//	δ_{l,1} = σ(u_l) ⊙ γ_l,  δ_{l,2} = (1 − σ(u_l)) ⊙ γ_l
//	∇w = Σ_{l,p} [δ·Bᵀ + x ⊙ (δ·dᵀ) + Σ_r (δ ⊙ x·A_r)·A_rᵀ] + ∇Q + ∇K
//
// What comes from a layer that resizes x goes back through the adjoint of that.
func (m *ICNN) Gradient(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	f := m.forward(s, x)
	m.backward(s, f)
	g := s.Add(m.quadratic(s, s.Sub(x, s.Param(m.Center))), s.Param(m.Linear))
	for _, k := range m.Knots {
		g = s.Add(g, k.gradient(s, x))
	}
	for l, layer := range m.Layers {
		view, sum := layer.view(s, x), layer.first(g)
		for p, piece := range layer {
			delta := f.delta[l][p]
			sum = plus(s, sum, piece.skippedBack(s, delta, piece.Skip))
			if piece.Diag != nil {
				sum = s.Add(sum, s.Mul(view, piece.skippedBack(s, delta, piece.Diag)))
			}
			for r, a := range piece.Ranks {
				sum = s.Add(sum, piece.skippedBack(s, s.Mul(delta, f.ranks[l][p][r]), a))
			}
		}
		g = layer.last(s, g, sum)
	}
	return g
}

// first is the sum to which a layer adds its part of a gradient: g itself, the sum
// of those before it, or nil where the layer resizes x. Then it has a sum of its own.
func (l Layer) first(g *gorgonia.Node) *gorgonia.Node {
	if l.resizes() {
		return nil
	}
	return g
}

// last is g with the part of the layer, given the sum that first began.
func (l Layer) last(s *graph.Scope, g, sum *gorgonia.Node) *gorgonia.Node {
	if l.resizes() {
		return s.Add(g, s.ResizeTransposed(*l[0].over.resize, sum))
	}
	return sum
}

// plus is x + y, or y where x is nil.
func plus(s *graph.Scope, x, y *gorgonia.Node) *gorgonia.Node {
	if x == nil {
		return y
	}
	return s.Add(x, y)
}

// backward declares the way from c back to all δ.
func (m *ICNN) backward(s *graph.Scope, f *flow) {
	last := len(m.Layers) - 1
	f.sigma = make([]*gorgonia.Node, last+1)
	f.gamma = make([]*gorgonia.Node, last+1)
	f.delta = make([][]*gorgonia.Node, last+1)
	for l := last; l >= 0; l-- {
		sigma := s.Sigmoid(f.u[l])
		f.sigma[l] = sigma
		if l == last {
			f.gamma[l] = s.MatMul(s.Ones(1, 1), false, s.Param(m.Out), true) // cᵀ, (1, h)
		} else {
			f.gamma[l] = m.below(s, l+1, f.delta[l+1])
		}
		f.gamma[l] = m.gated(s, l, f.gamma[l], 1)
		f.delta[l] = append(f.delta[l], s.Mul(sigma, f.gamma[l]))
		if len(m.Layers[l]) > 1 {
			f.delta[l] = append(f.delta[l], s.Mul(s.Affine(-1, sigma, 1), f.gamma[l]))
		}
	}
}

// below is γ_{l−1} = Σ_p δ_{l,p}·W_{l,p}ᵀ.
func (m *ICNN) below(s *graph.Scope, l int, delta []*gorgonia.Node) (gamma *gorgonia.Node) {
	for p, piece := range m.Layers[l] {
		gamma = plus(s, gamma, piece.weighedBack(s, delta[p]))
	}
	return gamma
}
