package layers

import (
	"errors"
	"fmt"
	"math"

	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// Conditional is a network of potentials w(x; c), convex in x for every context c ∈ ℝᵏ.
type Conditional interface {
	Network

	// Contexts is k; with 0 there are no contexts, and the network is the potential.
	Contexts() int

	// Given is the potential w(·; c_i) of row i, for a node c of shape (n, k). It holds
	// for batches of n rows in the scope of c.
	Given(s *graph.Scope, c *gorgonia.Node) Potential
}

// Context holds the weights by which a context enters an ICNN v,
//
//	w(x; c) = v((x − t(c)) ⊙ g(c); c) + ⟨x, ℓ(c)⟩
//
// In v every piece of a layer has the further bias b_l(c), and z_l is scaled by the gates
// g_l(c). All of t, ℓ and b_l are linear in the features f(c) = (ĉ, softplus(ĉ·V + v)) of
// the standardised context ĉ = (c − c̄) ⊙ s. The gates are positive, softplus of a linear
// function of the features, and 1 where that function is 0. w is convex in x for every
// context, whatever these weights are.
//
// Reference: Amos, Xu, Kolter, "Input Convex Neural Networks", ICML 2017, section 3.2,
// whose gates may vanish; these may not, so that strong convexity is kept.
type Context struct {
	ContextFeatures

	Shift, Slope Affine     // t and ℓ, in ℝᵈ
	Stretch      Affine     // g = gate of it, in ℝᵈ
	Biases       [][]Affine // b_l, of each piece of each layer
	Gates        []Affine   // g_l = gate of it, of each layer
}

// ContextFeatures are the weights of the features f(c) of a context.
type ContextFeatures struct {
	Mean, Scale    *graph.Param // c̄ and s, (1, k), frozen
	Features, Bias *graph.Param // V, (k, h), and v, (1, h); nil without hidden features
}

func newContextFeatures(a Architecture, ps *graph.Params) ContextFeatures {
	k, h := a.Context, a.ContextHidden
	c := ContextFeatures{Mean: frozen(ps.New("context.mean", 1, k)), Scale: frozen(ps.New("context.scale", 1, k))}
	if h > 0 {
		c.Features, c.Bias = ps.New("context.features", k, h), ps.New("context.bias", 1, h)
	}
	return c
}

// newAffine makes the weights of a function with values in ℝᵐ.
func newAffine(a Architecture, ps *graph.Params, name string, m int) (f Affine) {
	f.Linear = ps.New("context."+name+".linear", a.Context, m)
	if a.ContextHidden > 0 {
		f.Hidden = ps.New("context."+name+".hidden", a.ContextHidden, m)
	}
	return f
}

// Affine are the weights of a linear function of the features.
type Affine struct {
	Linear *graph.Param // of ĉ, (k, m)
	Hidden *graph.Param // of the hidden features, (h, m); nil if there are none
}

// gateAtRest is log(e−1), at which softplus is 1.
var gateAtRest = math.Log(math.E - 1)

// newContext makes the weights for the layers of m.
func newContext(m *ICNN) *Context {
	affine := func(name string, to int) Affine { return newAffine(m.Architecture, m.params, name, to) }
	c := &Context{ContextFeatures: newContextFeatures(m.Architecture, m.params)}
	c.Shift, c.Slope, c.Stretch = affine("shift", m.Dim()), affine("slope", m.Dim()), affine("stretch", m.Dim())
	for l, layer := range m.Layers {
		var biases []Affine
		for p := range layer {
			biases = append(biases, affine(m.Prefixes(l)[p]+"bias", layer.width()))
		}
		c.Biases = append(c.Biases, biases)
		c.Gates = append(c.Gates, affine(fmt.Sprintf("layer%d.gate", l), layer.width()))
	}
	return c
}

// checkContext says what is wrong with Context and ContextHidden.
func (a Architecture) checkContext() error {
	switch {
	case a.Context < 0 || a.ContextHidden < 0:
		return fmt.Errorf("layers: contexts of %d numbers with %d hidden features; both must be at least 0", a.Context, a.ContextHidden)
	case a.Context == 0 && a.ContextHidden > 0:
		return fmt.Errorf("layers: %d hidden features of contexts without contexts", a.ContextHidden)
	case a.Context > 0 && len(a.Convolutions) > 0:
		return errors.New("layers: contexts beside convolutions; use dense layers")
	case a.Classes && (a.Family != NetworkQuadratics || a.Context == 0 || a.ContextHidden > 0):
		return fmt.Errorf("layers: classes are contexts of %s, without hidden features", NetworkQuadratics)
	case a.Classes && a.Pieces < a.Context:
		return fmt.Errorf("layers: %d quadratics for %d classes; there must be one for each", a.Pieces, a.Context)
	}
	return nil
}

// bindable is a Conditional whose parts that depend on contexts alone can be declared apart
// from the rest.
type bindable interface {
	Conditional

	// parts lists these parts.
	parts() []part

	// declareParts declares them at the contexts c, in their order.
	declareParts(s *graph.Scope, c *gorgonia.Node) []*gorgonia.Node

	// givenParts is the potential with these parts.
	givenParts(s *graph.Scope, nodes []*gorgonia.Node) Potential
}

// bind is w(·; c_i), or w itself if it has no contexts.
func bind(s *graph.Scope, w bindable, c *gorgonia.Node) Potential {
	k := w.Contexts()
	if k == 0 {
		return w
	}
	if c == nil || c.Shape()[1] != k {
		if s.Err == nil {
			s.Err = fmt.Errorf("layers: contexts %v for a potential with contexts of %d numbers", c, k)
		}
		return w
	}
	return w.givenParts(s, w.declareParts(s, c))
}

// Contexts is k.
func (m *ICNN) Contexts() int { return m.Context }

// Given is w(·; c_i); see Conditional.
func (m *ICNN) Given(s *graph.Scope, c *gorgonia.Node) Potential { return bind(s, m, c) }

// part is one of the functions of the context that the network takes, of so many columns.
type part struct {
	name    string
	columns int
}

// parts lists them: the shift, the slope and the stretch of x, and the biases of the pieces
// and the gate of each layer.
func (m *ICNN) parts() []part {
	list := []part{{"shift", m.Dim()}, {"slope", m.Dim()}, {"stretch", m.Dim()}}
	for l, layer := range m.Layers {
		for p := range layer {
			list = append(list, part{pieceKey("bias", l, p), layer.width()})
		}
		list = append(list, part{key("gate", l), layer.width()})
	}
	return list
}

// declareParts declares the parts at the contexts c, in their order.
func (m *ICNN) declareParts(s *graph.Scope, c *gorgonia.Node) []*gorgonia.Node {
	f := m.context.features(s, c)
	nodes := []*gorgonia.Node{f.apply(s, m.context.Shift), f.apply(s, m.context.Slope), f.gate(s, m.context.Stretch)}
	for l := range m.Layers {
		for _, b := range m.context.Biases[l] {
			nodes = append(nodes, f.apply(s, b))
		}
		nodes = append(nodes, f.gate(s, m.context.Gates[l]))
	}
	return nodes
}

// givenParts is the potential with these parts.
func (m *ICNN) givenParts(_ *graph.Scope, nodes []*gorgonia.Node) Potential {
	bound := *m
	bound.given = &given{}
	rest := nodes[3:]
	for _, layer := range m.Layers {
		n := len(layer)
		bound.given.biases = append(bound.given.biases, rest[:n])
		bound.given.gates = append(bound.given.gates, rest[n])
		rest = rest[n+1:]
	}
	return &conditioned{ICNN: &bound, shift: nodes[0], slope: nodes[1], stretch: nodes[2]}
}

// given are the parts of a network v for the contexts of the rows of a batch.
type given struct {
	biases [][]*gorgonia.Node // b_l(c), (n, h) each
	gates  []*gorgonia.Node   // g_l(c), (n, h) each
}

// features are the nodes of ĉ and of the hidden features.
type features struct{ linear, hidden *gorgonia.Node }

func (c ContextFeatures) features(s *graph.Scope, at *gorgonia.Node) (f features) {
	f.linear = s.Mul(s.Sub(at, s.Param(c.Mean)), s.Param(c.Scale))
	if c.Features != nil {
		f.hidden = s.Softplus(s.Add(s.Param(c.Bias), s.MatMul(f.linear, false, s.Param(c.Features), false)))
	}
	return f
}

func (f features) apply(s *graph.Scope, a Affine) *gorgonia.Node {
	out := s.MatMul(f.linear, false, s.Param(a.Linear), false)
	if a.Hidden != nil {
		out = s.Add(out, s.MatMul(f.hidden, false, s.Param(a.Hidden), false))
	}
	return out
}

func (f features) gate(s *graph.Scope, a Affine) *gorgonia.Node {
	return s.Softplus(s.Affine(1, f.apply(s, a), gateAtRest))
}

// gated is v scaled by the gates of layer l; v has the rows of a batch, k times.
func (m *ICNN) gated(s *graph.Scope, l int, v *gorgonia.Node, k int) *gorgonia.Node {
	if m.given == nil {
		return v
	}
	return s.Mul(v, tiled(s, k, m.given.gates[l]))
}

func tiled(s *graph.Scope, k int, n *gorgonia.Node) *gorgonia.Node {
	if k == 1 {
		return n
	}
	return s.Tile(k, n)
}

// conditioned is w(·; c) for the contexts of the rows of a batch.
type conditioned struct {
	*ICNN // v

	shift, slope, stretch *gorgonia.Node // (n, d)
}

func (w *conditioned) inner(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.Mul(s.Sub(x, w.shift), w.stretch)
}

// Value declares v((x − t) ⊙ g) + ⟨x, ℓ⟩.
func (w *conditioned) Value(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.Add(w.ICNN.Value(s, w.inner(s, x)), s.SumCols(s.Mul(x, w.slope)))
}

// Gradient declares g ⊙ ∇v + ℓ.
func (w *conditioned) Gradient(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.Add(s.Mul(w.ICNN.Gradient(s, w.inner(s, x)), w.stretch), w.slope)
}

// HessVec declares g ⊙ ∇²v·(g ⊙ v).
func (w *conditioned) HessVec(s *graph.Scope, x, v *gorgonia.Node, k int) *gorgonia.Node {
	g := tiled(s, k, w.stretch)
	return s.Mul(w.ICNN.HessVec(s, w.inner(s, x), s.Mul(v, g), k), g)
}

// errNoContext says that a potential is used without its contexts.
var errNoContext = errors.New("layers: this potential has contexts; give them by Given")
