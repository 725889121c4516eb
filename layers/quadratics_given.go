package layers

import (
	"cmf/graph"

	"gorgonia.org/gorgonia"
)

// QuadraticsContext holds the weights by which a context enters Quadratics v,
//
//	φ(y; c) = v(y ⊙ g(c); c),  c_k(c) = c_k + C_k·f(c),  b_k(c) = b_k + ⟨u_k, f(c)⟩ + Σ_{i≤j} q_kij·ĉ_i·ĉ_j
//
// with the features f(c) = (ĉ, softplus(ĉ·V + v)) of the standardised context ĉ. The scales
// g(c) of the factors are positive, softplus of a linear function of the features, and 1
// where that function is 0. Offsets that are quadratic in c are those of pieces whose
// contexts have a normal law.
//
// Where contexts are classes there are gates alone, b_k(c) = b_k + ⟨G_k, c⟩: a piece is gated
// off where its gate is far below 0. Gates are not trained: a piece that is off has no
// gradient, and one that is on has b_k.
//
// φ is convex in y for every context, whatever these weights are, and so is φ*.
type QuadraticsContext struct {
	ContextFeatures

	Stretch  Affine       // g = gate of it, in ℝᵈ
	Centers  Affine       // C, in ℝ^{K·d}
	Offsets  Affine       // u, in ℝᴷ
	Products *graph.Param // q, (k(k+1)/2, K)

	Gates *graph.Param // G, (k, K), frozen; nil unless contexts are classes
}

func newQuadraticsContext(q *Quadratics) *QuadraticsContext {
	k, ps := q.Context, q.params
	if q.Classes {
		return &QuadraticsContext{Gates: frozen(ps.New("context.gates", k, q.Pieces))}
	}
	affine := func(name string, to int) Affine { return newAffine(q.Architecture, ps, name, to) }
	return &QuadraticsContext{
		ContextFeatures: newContextFeatures(q.Architecture, ps),
		Stretch:         affine("stretch", q.Dim()),
		Centers:         affine("centers", q.Pieces*q.Dim()),
		Offsets:         affine("offsets", q.Pieces),
		Products:        ps.New("context.products", k*(k+1)/2, q.Pieces),
	}
}

// Contexts is k.
func (q *Quadratics) Contexts() int { return q.Context }

// Given is φ(·; c_i); see Conditional.
func (q *Quadratics) Given(s *graph.Scope, c *gorgonia.Node) Potential { return bind(s, q, c) }

// parts lists the offsets and, unless contexts are classes, the centers and the scales.
func (q *Quadratics) parts() []part {
	list := []part{{"offsets", q.Pieces}}
	if !q.Classes {
		list = append(list, part{"centers", q.Pieces * q.Dim()}, part{"stretch", q.Dim()})
	}
	return list
}

func (q *Quadratics) declareParts(s *graph.Scope, c *gorgonia.Node) []*gorgonia.Node {
	if q.Classes {
		return []*gorgonia.Node{s.Add(s.Param(q.Offsets), s.MatMul(c, false, s.Param(q.context.Gates), false))}
	}
	f := q.context.features(s, c)
	offsets := s.Add(s.Param(q.Offsets), f.apply(s, q.context.Offsets))
	offsets = s.Add(offsets, s.MatMul(products(s, f.linear), false, s.Param(q.context.Products), false))
	// c_k as a row, (1, K·d): the sum of its columns, each in its place.
	places := q.places(s)
	flat := s.SumRows(s.Mul(s.MatMul(s.Param(q.Centers), false, places, false), q.blocks(s)))
	return []*gorgonia.Node{offsets, s.Add(flat, f.apply(s, q.context.Centers)), f.gate(s, q.context.Stretch)}
}

