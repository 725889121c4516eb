// Package exact holds the closed forms: Gaussian laws with their conjugate moment
// potential, the Quadratic, and their Conditional laws. Numbers are float64 and exact
// to rounding.
package exact

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Gaussian is N(m, Σ). Its moment and conjugate moment potentials are known.
type Gaussian struct {
	Mean    []float64
	Values  []float64  // eigenvalues of Σ, ascending
	Vectors *mat.Dense // eigenvectors of Σ in columns
}

// GaussianFromMatrix is NewGaussian for any matrix Σ. If Σ is not square, or not
// symmetric to rounding, it returns an error.
func GaussianFromMatrix(mean []float64, cov mat.Matrix) (*Gaussian, error) {
	d, columns := cov.Dims()
	if d != columns {
		return nil, fmt.Errorf("exact: a covariance has shape (%d, %d); it must be square", d, columns)
	}
	symmetric := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			a, b := cov.At(i, j), cov.At(j, i)
			if math.Abs(a-b) > 1e-12*max(math.Abs(a), math.Abs(b)) {
				return nil, fmt.Errorf("exact: entries (%d, %d) and (%d, %d) of a covariance are %g and %g; it must be symmetric", i, j, j, i, a, b)
			}
			symmetric.SetSym(i, j, (a+b)/2)
		}
	}
	return NewGaussian(mean, symmetric)
}

