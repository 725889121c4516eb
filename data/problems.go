package data

import (
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Problem is a measure ρ on ℝᵈ whose conjugate moment potential w is known, up
// to a constant: ρ = ∇w*♯𝔓_w. As a Potential it is w, so that the gradient of
// Eval is the truth for a learned map. It computes in float64 and rounds.
type Problem interface {
	potential.Potential

	// Sample draws n points of ρ, (n, d), as ∇w*(y) with y ~ 𝔓_w.
	Sample(n int, rng *random.Stream) (blas32.General, error)
}

// Line is a convex potential w on ℝ with its Gibbs factor. *line.Potential is
// one.
type Line interface {
	Value(x float64) float64             // w(x)
	Slope(x float64) float64             // w′(x)
	ConjugateSlope(y float64) float64    // (w*)′(y)
	GibbsQuantile(level float64) float64 // F⁻¹(level) of 𝔓_w, level in (0, 1)
}

// Product is the problem of a rotated product of laws on ℝ, the law of Q·x with
// independent x_i ~ ρ_i, for which w(x) = Σ_i w_i((Qᵀx)_i).
type Product struct {
	axes     []Line
	rotation blas64.General // Q, (d, d)
}

// NewProduct takes the potentials w_i of ρ_i, at least one, and draws a
// rotation Q from rng, uniform over the orthogonal matrices. With a nil rng the
// axes stay as they are.
func NewProduct(axes []Line, rng *random.Stream) (*Product, error) {
	d := len(axes)
	if d == 0 {
		return nil, fmt.Errorf("product: no axes; at least one is needed")
	}
	p := &Product{axes: axes, rotation: newWide(d, d)}
	for i := range d {
		p.rotation.Data[i*d+i] = 1
	}
	if rng != nil {
		p.rotation = randomRotation(d, rng)
	}
	return p, nil
}

// Dim is d.
func (p *Product) Dim() int { return len(p.axes) }

// Eval writes w(x_i) and ∇w(x_i) = Q·(w_k′((Qᵀx_i)_k))_k.
func (p *Product) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if err := checkEval(p, x, value, grad); err != nil {
		return err
	}
	t, g := newWide(x.Rows, x.Cols), newWide(x.Rows, x.Cols)
	product(widened(x), blas.NoTrans, p.rotation, t)
	for i := range x.Rows {
		var sum float64
		for k, axis := range p.axes {
			at := t.Data[i*t.Stride+k]
			if value != nil {
				sum += axis.Value(at)
			}
			t.Data[i*t.Stride+k] = axis.Slope(at)
		}
		if value != nil {
			value[i] = float32(sum)
		}
	}
	if grad.Data != nil {
		product(t, blas.Trans, p.rotation, g)
		narrow(grad, g)
	}
	return nil
}

// Sample draws n points of ρ.
func (p *Product) Sample(n int, rng *random.Stream) (blas32.General, error) {
	x := batch.New(max(0, n), p.Dim())
	t, rotated := newWide(x.Rows, x.Cols), newWide(x.Rows, x.Cols)
	for i := range t.Rows {
		for k, axis := range p.axes {
			t.Data[i*t.Stride+k] = axis.ConjugateSlope(axis.GibbsQuantile(inside(rng)))
		}
	}
	product(t, blas.Trans, p.rotation, rotated)
	narrow(x, rotated)
	return x, nil
}

// inside is uniform on the open interval (0, 1).
func inside(rng *random.Stream) float64 { return (float64(rng.Uint64()>>11) + .5) * 0x1p-53 }

// Radial is the problem of the potential w(x) = |x|ᵖ/p on ℝᵈ, p > 1:
//
//	∇w(x) = |x|^{p−2}x,  |y|ᵖ/p ~ Γ(d/p) under 𝔓_w
//	ρ(x) ∝ |x|^{(p−2)d}·exp(−|x|^{p(p−1)}/p)
//
// which peaks at 0 for p < 2, is N(0, I) for p = 2, and a shell for p > 2.
type Radial struct {
	D int
	P float64
}

