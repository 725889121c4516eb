package layers

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"cmf/graph"
	"cmf/graph/op"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Quadratics is the soft maximum of K quadratics on ℝᵈ,
//
//	φ(y) = τ·log Σ_k e^{φ_k(y)/τ},  φ_k(y) = ½‖F_k·y‖² + ½Σ_j D_kj·y_j² + ⟨c_k, y⟩ + b_k
//	D_kj = s + e_kj²
//
// with s > 0. It is strongly convex with modulus s whatever its weights are, so
// that nothing is projected. One piece is a quadratic, and exact for a Gaussian.
// Where τ is small against the differences of the slopes ∇φ_k, ∇φ nearly jumps
// from piece to piece, as a map onto separate parts does.
//
// It is the conjugate φ = w* of the potential w of NewConjugate(φ).
type Quadratics struct {
	Architecture

	Factors *graph.Param // F, (K·r, d): the r rows of each F_k below each other
	Root    *graph.Param // e, (K, d); nil for e = 0, which goes with r = d
	Centers *graph.Param // c, (K, d)
	Offsets *graph.Param // b, (1, K)
	Floor   *graph.Param // s, (1, 1), frozen

	maximum op.Quadratics
	params  *graph.Params
	context *QuadraticsContext // nil without contexts
	given   *quadraticsGiven   // for a batch whose contexts are given
}

// NewQuadratics returns the soft maximum that a describes, of its Pieces, Rank
// and Tau. A Rank of 0 means d, without a diagonal of the pieces' own.
func NewQuadratics(a Architecture) (*Quadratics, error) {
	if err := a.checkQuadratics(); err != nil {
		return nil, err
	}
	dtype := tensor.Float32
	if a.Float64 {
		dtype = tensor.Float64
	}
	ps, err := graph.NewParams(dtype)
	if err != nil {
		return nil, err
	}
	q := &Quadratics{Architecture: a, maximum: op.Quadratics{Pieces: a.Pieces, Rank: cmp.Or(a.Rank, a.Dim), Tau: a.tau()}, params: ps}
	q.Factors = ps.New("factors", a.Pieces*q.maximum.Rank, a.Dim)
	if a.Rank > 0 {
		q.Root = ps.New("diagonal", a.Pieces, a.Dim)
	}
	q.Centers = ps.New("centers", a.Pieces, a.Dim)
	q.Offsets = ps.New("offsets", 1, a.Pieces)
	q.Floor = frozen(ps.New("floor", 1, 1))
	q.Floor.Set(0, 1)
	if a.Context > 0 {
		q.context = newQuadraticsContext(q)
	}
	return q, nil
}

// checkQuadratics says what is wrong with the parts of a that describe Quadratics.
func (a Architecture) checkQuadratics() error {
	switch {
	case a.Dim < 1:
		return fmt.Errorf("layers: dimension %d; it must be at least 1", a.Dim)
	case a.Pieces < 1:
		return fmt.Errorf("layers: a maximum of %d quadratics; there must be at least 1", a.Pieces)
	case a.Rank < 0 || a.Rank > a.Dim:
		return fmt.Errorf("layers: quadratics of rank %d on ℝ^%d; the rank must be at least 1 and at most the dimension, or 0 for full matrices", a.Rank, a.Dim)
	case !(a.Tau >= 0) || math.IsInf(a.Tau, 1):
		return fmt.Errorf("layers: a maximum rounded over τ = %g; it must be a positive number, or 0 for 1", a.Tau)
	case len(a.Hidden) > 0 || len(a.Convolutions) > 0 || a.DiagonalSkips || a.Knots > 0 || a.Rotated || a.Full || a.Unit != "":
		return fmt.Errorf("layers: a maximum of quadratics has no parts but Pieces, Rank and Tau; %+v names others", a)
	}
	a.Family = NetworkQuadratics
	return a.checkContext()
}

// Dim is d.
func (q *Quadratics) Dim() int { return q.Architecture.Dim }

// Describe is the architecture.
func (q *Quadratics) Describe() Architecture { return q.Architecture }

// Params are the weights.
func (q *Quadratics) Params() *graph.Params { return q.params }

// pass holds the nodes that value and derivatives share.
type pass struct {
	y        *gorgonia.Node
	factored *gorgonia.Node // F·y, (n, K·r)
	pieces   *gorgonia.Node // φ_k(y)/τ, (n, K)
	diagonal *gorgonia.Node // D, (K, d)
}

func (q *Quadratics) pass(s *graph.Scope, y *gorgonia.Node) pass {
	if q.context != nil && q.given == nil && s.Err == nil {
		s.Err = errNoContext
	}
	p := pass{y: y, factored: s.MatMul(y, false, s.Param(q.Factors), true), diagonal: q.diagonal(s)}
	a := s.Add(q.offsets(s), q.alongCenters(s, y, 1))
	a = s.Add(a, s.MatMul(s.Scale(.5, s.Square(y)), false, p.diagonal, true))
	a = s.Add(a, s.Scale(.5, s.SumGroups(q.maximum.Rank, s.Square(p.factored))))
	p.pieces = s.Scale(1/q.maximum.Tau, a)
	return p
}

