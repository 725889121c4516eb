package layers

import (
	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// HessVec declares ∇²w(x)·v, the derivative of Gradient along v. Writing ȧ for the
// derivative of a along v,
//
//	ż = σ(u) ⊙ ȧ₁ + (1 − σ(u)) ⊙ ȧ₂
//	δ̇₁ = γ ⊙ σ′(u) ⊙ u̇ + σ(u) ⊙ γ̇,  δ̇₂ = γ̇ − δ̇₁
func (m *ICNN) HessVec(s *graph.Scope, x, v *gorgonia.Node, k int) *gorgonia.Node {
	f := m.forward(s, x)
	m.backward(s, f)
	tile := func(n *gorgonia.Node) *gorgonia.Node { return tiled(s, k, n) }
	xs := tile(x)
	along := m.forwardAlong(s, f, xs, v, k)
	dd := m.backwardAlong(s, f, along.u, k)

	hv := m.quadratic(s, v)
	for _, k := range m.Knots {
		hv = s.Add(hv, s.Mul(tile(k.curvature(s, x)), v))
	}
	for l, layer := range m.Layers {
		xs, v, sum := layer.view(s, xs), layer.view(s, v), layer.first(hv)
		for p, piece := range layer {
			delta, dd := f.delta[l][p], dd[l][p]
			sum = plus(s, sum, piece.skippedBack(s, dd, piece.Skip))
			if piece.Diag != nil {
				sum = s.Add(sum, s.Mul(v, tile(piece.skippedBack(s, delta, piece.Diag))))
				sum = s.Add(sum, s.Mul(xs, piece.skippedBack(s, dd, piece.Diag)))
			}
			for r, a := range piece.Ranks {
				both := s.Add(s.Mul(dd, tile(f.ranks[l][p][r])), s.Mul(tile(delta), along.ranks[l][p][r]))
				sum = s.Add(sum, piece.skippedBack(s, both, a))
			}
		}
		hv = layer.last(s, hv, sum)
	}
	return hv
}

// forwardAlong declares the derivatives of u and x·A_r along v.
func (m *ICNN) forwardAlong(s *graph.Scope, f *flow, xs, v *gorgonia.Node, k int) *flow {
	tile := func(n *gorgonia.Node) *gorgonia.Node { return tiled(s, k, n) }
	along := &flow{ranks: make([][][]*gorgonia.Node, len(m.Layers))}
	var below []*gorgonia.Node // ȧ of the layer below
	for l, layer := range m.Layers {
		along.ranks[l] = make([][]*gorgonia.Node, len(layer))
		xs, v := layer.view(s, xs), layer.view(s, v)
		as := make([]*gorgonia.Node, len(layer))
		for p, piece := range layer {
			da := piece.skipped(s, v, piece.Skip)
			if piece.Diag != nil {
				da = s.Add(da, piece.skipped(s, s.Mul(xs, v), piece.Diag))
			}
			for r, a := range piece.Ranks {
				va := piece.skipped(s, v, a)
				along.ranks[l][p] = append(along.ranks[l][p], va)
				da = s.Add(da, s.Mul(tile(f.ranks[l][p][r]), va))
			}
			if l > 0 {
				if p == 0 {
					along.z = m.gated(s, l-1, slope(s, tile(f.sigma[l-1]), below), k)
				}
				da = s.Add(da, piece.weighed(s, along.z))
			}
			as[p] = da
		}
		along.u = append(along.u, m.gap(s, as))
		below = as
	}
	return along
}

// slope is ż from the slopes ȧ of the pieces.
func slope(s *graph.Scope, sigma *gorgonia.Node, a []*gorgonia.Node) *gorgonia.Node {
	if len(a) == 1 {
		return s.Mul(sigma, a[0])
	}
	return s.Add(a[1], s.Mul(sigma, s.Sub(a[0], a[1])))
}

// backwardAlong declares δ̇, given u̇.
func (m *ICNN) backwardAlong(s *graph.Scope, f *flow, du []*gorgonia.Node, k int) [][]*gorgonia.Node {
	tile := func(n *gorgonia.Node) *gorgonia.Node { return tiled(s, k, n) }
	last := len(m.Layers) - 1
	dd := make([][]*gorgonia.Node, last+1)
	for l := last; l >= 0; l-- {
		two := len(m.Layers[l]) > 1
		if l == last { // γ̇ = 0
			gamma := m.gated(s, l, s.MatMul(s.Ones(1, 1), false, s.Param(m.Out), true), k)
			bent := s.Mul(s.SigmoidGrad(tile(f.sigma[l]), du[l]), gamma)
			dd[l] = []*gorgonia.Node{bent}
			if two {
				dd[l] = append(dd[l], s.Scale(-1, bent))
			}
			continue
		}
		bent := s.SigmoidGrad(tile(f.sigma[l]), s.Mul(tile(f.gamma[l]), du[l]))
		dgamma := m.gated(s, l, m.below(s, l+1, dd[l+1]), k)
		dd[l] = []*gorgonia.Node{s.Add(bent, s.Mul(dgamma, tile(f.sigma[l])))}
		if two {
			dd[l] = append(dd[l], s.Sub(dgamma, dd[l][0]))
		}
	}
	return dd
}
