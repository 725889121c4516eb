package exact

import (
	"math"

	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// CarriedMoment is the potential w with ρ = ∇w*♯Σˢ♯𝔓_w for ρ = N(m, Σ),
//
//	w(x) = ½(x−c)ᵀΣ^{-(1−2s)/3}(x−c),  c = (I + Σ^{(1+s)/3})⁻¹m,  𝔓_w = N(c, Σ^{(1−2s)/3}).
//
// With s = 0 it is ConjugateMoment; with s = ½ one curvature suits all directions.
func (g *Gaussian) CarriedMoment(s float64) *Quadratic {
	return &Quadratic{Center: g.center((1 + s) / 3), Values: powers(g.Values, -(1-2*s)/3), Vectors: g.Vectors}
}

// SampleCarried returns n draws of the noise Σˢz, z ~ 𝔓_w: N(Σˢc, Σ^{(1+4s)/3}).
func (g *Gaussian) SampleCarried(s float64, n int, rng *random.Stream) blas32.General {
	return g.draw(g.CarriedMean(s), (1+4*s)/6, n, rng)
}

// CarriedMean is Σˢc, the mean of that noise.
func (g *Gaussian) CarriedMean(s float64) []float64 {
	c := g.center((1 + s) / 3)
	if s == 0 {
		return c
	}
	var out mat.VecDense
	out.MulVec(g.Power(s), mat.NewVecDense(len(c), c))
	return out.RawVector().Data
}

// center is (I + Σᵖ)⁻¹m.
func (g *Gaussian) center(p float64) []float64 {
	d := g.Dim()
	var c mat.VecDense
	c.MulVec(g.Vectors.T(), mat.NewVecDense(d, g.Mean))
	for k, v := range g.Values {
		c.SetVec(k, c.AtVec(k)/(1+math.Pow(v, p)))
	}
	var out mat.VecDense
	out.MulVec(g.Vectors, &c)
	return out.RawVector().Data
}
