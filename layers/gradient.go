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
func (m *ICNN) Gradient(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	f := m.forward(s, x)
	m.backward(s, f)
	g := s.Add(m.quadratic(s, s.Sub(x, s.Param(m.Center))), s.Param(m.Linear))
	for _, k := range m.Knots {
		g = s.Add(g, k.gradient(s, x))
	}
	for l, layer := range m.Layers {
		for p, piece := range layer {
			delta := f.delta[l][p]
			g = s.Add(g, s.MatMul(delta, false, piece.skip(s), true))
			if piece.Diag != nil {
				g = s.Add(g, s.Mul(x, s.MatMul(delta, false, s.Param(piece.Diag), true)))
			}
			for r, a := range piece.Ranks {
				g = s.Add(g, s.MatMul(s.Mul(delta, f.ranks[l][p][r]), false, s.Param(a), true))
			}
		}
	}
	return g
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
		f.delta[l] = append(f.delta[l], s.Mul(sigma, f.gamma[l]))
		if len(m.Layers[l]) > 1 {
			f.delta[l] = append(f.delta[l], s.Mul(s.Affine(-1, sigma, 1), f.gamma[l]))
		}
	}
}

// below is γ_{l−1} = Σ_p δ_{l,p}·W_{l,p}ᵀ.
func (m *ICNN) below(s *graph.Scope, l int, delta []*gorgonia.Node) (gamma *gorgonia.Node) {
	for p, piece := range m.Layers[l] {
		g := s.MatMul(delta[p], false, piece.weigh(s), true)
		if gamma == nil {
			gamma = g
		} else {
			gamma = s.Add(gamma, g)
		}
	}
	return gamma
}