// Dim is d.
func (r Radial) Dim() int { return r.D }

// Eval writes w(x_i) and ∇w(x_i).
func (r Radial) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := checkEval(r, x, value, grad); err != nil {
		return err
	}
	for i := range x.Rows {
		size := norm(batch.Row(x, i))
		if value != nil {
			value[i] = float32(math.Pow(size, r.P) / r.P)
		}
		if grad.Data != nil {
			scaleTo(batch.Row(grad, i), batch.Row(x, i), size, math.Pow(size, r.P-1))
		}
	}
	return nil
}

// Sample draws n points of ρ.
func (r Radial) Sample(n int, rng *random.Stream) (blas32.General, error) {
	if err := r.check(); err != nil {
		return blas32.General{}, err
	}
	x := batch.New(max(0, n), r.D)
	rng.Normals(x.Data)
	power := distuv.Gamma{Alpha: float64(r.D) / r.P, Beta: 1, Src: rng}
	for i := range x.Rows {
		// |y|^p = p·Γ, and |x| = |∇w*(y)| = |y|^{1/(p−1)}.
		scaleTo(batch.Row(x, i), batch.Row(x, i), norm(batch.Row(x, i)), math.Pow(r.P*power.Rand(), 1/(r.P*(r.P-1))))
	}
	return x, nil
}

func (r Radial) check() error {
	if r.D < 1 || !(r.P > 1) || math.IsInf(r.P, 1) {
		return fmt.Errorf("radial problem with d = %d and p = %g; d must be at least 1, p above 1 and finite", r.D, r.P)
	}
	return nil
}

// scaleTo writes v, of the given norm, scaled to another norm.
func scaleTo(dst, v []float32, from, to float64) {
	for j, x := range v {
		dst[j] = 0
		if from > 0 {
			dst[j] = float32(float64(x) * (to / from))
		}
	}
}

func norm(v []float32) float64 {
	var s float64
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	return math.Sqrt(s)
}

// checkEval says what is wrong with the arguments of w.Eval.
func checkEval(w potential.Potential, x blas32.General, value []float32, grad blas32.General) error {
	switch {
	case x.Cols != w.Dim():
		return fmt.Errorf("points have %d columns; the problem is on ℝ^%d", x.Cols, w.Dim())
	case value != nil && len(value) != x.Rows:
		return fmt.Errorf("%d values for %d points; they must agree", len(value), x.Rows)
	case grad.Data != nil:
		return batch.CheckSameShape("points", x, "gradients", grad)
	}
	return batch.Check("points", x)
}

// randomRotation is the Q of a QR decomposition of normal numbers. Its signs
// are drawn too, which makes it uniform over the orthogonal matrices.
func randomRotation(d int, rng *random.Stream) blas64.General {
	a := mat.NewDense(d, d, nil)
	a.Apply(func(int, int, float64) float64 { return rng.NormFloat64() }, a)
	var qr mat.QR
	qr.Factorize(a)
	var q mat.Dense
	qr.QTo(&q)
	sign := make([]float64, d)
	for k := range sign {
		sign[k] = float64(2*rng.IntN(2) - 1)
	}
	q.Apply(func(_, k int, v float64) float64 { return sign[k] * v }, &q)
	return q.RawMatrix()
}

func newWide(n, d int) blas64.General {
	return blas64.General{Rows: n, Cols: d, Stride: max(1, d), Data: make([]float64, n*d)}
}

// product writes x·m, or x·mᵀ, into dst.
func product(x blas64.General, t blas.Transpose, m, dst blas64.General) {
	if x.Rows > 0 {
		blas64.Gemm(blas.NoTrans, t, 1, x, m, 0, dst)
	}
}

func widened(x blas32.General) blas64.General {
	w := newWide(x.Rows, x.Cols)
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			w.Data[i*w.Stride+j] = float64(v)
		}
	}
	return w
}

func narrow(dst blas32.General, x blas64.General) {
	for i := range x.Rows {
		for j := range x.Cols {
			batch.Row(dst, i)[j] = float32(x.Data[i*x.Stride+j])
		}
	}
}