// products are ĉ_i·ĉ_j, i ≤ j, (n, k(k+1)/2).
func products(s *graph.Scope, c *gorgonia.Node) *gorgonia.Node {
	if s.Err != nil {
		return nil
	}
	k := c.Shape()[1]
	var pairs [][2]int
	for i := range k {
		for j := i; j < k; j++ {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	factor := func(name string, of int) *gorgonia.Node {
		return s.MatMul(c, false, s.Constant(name, k, len(pairs), func(i, p int) float64 { return one(pairs[p][of] == i) }), false)
	}
	return s.Mul(factor("first factors", 0), factor("second factors", 1))
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// places is (d, K·d): a product with it repeats the columns of a matrix K times.
func (q *Quadratics) places(s *graph.Scope) *gorgonia.Node {
	d := q.Dim()
	return s.Constant("places", d, q.Pieces*d, func(i, j int) float64 { return one(j%d == i) })
}

// blocks is (K, K·d), 1 in the d columns of each piece.
func (q *Quadratics) blocks(s *graph.Scope) *gorgonia.Node {
	d := q.Dim()
	return s.Constant("blocks", q.Pieces, q.Pieces*d, func(k, j int) float64 { return one(j/d == k) })
}

func (q *Quadratics) givenParts(s *graph.Scope, nodes []*gorgonia.Node) Potential {
	bound := *q
	bound.given = &quadraticsGiven{offsets: nodes[0]}
	if !q.Classes {
		bound.given.centers, bound.given.stretch, bound.given.places = nodes[1], nodes[2], q.places(s)
	}
	return &bound
}

// quadraticsGiven are the parts of Quadratics for the contexts of the rows of a batch.
type quadraticsGiven struct {
	offsets *gorgonia.Node // b_k(c), (n, K)
	centers *gorgonia.Node // c_k(c) side by side, (n, K·d); nil if they are those of no context
	stretch *gorgonia.Node // g(c), (n, d); nil for 1
	places  *gorgonia.Node
}

// offsets are b, (1, K), or of each row, (n, K).
func (q *Quadratics) offsets(s *graph.Scope) *gorgonia.Node {
	if q.given != nil {
		return q.given.offsets
	}
	return s.Param(q.Offsets)
}

// centers are C, (K, d), or of each row, (n, K·d).
func (q *Quadratics) centers(s *graph.Scope) *gorgonia.Node {
	if q.hasCenters() {
		return q.given.centers
	}
	return s.Param(q.Centers)
}

func (q *Quadratics) hasCenters() bool { return q.given != nil && q.given.centers != nil }

// alongCenters is ⟨c_k, y⟩, (t·n, K), for y of shape (t·n, d).
func (q *Quadratics) alongCenters(s *graph.Scope, y *gorgonia.Node, t int) *gorgonia.Node {
	if !q.hasCenters() {
		return s.MatMul(y, false, s.Param(q.Centers), true)
	}
	return s.SumGroups(q.Dim(), s.Mul(s.MatMul(y, false, q.given.places, false), tiled(s, t, q.given.centers)))
}

// mixCenters is Σ_k p_k·c_k, (t·n, d), for p of shape (t·n, K).
func (q *Quadratics) mixCenters(s *graph.Scope, p *gorgonia.Node, t int) *gorgonia.Node {
	if !q.hasCenters() {
		return s.MatMul(p, false, s.Param(q.Centers), false)
	}
	return s.MatMul(s.Mul(s.RepeatCols(q.Dim(), p), tiled(s, t, q.given.centers)), false, q.given.places, true)
}

// stretched is y ⊙ g, for y of t times as many rows as there are contexts.
func (q *Quadratics) stretched(s *graph.Scope, y *gorgonia.Node, t int) *gorgonia.Node {
	if q.given == nil || q.given.stretch == nil {
		return y
	}
	return s.Mul(y, tiled(s, t, q.given.stretch))
}

// unstretched is y ⊘ g, where g counts as a constant in derivatives.
func (q *Quadratics) unstretched(s *graph.Scope, y *gorgonia.Node, t int) *gorgonia.Node {
	if q.given == nil || q.given.stretch == nil {
		return y
	}
	return s.Mul(y, tiled(s, t, s.Reciprocal(s.Held(q.given.stretch))))
}
