package layers

import (
	"errors"
	"fmt"

	"cmf/graph"

	"gorgonia.org/tensor"
)

// ICNN is an input-convex neural network with a skip from the input to every
// layer and an outer quadratic:
//
//	a_l = z_{l−1}·W_l + q_l(x),  z_l = softplus(a_l),  w(x) = z_L·c + Q(x) + K(x)
//	q_l(x)_k = x·B_k + b_k + ½Σ_j d_kj·x_j² + ½Σ_r (A_kr·x)²
//	Q(x) = ½Σ_k (s_k + t_k)·((x−m)·U)_k² + ½‖(x−m)·A‖² + x·ℓ
//	K(x) = Σ_k Σ_j c_kj·softplus(s_kj·x_j + b_kj)
//
// With units of kind Maximum each layer has two affine pieces a, each with
// weights of its own, and takes their soft maximum:
//
//	z_l = a_{l,2} + τ·softplus(u_l),  u_l = (a_{l,1} − a_{l,2})/τ
//
// Softplus is the case a_{l,2} = 0, τ = 1, u_l = a_l.
//
// It is convex while W, c, d and t are ≥ 0, and strongly convex with modulus
// min s. Rows are points. B_l, d and A are (d, h_l) and W_l is (h_{l−1}, h_l). In
// convolutional layers they are filters, and products with them convolutions; x
// there is a picture, resized to that of the layer below.
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

	context *Context // nil without contexts
	given   *given   // nil but for a Conditional that has its contexts

	params *graph.Params
}

// Layer holds the weights of one hidden layer, by its affine pieces: one of a
// Softplus, two of a Maximum.
type Layer []Piece

func (l Layer) width() int { return l[0].Bias.Cols }

// Piece holds the weights of one affine piece of a layer; affine in z, that is:
// diagonal and low-rank skips are quadratic in x.
type Piece struct {
	Skip  *graph.Param   // B, (d, h)
	Bias  *graph.Param   // b, (1, h)
	Weigh *graph.Param   // W, (previous h, h); nil in the first layer
	Diag  *graph.Param   // d, (d, h); nil without DiagonalSkips
	Ranks []*graph.Param // A_r, (d, h) each

	over *slide // of a convolution, where B, W, d and A_r are filters; otherwise nil
}

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
	if err := errors.Join(a.checkUnit(), a.checkContext()); err != nil {
		return nil, err
	}
	if a.Unit == Softplus {
		a.Unit = "" // so that files name the unit only where it is another
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
	for l, shape := range shapes {
		var layer Layer
		for _, prefix := range a.Prefixes(l) {
			piece := newPiece(ps, prefix, shape, a, l > 0)
			if l < len(over) {
				piece.over = over[l]
			}
			layer = append(layer, piece)
		}
		m.Layers = append(m.Layers, layer)
	}
	m.Knots = newKnots(ps, a.Knots, a.Dim)
	m.Out = nonNegative(ps.New("out", m.Layers[len(m.Layers)-1].width(), 1))
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
	if a.Context > 0 {
		m.context = newContext(m)
	}
	return m, nil
}

// newPiece makes the weights of a piece; their names begin with prefix.
func newPiece(ps *graph.Params, prefix string, shape Shapes, a Architecture, weighs bool) (p Piece) {
	weights := func(name string, shape [2]int) *graph.Param { return ps.New(prefix+name, shape[0], shape[1]) }
	p.Skip, p.Bias = weights("skip", shape.Skip), weights("bias", shape.Bias)
	if weighs {
		p.Weigh = nonNegative(weights("weight", shape.Weigh))
	}
	if a.DiagonalSkips {
		p.Diag = nonNegative(weights("diagonal", shape.Skip))
	}
	for r := range a.Rank {
		p.Ranks = append(p.Ranks, weights(fmt.Sprintf("rank%d", r), shape.Skip))
	}
	return p
}

func nonNegative(p *graph.Param) *graph.Param { p.NonNegative = true; return p }
func frozen(p *graph.Param) *graph.Param      { p.Frozen = true; return p }

// Dim is d.
func (m *ICNN) Dim() int { return m.Architecture.Dim }

// Describe is the architecture.
func (m *ICNN) Describe() Architecture { return m.Architecture }

// Params are the weights.
func (m *ICNN) Params() *graph.Params { return m.params }

// Project sets the negative values of all NonNegative weights to 0.
func (m *ICNN) Project() {
	for _, p := range m.params.All() {
		p.Project()
	}
}
