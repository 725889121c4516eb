package exact

import (
	"fmt"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/mat"
)

// MongeTo is the potential w of the Monge map ∇w between Gaussians, from N(m, Σ) to
// N(m′, Σ′), the law to,
//
//	∇w(x) = A(x−m) + m′,  A = Σ^{-1/2}(Σ^{1/2}Σ′Σ^{1/2})^{1/2}Σ^{-1/2},
//
// as ½(x−c)ᵀA(x−c) with c = m − A⁻¹m′. Its ∇w* is the map back. Laws of different
// dimensions, or an A that rounding leaves without an inverse, are an error.
//
// M. Knott, C. S. Smith, "On the Optimal Mapping of Distributions", J. Optim. Theory
// Appl. 43 (1984), 39–49.
func (g *Gaussian) MongeTo(to *Gaussian) (*Quadratic, error) {
	d := g.Dim()
	if to.Dim() != d {
		return nil, fmt.Errorf("exact: a map between Gaussians of dimensions %d and %d; they must agree", d, to.Dim())
	}
	root, back := g.Power(.5), g.Power(-.5)
	var product, a mat.Dense
	product.Product(root, to.Power(1), root)
	middle, err := NewGaussian(make([]float64, d), batch.Symmetrised(&product))
	if err != nil {
		return nil, fmt.Errorf("exact: a map between Gaussians: %w", err)
	}
	a.Product(back, middle.Power(.5), back)
	linear, err := NewGaussian(make([]float64, d), batch.Symmetrised(&a))
	if err != nil {
		return nil, fmt.Errorf("exact: a map between Gaussians: %w", err)
	}
	q := &Quadratic{Center: make([]float64, d), Values: linear.Values, Vectors: linear.Vectors}
	copy(q.Center, q.product(to.Mean, -1))
	for k, m := range g.Mean {
		q.Center[k] = m - q.Center[k]
	}
	return q, nil
}