// NewGaussian decomposes Σ. It must be positive definite: its smallest eigenvalue must
// be above the rounding of its largest.
func NewGaussian(mean []float64, cov mat.Symmetric) (*Gaussian, error) {
	d := cov.SymmetricDim()
	if len(mean) != d {
		return nil, fmt.Errorf("exact: a mean of length %d for a covariance of dimension %d; they must agree", len(mean), d)
	}
	for i := range d {
		for j := range d {
			if v := cov.At(i, j); math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("exact: entry (%d, %d) of a covariance is %g; it must be finite", i, j, v)
			}
		}
		if math.IsNaN(mean[i]) || math.IsInf(mean[i], 0) {
			return nil, fmt.Errorf("exact: entry %d of a mean is %g; it must be finite", i, mean[i])
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(cov, true) {
		return nil, errors.New("exact: the eigen-decomposition of a covariance did not converge")
	}
	g := &Gaussian{Mean: slices.Clone(mean), Values: eig.Values(nil), Vectors: new(mat.Dense)}
	eig.VectorsTo(g.Vectors)
	const rounding = 0x1p-52
	if !(g.Values[0] > float64(d)*rounding*g.Values[d-1]) {
		return nil, fmt.Errorf("exact: a covariance has eigenvalues from %g to %g; it must be positive definite", g.Values[0], g.Values[d-1])
	}
	return g, nil
}

// ConjugateMoment is the potential w with ρ = ∇w*♯𝔓_w for ρ = N(m, Σ),
//
//	w(x) = ½(x−c)ᵀΣ^{-1/3}(x−c),  c = (I + Σ^{1/3})⁻¹m,  𝔓_w = N(c, Σ^{1/3}).
func (g *Gaussian) ConjugateMoment() *Quadratic {
	return g.CarriedMoment(0)
}

// Moment is the potential u with ρ = ∇u♯𝔓_u for ρ = N(0, Σ), the centred law,
//
//	u(x) = ½(x−m)ᵀΣ(x−m),  𝔓_u = N(m, Σ⁻¹).
//
// Any centre is right, because the mean of a moment measure is 0. Vesseron, Béthune,
// Cuturi, NeurIPS 2025, Proposition 1.
func (g *Gaussian) Moment() *Quadratic {
	return &Quadratic{Center: slices.Clone(g.Mean), Values: slices.Clone(g.Values), Vectors: g.Vectors}
}

// FitGaussian fits mean and covariance to the rows of x, (n, d), n ≥ 2; ridge is
// added to every variance.
func FitGaussian(x blas32.General, ridge float64) (*Gaussian, error) {
	n, d := x.Rows, x.Cols
	if n < 2 {
		return nil, fmt.Errorf("exact: a Gaussian fit needs at least 2 points, not %d", n)
	}
	mean := make([]float64, d)
	for i := range n {
		for j, v := range batch.Row(x, i) {
			mean[j] += float64(v) / float64(n)
		}
	}
	cov := products(n, d, float64(n-1), func(i int, to []float32) {
		for j, v := range batch.Row(x, i) {
			to[j] = float32(float64(v) - mean[j])
		}
	})
	for i := range d {
		cov.SetSym(i, i, cov.At(i, i)+ridge)
	}
	return NewGaussian(mean, cov)
}

// products is Σ_i r_i·r_iᵀ / divisor over the n rows r_i ∈ ℝᵈ that row writes. At most a
// thousand products are summed in float32; the sums are added in float64.
func products(n, d int, divisor float64, row func(i int, to []float32)) *mat.SymDense {
	const block = 1024
	sum, rows, part := mat.NewSymDense(d, nil), batch.New(block, d), batch.New(d, d)
	for lo := 0; lo < n; lo += block {
		r := batch.Rows(rows, 0, min(block, n-lo))
		for i := range r.Rows {
			row(lo+i, batch.Row(r, i))
		}
		blas32.Gemm(blas.Trans, blas.NoTrans, 1, r, r, 0, part)
		for i := range d {
			for j := i; j < d; j++ {
				sum.SetSym(i, j, sum.At(i, j)+float64(part.Data[i*d+j])/divisor)
			}
		}
	}
	return sum
}

// Dim is d.
func (g *Gaussian) Dim() int { return len(g.Mean) }

// Power is Σᵖ.
func (g *Gaussian) Power(p float64) *mat.SymDense {
	d := g.Dim()
	var scaled, out mat.Dense
	scaled.CloneFrom(g.Vectors)
	for j, v := range g.Values {
		f := math.Pow(v, p)
		for i := range d {
			scaled.Set(i, j, scaled.At(i, j)*f)
		}
	}
	out.Mul(&scaled, g.Vectors.T())
	return batch.Symmetrised(&out)
}

// Center is c = (I + Σ^{1/3})⁻¹m, the mean of the Gibbs factor.
func (g *Gaussian) Center() []float64 { return g.center(1. / 3) }

// Sample returns n draws of N(m, Σ).
func (g *Gaussian) Sample(n int, rng *random.Stream) blas32.General {
	return g.draw(g.Mean, .5, n, rng)
}

// SampleGibbs returns n draws of the Gibbs factor N(c, Σ^{1/3}).
func (g *Gaussian) SampleGibbs(n int, rng *random.Stream) blas32.General {
	return g.SampleCarried(0, n, rng)
}

// draw returns n draws of N(center, Σ^{2p}).
func (g *Gaussian) draw(center []float64, p float64, n int, rng *random.Stream) blas32.General {
	d := g.Dim()
	z, x, root := batch.New(n, d), batch.New(n, d), batch.New(d, d)
	rng.Normals(z.Data)
	for i := range d {
		for j, v := range g.Values {
			root.Data[i*d+j] = float32(g.Vectors.At(i, j) * math.Pow(v, p))
		}
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, z, root, 0, x)
	for i := range n {
		for j := range d {
			x.Data[i*d+j] += float32(center[j])
		}
	}
	return x
}

// StandardGaussian is N(0, I) on ℝᵈ.
func StandardGaussian(d int) *Gaussian {
	g := &Gaussian{Mean: make([]float64, d), Values: make([]float64, d), Vectors: mat.NewDense(d, d, nil)}
	for i := range d {
		g.Values[i] = 1
		g.Vectors.Set(i, i, 1)
	}
	return g
}

// LogPDF returns log N(x_i; m, Σ), in nats, for each row of x, (n, d).
func (g *Gaussian) LogPDF(x blas32.General) ([]float64, error) {
	n, d := x.Rows, g.Dim()
	if x.Cols != d {
		return nil, fmt.Errorf("exact: points with %d columns under a Gaussian of dimension %d; they must agree", x.Cols, d)
	}
	if err := batch.Check("the points of a Gaussian density", x); err != nil {
		return nil, err
	}
	logPDF := make([]float64, n)
	if n == 0 {
		return logPDF, nil
	}
	centred := mat.NewDense(n, d, nil)
	for i := range n {
		for j, v := range batch.Row(x, i) {
			centred.Set(i, j, float64(v)-g.Mean[j])
		}
	}
	var along mat.Dense
	along.Mul(centred, g.Vectors)
	for i := range logPDF {
		for k, v := range g.Values {
			a := along.At(i, k)
			logPDF[i] -= (a*a/v + math.Log(2*math.Pi*v)) / 2
		}
	}
	return logPDF, nil
}
