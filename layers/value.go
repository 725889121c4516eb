package layers

import (
	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// Value declares w(x), shape (n, 1).
func (m *ICNN) Value(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	f := m.forward(s, x)
	u := s.Sub(x, s.Param(m.Center))
	w := s.MatMul(s.Square(m.rotated(s, u)), false, s.Scale(.5, m.spectrum(s)), true)
	if m.Root != nil {
		w = s.Add(w, s.Scale(.5, s.SumCols(s.Square(s.MatMul(u, false, s.Param(m.Root), false)))))
	}
	w = s.Add(w, s.MatMul(f.z, false, s.Param(m.Out), false))
	for _, k := range m.Knots {
		w = s.Add(w, k.value(s, x))
	}
	return s.Add(w, s.MatMul(x, false, s.Param(m.Linear), true))
}

// flow holds the nodes of one pass through the network, by layer; those of a
// piece by layer and piece.
type flow struct {
	u     []*gorgonia.Node     // what softplus is taken of
	z     *gorgonia.Node       // of the last layer
	ranks [][][]*gorgonia.Node // x·A_r, of x as the layer sees it

	// From the way back:
	sigma []*gorgonia.Node   // σ(u), ∂z/∂a of the first piece
	gamma []*gorgonia.Node   // ∂w/∂z
	delta [][]*gorgonia.Node // ∂w/∂a
}

// forward declares the way to z_L.
func (m *ICNN) forward(s *graph.Scope, x *gorgonia.Node) *flow {
	f := &flow{ranks: make([][][]*gorgonia.Node, len(m.Layers))}
	if m.context != nil && m.given == nil && s.Err == nil {
		s.Err = errNoContext
	}
	var squares *gorgonia.Node
	if m.DiagonalSkips {
		squares = s.Scale(.5, s.Square(x))
	}
	for l, layer := range m.Layers {
		f.ranks[l] = make([][]*gorgonia.Node, len(layer))
		view, squares := layer.view(s, x), squares
		if m.DiagonalSkips && layer.resizes() {
			squares = s.Scale(.5, s.Square(view))
		}
		as := make([]*gorgonia.Node, len(layer))
		for p, piece := range layer {
			a := s.Add(s.Param(piece.Bias), piece.skipped(s, view, piece.Skip))
			if m.given != nil {
				a = s.Add(a, m.given.biases[l][p])
			}
			if l > 0 {
				a = s.Add(a, piece.weighed(s, f.z))
			}
			if piece.Diag != nil {
				a = s.Add(a, piece.skipped(s, squares, piece.Diag))
			}
			for _, w := range piece.Ranks {
				xa := piece.skipped(s, view, w)
				f.ranks[l][p] = append(f.ranks[l][p], xa)
				a = s.Add(a, s.Scale(.5, s.Square(xa)))
			}
			as[p] = a
		}
		u := m.gap(s, as)
		f.u = append(f.u, u)
		f.z = s.Softplus(u)
		if len(as) > 1 {
			f.z = s.Add(as[1], s.Scale(m.tau(), f.z))
		}
		f.z = m.gated(s, l, f.z, 1)
	}
	return f
}

// gap is a of one piece, (a₁ − a₂)/τ of two.
func (m *ICNN) gap(s *graph.Scope, a []*gorgonia.Node) *gorgonia.Node {
	if len(a) == 1 {
		return a[0]
	}
	return s.Scale(1/m.tau(), s.Sub(a[0], a[1]))
}

// quadratic is ∇²Q·v for the rows v.
func (m *ICNN) quadratic(s *graph.Scope, v *gorgonia.Node) *gorgonia.Node {
	h := m.unrotated(s, s.Mul(m.rotated(s, v), m.spectrum(s)))
	if m.Root != nil {
		h = s.Add(h, s.MatMul(s.MatMul(v, false, s.Param(m.Root), false), false, s.Param(m.Root), true))
	}
	return h
}

// spectrum is s + t, (1, d).
func (m *ICNN) spectrum(s *graph.Scope) *gorgonia.Node {
	return s.Add(s.Param(m.Floor), s.Param(m.Share))
}

func (m *ICNN) rotated(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	if m.Basis == nil {
		return x
	}
	return s.MatMul(x, false, s.Param(m.Basis), false)
}

func (m *ICNN) unrotated(s *graph.Scope, u *gorgonia.Node) *gorgonia.Node {
	if m.Basis == nil {
		return u
	}
	return s.MatMul(u, false, s.Param(m.Basis), true)
}
