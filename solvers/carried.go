package solvers

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Carried is the potential v(y) = w(C⁻¹y) of the noise y = C·z, z ~ 𝔓_w, for a
// symmetric positive definite C. As the Noise of CMFGen,
//
//	ρ = ∇w*♯C♯𝔓_w,
//
// which is the conjugate moment measure of the inner product ⟨x, z⟩ = xᵀCz: the
// plain one in the coordinates C^{1/2}x, whose potential is w(C^{-1/2}·). Conjugate
// moment measures are not equivariant under linear maps, so that C is a choice. A
// power of the covariance of ρ lets one noise suit directions of unlike scale.
type Carried struct {
	Potential Curved

	carry, back blas32.General // C and C⁻¹
	logDet      float64        // of C
	at, product blas32.General // C⁻¹y, and what w gives there
	of, metric  *Metric        // the metric of w carried last, and what it became
}

var _ Curved = (*Carried)(nil)

// NewCarried returns the potential of the noise of w carried by C, rounded to
// float32.
func NewCarried(w Curved, c mat.Symmetric) (*Carried, error) {
	d := c.SymmetricDim()
	if d != w.Dim() {
		return nil, fmt.Errorf("solvers: a noise of dimension %d carried by a matrix of dimension %d; they must agree", w.Dim(), d)
	}
	v := &Carried{Potential: w, carry: float32s(c)}
	var chol mat.Cholesky
	if !finiteRow(v.carry.Data) || !chol.Factorize(symmetric(v.carry)) {
		return nil, errors.New("solvers: the matrix that carries a noise is not positive definite")
	}
	var inverse mat.SymDense
	if err := chol.InverseTo(&inverse); err != nil {
		return nil, fmt.Errorf("solvers: the matrix that carries a noise is close to singular: %w", err)
	}
	v.back, v.logDet = float32s(&inverse), chol.LogDet()
	return v, nil
}

// Matrix is C, (d, d).
func (v *Carried) Matrix() blas32.General { return v.carry }

// LogDet is log det C; log ∫e^{−v} = log Z_w + log det C.
func (v *Carried) LogDet() float64 { return v.logDet }

// Dim is d.
func (v *Carried) Dim() int { return v.Potential.Dim() }

// Back returns C⁻¹y_i for each row of y, (n, d).
func (v *Carried) Back(y blas32.General) blas32.General {
	z := newBatch(y.Rows, y.Cols)
	multiply(z, y, v.back)
	return z
}

// Eval writes w(C⁻¹y_i) and C⁻¹∇w(C⁻¹y_i).
func (v *Carried) Eval(y blas32.General, value []float32, grad blas32.General) error {
	if y.Cols != v.Dim() {
		return fmt.Errorf("solvers: points of %d coordinates for a noise on ℝ^%d", y.Cols, v.Dim())
	}
	v.at = reshaped(v.at, y.Rows, y.Cols)
	multiply(v.at, y, v.back)
	if grad.Data == nil {
		return v.Potential.Eval(v.at, value, grad)
	}
	v.product = reshaped(v.product, y.Rows, y.Cols)
	if err := v.Potential.Eval(v.at, value, v.product); err != nil {
		return err
	}
	multiply(grad, v.product, v.back)
	return nil
}

// HessVec writes C⁻¹∇²w(C⁻¹y_i)C⁻¹·u_i.
func (v *Carried) HessVec(y, u, hu blas32.General) error {
	v.product = reshaped(v.product, y.Rows, y.Cols)
	if err := v.Potential.HessVec(v.Back(y), v.Back(u), v.product); err != nil {
		return err
	}
	multiply(hu, v.product, v.back)
	return nil
}

// Hessian is C⁻¹·h·C⁻¹, the Hessian of v where that of w is h.
func (v *Carried) Hessian(h mat.Symmetric) *mat.SymDense {
	back := symmetric(v.back)
	var half, whole mat.Dense
	half.Mul(back, h)
	whole.Mul(&half, back)
	return symmetrised(&whole)
}

// NoiseMetric is the metric for steps on the noise of a potential w where p suits
// steps on w itself: p where noise is nil, 𝔓_w, C·P·C where that is carried, and nil
// where it is another.
func NoiseMetric(noise Potential, p *Metric) *Metric {
	switch v := noise.(type) {
	case nil:
		return p
	case *Carried:
		if p != nil {
			return v.Metric(p)
		}
	}
	return nil
}

// Metric is C·P·C for a metric P that suits w.
func (v *Carried) Metric(p *Metric) *Metric {
	if v.metric != nil && v.of == p {
		return v.metric
	}
	d := v.Dim()
	root, identity := newBatch(d, d), newBatch(d, d)
	for i := range d {
		identity.Data[i*d+i] = 1
	}
	p.RootT(root, identity) // L
	v.of, v.metric = p, &Metric{p: newBatch(d, d), l: newBatch(d, d)}
	multiply(v.metric.l, v.carry, root)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, v.metric.l, v.metric.l, 0, v.metric.p)
	return v.metric
}

// symmetric is the symmetric matrix b, (d, d).
func symmetric(b blas32.General) *mat.SymDense {
	s := mat.NewSymDense(b.Rows, nil)
	for i := range b.Rows {
		for j := i; j < b.Rows; j++ {
			s.SetSym(i, j, float64(row(b, i)[j]))
		}
	}
	return s
}

// multiply writes x·m into dst.
func multiply(dst, x, m blas32.General) {
	if x.Rows > 0 {
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, m, 0, dst)
	}
}

// CarriedMoment is the potential w with ρ = ∇w*♯Σˢ♯𝔓_w for ρ = N(m, Σ),
//
//	w(x) = ½(x−c)ᵀΣ^{-(1−2s)/3}(x−c),  c = (I + Σ^{(1+s)/3})⁻¹m,  𝔓_w = N(c, Σ^{(1−2s)/3}).
//
// With s = 0 it is ConjugateMoment; with s = ½ one curvature suits all directions.
func (g *Gaussian) CarriedMoment(s float64) *Quadratic {
	return &Quadratic{Center: g.center((1 + s) / 3), Values: powers(g.Values, -(1-2*s)/3), Vectors: g.Vectors}
}

// SampleCarried returns n draws of the noise Σˢz, z ~ 𝔓_w: N(Σˢc, Σ^{(1+4s)/3}).
func (g *Gaussian) SampleCarried(s float64, n int, rng *Stream) blas32.General {
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
