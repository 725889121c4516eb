package layers

import (
	"errors"
	"fmt"

	"cmf/graph"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Architecture describes an input-convex neural network. The zero value of
// every field but Dim and Hidden is usable.
type Architecture struct {
	// Dim is d, at least 1.
	Dim int

	// Hidden are the widths of the dense hidden layers, each at least 1. There
	// must be at least one hidden layer, dense or convolutional.
	Hidden []int

	// Picture is the height, width and channels of a point as a picture, row-major
	// with the channels of a pixel side by side. Convolutions need it.
	Picture [3]int

	// Convolutions are convolutional layers, below those of Hidden.
	Convolutions []Convolution

	// DiagonalSkips adds ½Σ_j d_kj·x_j², d ≥ 0, to every pre-activation.
	DiagonalSkips bool

	// Rank adds ½Σ_r (A_kr·x)², r = 1 … Rank, to every pre-activation.
	Rank int

	// Knots adds a separable function: that many hinges on every coordinate.
	Knots int

	// Rotated gives the outer quadratic a basis U of its own, a frozen
	// orthogonal matrix; otherwise it is diagonal.
	Rotated bool

	// Full adds ½‖(x−m)·A‖² with a trained (d, d) matrix A to the outer quadratic.
	Full bool

	// Float64 makes the weights float64, for checks; otherwise float32.
	Float64 bool
}

// ICNN is an input-convex neural network with a skip from the input to every
// layer and an outer quadratic:
//
//	a_l = z_{l−1}·W_l + q_l(x),  z_l = softplus(a_l),  w(x) = z_L·c + Q(x) + K(x)
//	q_l(x)_k = x·B_k + b_k + ½Σ_j d_kj·x_j² + ½Σ_r (A_kr·x)²
//	Q(x) = ½Σ_k (s_k + t_k)·((x−m)·U)_k² + ½‖(x−m)·A‖² + x·ℓ
//	K(x) = Σ_k Σ_j c_kj·softplus(s_kj·x_j + b_kj)
//
// It is convex while W, c, d and t are ≥ 0, and strongly convex with modulus
// min s. Rows are points. B_l is (d, h_l) and W_l (h_{l−1}, h_l); in
// convolutional layers they are the matrices of op.Convolution.
//
// Reference: Amos, Xu, Kolter, "Input Convex Neural Networks", ICML 2017.
type ICNN struct {
	Architecture
	Layers []Layer
	Knots  []Knot

	Out    *graph.Param // c, (h_L, 1)
	Linear *graph.Param // ℓ, (1, d)
	Floor  *graph.Param // s, (1, d), frozen
	Share  *graph.Param // t, (1, d)
	Center *graph.Param // m, (1, d), frozen
	Basis  *graph.Param // U, (d, d), frozen; nil for the identity
	Root   *graph.Param // A, (d, d); nil without Full

	params *graph.Params
}

// Layer holds the weights of one hidden layer.
type Layer struct {
	Skip  *graph.Param   // B, (d, h)
	Bias  *graph.Param   // b, (1, h)
	Weigh *graph.Param   // W, (previous h, h); nil in the first layer
	Diag  *graph.Param   // d, (d, h); nil without DiagonalSkips
	Ranks []*graph.Param // A_r, (d, h) each

	over windows // where B and W are convolutions; the weights are then their filters
}

func (l Layer) skip(s *graph.Scope) *gorgonia.Node  { return matrixNode(s, l.Skip, l.over.skip) }
func (l Layer) weigh(s *graph.Scope) *gorgonia.Node { return matrixNode(s, l.Weigh, l.over.weigh) }

// NewICNN returns a network with zero weights; an initialisation fills them.
func NewICNN(a Architecture) (*ICNN, error) {
	if a.Dim < 1 {
		return nil, fmt.Errorf("layers: dimension %d; it must be at least 1", a.Dim)
	}
	over, shapes, err := a.layout()
	if err != nil {
		return nil, err
	}
	if len(shapes) == 0 {
		return nil, errors.New("layers: an ICNN needs at least one hidden width")
	}
	for i, h := range a.Hidden {
		if h < 1 {
			return nil, fmt.Errorf("layers: hidden width %d is %d; it must be at least 1", i, h)
		}
	}
	if a.Rank < 0 || a.Knots < 0 {
		return nil, fmt.Errorf("layers: rank %d and %d knots; both must be at least 0", a.Rank, a.Knots)
	}
	dtype := tensor.Float32
	if a.Float64 {
		dtype = tensor.Float64
	}
	ps, err := graph.NewParams(dtype)
	if err != nil {
		return nil, err
	}
	m := &ICNN{Architecture: a, params: ps}
	width := 0 // of the last layer
	for l, shape := range shapes {
		name := func(s string) string { return fmt.Sprintf("layer%d.%s", l, s) }
		weights := func(suffix string, shape [2]int) *graph.Param { return ps.New(name(suffix), shape[0], shape[1]) }
		var layer Layer
		if l < len(over) {
			layer.over = over[l]
		}
		layer.Skip, layer.Bias = weights("skip", shape.Skip), weights("bias", shape.Bias)
		if l > 0 {
			layer.Weigh = nonNegative(weights("weight", shape.Weigh))
		}
		width = shape.Bias[1]
		if a.DiagonalSkips {
			layer.Diag = nonNegative(ps.New(name("diagonal"), a.Dim, width))
		}
		for r := range a.Rank {
			layer.Ranks = append(layer.Ranks, ps.New(name(fmt.Sprintf("rank%d", r)), a.Dim, width))
		}
		m.Layers = append(m.Layers, layer)
	}
	m.Knots = newKnots(ps, a.Knots, a.Dim)
	m.Out = nonNegative(ps.New("out", width, 1))
	m.Linear = ps.New("linear", 1, a.Dim)
	m.Floor = frozen(ps.New("quadratic.floor", 1, a.Dim))
	m.Share = nonNegative(ps.New("quadratic.share", 1, a.Dim))
	m.Center = frozen(ps.New("quadratic.center", 1, a.Dim))
	if a.Rotated {
		m.Basis = frozen(ps.New("quadratic.basis", a.Dim, a.Dim))
	}
	if a.Full {
		m.Root = ps.New("quadratic.root", a.Dim, a.Dim)
	}
	return m, nil
}

func nonNegative(p *graph.Param) *graph.Param { p.NonNegative = true; return p }
func frozen(p *graph.Param) *graph.Param      { p.Frozen = true; return p }

// Dim is d.
func (m *ICNN) Dim() int { return m.Architecture.Dim }

// Params are the weights.
func (m *ICNN) Params() *graph.Params { return m.params }

// Project sets the negative values of all NonNegative weights to 0.
func (m *ICNN) Project() {
	for _, p := range m.params.All() {
		p.Project()
	}
}

// Value declares w(x), shape (n, 1).
func (m *ICNN) Value(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	f := m.forward(s, x)
	z := s.Softplus(f.a[len(f.a)-1])
	u := s.Sub(x, s.Param(m.Center))
	w := s.MatMul(s.Square(m.rotated(s, u)), false, s.Scale(.5, m.spectrum(s)), true)
	if m.Root != nil {
		w = s.Add(w, s.Scale(.5, s.SumCols(s.Square(s.MatMul(u, false, s.Param(m.Root), false)))))
	}
	w = s.Add(w, s.MatMul(z, false, s.Param(m.Out), false))
	for _, k := range m.Knots {
		w = s.Add(w, k.value(s, x))
	}
	return s.Add(w, s.MatMul(x, false, s.Param(m.Linear), true))
}

// Gradient declares ∇w(x), shape (n, d), as an explicit network:
//
//	δ_L = c ⊙ σ(a_L),  δ_{l−1} = (δ_l·W_lᵀ) ⊙ σ(a_{l−1})
//	∇w = Σ_l [δ_l·B_lᵀ + x ⊙ (δ_l·d_lᵀ) + Σ_r (δ_l ⊙ x·A_r)·A_rᵀ] + ∇Q + ∇K
func (m *ICNN) Gradient(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	f := m.forward(s, x)
	m.backward(s, f)
	g := s.Add(m.quadratic(s, s.Sub(x, s.Param(m.Center))), s.Param(m.Linear))
	for _, k := range m.Knots {
		g = s.Add(g, k.gradient(s, x))
	}
	for l, layer := range m.Layers {
		delta := f.delta[l]
		g = s.Add(g, s.MatMul(delta, false, layer.skip(s), true))
		if layer.Diag != nil {
			g = s.Add(g, s.Mul(x, s.MatMul(delta, false, s.Param(layer.Diag), true)))
		}
		for r, a := range layer.Ranks {
			g = s.Add(g, s.MatMul(s.Mul(delta, f.ranks[l][r]), false, s.Param(a), true))
		}
	}
	return g
}

// HessVec declares ∇²w(x)·v, the derivative of Gradient along v.
func (m *ICNN) HessVec(s *graph.Scope, x, v *gorgonia.Node, k int) *gorgonia.Node {
	f := m.forward(s, x)
	m.backward(s, f)
	tile := func(n *gorgonia.Node) *gorgonia.Node {
		if k == 1 {
			return n
		}
		return s.Tile(k, n)
	}
	last := len(m.Layers) - 1
	xs := tile(x)

	// Forward: the derivative ȧ of each pre-activation along v.
	da := make([]*gorgonia.Node, len(m.Layers))
	dr := make([][]*gorgonia.Node, len(m.Layers)) // v·A_r
	for l, layer := range m.Layers {
		da[l] = s.MatMul(v, false, layer.skip(s), false)
		if layer.Diag != nil {
			da[l] = s.Add(da[l], s.MatMul(s.Mul(xs, v), false, s.Param(layer.Diag), false))
		}
		for r, a := range layer.Ranks {
			va := s.MatMul(v, false, s.Param(a), false)
			dr[l] = append(dr[l], va)
			da[l] = s.Add(da[l], s.Mul(tile(f.ranks[l][r]), va))
		}
		if l > 0 {
			dz := s.Mul(tile(f.sigma[l-1]), da[l-1])
			da[l] = s.Add(da[l], s.MatMul(dz, false, layer.weigh(s), false))
		}
	}

	// Backward: the derivative δ̇ of each δ along v.
	dd := make([]*gorgonia.Node, len(m.Layers))
	for l := last; l >= 0; l-- {
		gamma := s.Param(m.Out)
		var bent *gorgonia.Node // γ ⊙ σ′(a) ⊙ ȧ
		if l == last {
			bent = s.Mul(s.SigmoidGrad(tile(f.sigma[l]), da[l]), s.MatMul(s.Ones(1, 1), false, gamma, true))
		} else {
			bent = s.SigmoidGrad(tile(f.sigma[l]), s.Mul(tile(f.gamma[l]), da[l]))
		}
		dd[l] = bent
		if l < last {
			dgamma := s.MatMul(dd[l+1], false, m.Layers[l+1].weigh(s), true)
			dd[l] = s.Add(bent, s.Mul(dgamma, tile(f.sigma[l])))
		}
	}

	hv := m.quadratic(s, v)
	for _, k := range m.Knots {
		hv = s.Add(hv, s.Mul(tile(k.curvature(s, x)), v))
	}
	for l, layer := range m.Layers {
		hv = s.Add(hv, s.MatMul(dd[l], false, layer.skip(s), true))
		if layer.Diag != nil {
			hv = s.Add(hv, s.Mul(v, tile(s.MatMul(f.delta[l], false, s.Param(layer.Diag), true))))
			hv = s.Add(hv, s.Mul(xs, s.MatMul(dd[l], false, s.Param(layer.Diag), true)))
		}
		for r, a := range layer.Ranks {
			both := s.Add(s.Mul(dd[l], tile(f.ranks[l][r])), s.Mul(tile(f.delta[l]), dr[l][r]))
			hv = s.Add(hv, s.MatMul(both, false, s.Param(a), true))
		}
	}
	return hv
}

// flow holds the nodes of one pass through the network, by layer.
type flow struct {
	a     []*gorgonia.Node   // pre-activations
	sigma []*gorgonia.Node   // σ(a), the slope of softplus
	gamma []*gorgonia.Node   // ∂w/∂z
	delta []*gorgonia.Node   // ∂w/∂a
	ranks [][]*gorgonia.Node // x·A_r
}

func (m *ICNN) forward(s *graph.Scope, x *gorgonia.Node) *flow {
	f := &flow{ranks: make([][]*gorgonia.Node, len(m.Layers))}
	var z, squares *gorgonia.Node
	if m.DiagonalSkips {
		squares = s.Scale(.5, s.Square(x))
	}
	for l, layer := range m.Layers {
		a := s.Add(s.Param(layer.Bias), s.MatMul(x, false, layer.skip(s), false))
		if l > 0 {
			a = s.Add(a, s.MatMul(z, false, layer.weigh(s), false))
		}
		if layer.Diag != nil {
			a = s.Add(a, s.MatMul(squares, false, s.Param(layer.Diag), false))
		}
		for _, p := range layer.Ranks {
			xa := s.MatMul(x, false, s.Param(p), false)
			f.ranks[l] = append(f.ranks[l], xa)
			a = s.Add(a, s.Scale(.5, s.Square(xa)))
		}
		f.a = append(f.a, a)
		z = s.Softplus(a)
	}
	return f
}

func (m *ICNN) backward(s *graph.Scope, f *flow) {
	last := len(m.Layers) - 1
	f.sigma = make([]*gorgonia.Node, last+1)
	f.gamma = make([]*gorgonia.Node, last+1)
	f.delta = make([]*gorgonia.Node, last+1)
	for l := last; l >= 0; l-- {
		f.sigma[l] = s.Sigmoid(f.a[l])
		if l == last {
			f.gamma[l] = s.MatMul(s.Ones(1, 1), false, s.Param(m.Out), true) // cᵀ, (1, h)
		} else {
			f.gamma[l] = s.MatMul(f.delta[l+1], false, m.Layers[l+1].weigh(s), true)
		}
		f.delta[l] = s.Mul(f.sigma[l], f.gamma[l])
	}
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