// diagonal is D, (K, d).
func (q *Quadratics) diagonal(s *graph.Scope) *gorgonia.Node {
	floor := s.Expand(q.Pieces, q.Dim(), s.Param(q.Floor))
	if q.Root == nil {
		return floor
	}
	return s.Add(floor, s.Square(s.Param(q.Root)))
}

// mix is Σ_k p_k·A_k·y for the weights p, (n, K), and F·y, A_k = D_k + F_kᵀF_k.
func (q *Quadratics) mix(s *graph.Scope, p, y, factored, diagonal *gorgonia.Node) *gorgonia.Node {
	mixed := s.MatMul(s.Mul(s.RepeatCols(q.maximum.Rank, p), factored), false, s.Param(q.Factors), false)
	return s.Add(mixed, s.Mul(y, s.MatMul(p, false, diagonal, false)))
}

// Value declares φ(y_i), shape (n, 1).
func (q *Quadratics) Value(s *graph.Scope, y *gorgonia.Node) *gorgonia.Node {
	return s.Scale(q.maximum.Tau, s.LogSumExp(q.pass(s, q.stretched(s, y, 1)).pieces))
}

// Gradient declares ∇φ = Σ_k p_k·(A_k·y + c_k), p = softmax(φ_k/τ), shape (n, d).
func (q *Quadratics) Gradient(s *graph.Scope, y *gorgonia.Node) *gorgonia.Node {
	y = q.stretched(s, y, 1)
	at := q.pass(s, y)
	p := s.Softmax(at.pieces)
	return q.stretched(s, s.Add(q.mix(s, p, y, at.factored, at.diagonal), q.mixCenters(s, p, 1)), 1)
}

// HessVec declares ∇²φ·v = Σ_k p_k·A_k·v + Σ_k r_k·(A_k·y + c_k), where
// r = p ⊙ (g − ⟨p, g⟩)/τ and g_k = ⟨A_k·y + c_k, v⟩; see Potential.
func (q *Quadratics) HessVec(s *graph.Scope, y, v *gorgonia.Node, k int) *gorgonia.Node {
	y, v = q.stretched(s, y, 1), q.stretched(s, v, k)
	at := q.pass(s, y)
	p, y, factored := s.Tile(k, s.Softmax(at.pieces)), s.Tile(k, y), s.Tile(k, at.factored)
	vFactored := s.MatMul(v, false, s.Param(q.Factors), true)
	g := s.Add(s.SumGroups(q.maximum.Rank, s.Mul(factored, vFactored)), s.MatMul(s.Mul(y, v), false, at.diagonal, true))
	g = s.Add(g, q.alongCenters(s, v, k))
	pg := s.Mul(p, g)
	r := s.Scale(1/q.maximum.Tau, s.Sub(pg, s.Mul(p, s.SumCols(pg))))
	h := s.Add(q.mix(s, p, v, vFactored, at.diagonal), q.mix(s, r, y, factored, at.diagonal))
	return q.stretched(s, s.Add(h, q.mixCenters(s, r, k)), k)
}

// Argmax declares argmax_y ⟨x_i, y⟩ − φ(y); see Invertible.
func (q *Quadratics) Argmax(s *graph.Scope, x, guess *gorgonia.Node) *gorgonia.Node {
	if guess != nil {
		guess = q.stretched(s, guess, 1)
	}
	return q.unstretched(s, s.Argmax(q.maximum, q.unstretched(s, x, 1), guess, q.weights(s)), 1)
}

// SolveHessian declares ∇²φ(y_i)⁻¹·v; see Invertible.
func (q *Quadratics) SolveHessian(s *graph.Scope, y, v *gorgonia.Node) *gorgonia.Node {
	k := 1
	if y != nil && v != nil {
		k = v.Shape()[0] / y.Shape()[0]
	}
	return q.unstretched(s, s.SolveHessian(q.maximum, q.stretched(s, y, 1), q.unstretched(s, v, k), q.weights(s)), k)
}

// MeanInverseHessian declares the mean of ∇²φ(y_i)⁻¹; see Invertible.
func (q *Quadratics) MeanInverseHessian(s *graph.Scope, y *gorgonia.Node) *gorgonia.Node {
	if q.context != nil && s.Err == nil {
		s.Err = errors.New("layers: no mean inverse Hessian of quadratics with contexts; use potential.MeanHessian of an evaluator that is given them")
	}
	return s.MeanInverseHessian(q.maximum, y, q.weights(s))
}

func (q *Quadratics) weights(s *graph.Scope) op.QuadraticsWeights {
	return op.QuadraticsWeights{Factors: s.Param(q.Factors), Diagonal: q.diagonal(s), Centers: q.centers(s), Offsets: q.offsets(s)}
}
