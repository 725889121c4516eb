package layers

import (
	"fmt"

	"cmf/graph"
	"cmf/graph/kernel"
	"cmf/layers/internal/hinges"
	"cmf/solvers/batch"
	"cmf/solvers/order"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// Knot is one hinge on every coordinate, c_j·softplus(s_j·x_j + b_j), c ≥ 0. A
// few of them make a separable convex function, the potential of a product law:
// they shape the law of each coordinate at the price of elementwise work.
type Knot struct {
	Slope  *graph.Param // s, (1, d)
	Bias   *graph.Param // b, (1, d)
	Weight *graph.Param // c, (1, d)
}

func newKnots(ps *graph.Params, k, d int) []Knot {
	knots := make([]Knot, k)
	for i := range knots {
		name := func(s string) string { return fmt.Sprintf("knot%d.%s", i, s) }
		knots[i] = Knot{ps.New(name("slope"), 1, d), ps.New(name("bias"), 1, d), nonNegative(ps.New(name("weight"), 1, d))}
	}
	return knots
}

func (k Knot) activation(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.Add(s.Mul(x, s.Param(k.Slope)), s.Param(k.Bias))
}

// value declares Σ_j c_j·softplus(s_j·x_j + b_j), (n, 1).
func (k Knot) value(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.MatMul(s.Softplus(k.activation(s, x)), false, s.Param(k.Weight), true)
}

// gradient declares c ⊙ s ⊙ σ(s ⊙ x + b), (n, d).
func (k Knot) gradient(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.Mul(s.Sigmoid(k.activation(s, x)), s.Mul(s.Param(k.Weight), s.Param(k.Slope)))
}

// curvature declares the diagonal Hessian c ⊙ s² ⊙ σ′(s ⊙ x + b), (n, d).
func (k Knot) curvature(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
	sigma := s.Sigmoid(k.activation(s, x))
	slope := s.Param(k.Slope)
	return s.Mul(s.Mul(sigma, s.Affine(-1, sigma, 1)), s.Mul(s.Param(k.Weight), s.Mul(slope, slope)))
}

// placeKnots spreads the knots of each coordinate j evenly over the range of
// the data, each as wide as its part of the range. Their mean curvature over
// the data is share·precision_j.
func (m *ICNN) placeKnots(data blas32.General, share float64, precision []float64, least float64) {
	kernel.Parallel(m.Dim(), 1, func(from, to int) {
		work := make([]float32, data.Rows)
		for j := from; j < to; j++ {
			column := batch.Column(data, j)
			order.Sort(column, work)
			m.placeKnotsOf(j, column, share*precision[j], least)
		}
	})
}

// placeKnotsOf places the knots of coordinate j for the given mean curvature.
// column holds the values of the coordinate in rising order.
func (m *ICNN) placeKnotsOf(j int, column []float32, mean, least float64) {
	slope, biases, curvature := hinges.Knots(column, len(m.Knots), least)
	for k, bias := range biases {
		m.Knots[k].Slope.Set(j, slope)
		m.Knots[k].Bias.Set(j, bias)
		m.Knots[k].Weight.Set(j, mean/max(curvature, 1e-6))
	}
}
