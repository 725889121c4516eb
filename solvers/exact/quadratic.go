package exact

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Quadratic is the potential w(x) = ½(x−c)ᵀA(x−c) with A = U·diag(s)·Uᵀ
// positive definite. At, AtTo and ConjugateAt compute in float64; the
// methods of Curved round to float32.
type Quadratic struct {
	Center  []float64  // c
	Values  []float64  // s
	Vectors *mat.Dense // U, in columns
}

var _ potential.Curved = (*Quadratic)(nil)

// Dim is d.
func (q *Quadratic) Dim() int { return len(q.Center) }

// At is w(x) and ∇w(x) = A(x−c).
func (q *Quadratic) At(x []float64) (value float64, grad []float64, err error) {
	if len(x) != q.Dim() {
		return 0, nil, q.mismatch(len(x))
	}
	grad = make([]float64, len(x))
	return q.AtTo(grad, x, make([]float64, 2*len(x))), grad, nil
}

// AtTo returns w(x) and writes ∇w(x) into grad, both vectors of length d. work has
// length 2d; the three must not overlap. A wrong length panics.
func (q *Quadratic) AtTo(grad, x, work []float64) (value float64) {
	v, along := work[:len(x)], work[len(x):]
	floats.SubTo(v, x, q.Center)
	q.productTo(grad, v, q.Values, along)
	return floats.Dot(v, grad) / 2
}

// ConjugateAt is w*(y) = ½yᵀA⁻¹y + ⟨c,y⟩ and ∇w*(y) = A⁻¹y + c.
func (q *Quadratic) ConjugateAt(y []float64) (value float64, grad []float64, err error) {
	if len(y) != q.Dim() {
		return 0, nil, q.mismatch(len(y))
	}
	grad = q.product(y, -1)
	value = floats.Dot(y, grad)/2 + floats.Dot(q.Center, y)
	floats.Add(grad, q.Center)
	return value, grad, nil
}

// Gibbs is the Gibbs factor 𝔓_w = N(c, A⁻¹).
func (q *Quadratic) Gibbs() *Gaussian {
	d := q.Dim()
	order := make([]int, d)
	for k := range order {
		order[k] = k
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(q.Values[j], q.Values[i]) })
	g := &Gaussian{Mean: slices.Clone(q.Center), Values: make([]float64, d), Vectors: mat.NewDense(d, d, nil)}
	for k, from := range order {
		g.Values[k] = 1 / q.Values[from]
		g.Vectors.SetCol(k, mat.Col(nil, from, q.Vectors))
	}
	return g
}

// LogZ is log Z_w = log ∫e^{−w} = ½ log det(2πA⁻¹).
func (q *Quadratic) LogZ() float64 {
	var sum float64
	for _, s := range q.Values {
		sum += math.Log(2*math.Pi/s) / 2
	}
	return sum
}

// Eval writes w(x_i) and ∇w(x_i).
func (q *Quadratic) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if err := q.check("points", x); err != nil {
		return err
	}
	if value != nil && len(value) != x.Rows {
		return fmt.Errorf("exact: %d values for %d points; they must agree", len(value), x.Rows)
	}
	if grad.Data != nil {
		if err := q.checkLike(x, "gradients", grad); err != nil {
			return err
		}
	}
	d := q.Dim()
	at, slope, work := make([]float64, d), make([]float64, d), make([]float64, 2*d)
	for i := range x.Rows {
		batch.Widen(at, batch.Row(x, i))
		v := q.AtTo(slope, at, work)
		if value != nil {
			value[i] = float32(v)
		}
		if grad.Data != nil {
			batch.Narrow(batch.Row(grad, i), slope)
		}
	}
	return nil
}

// HessVec writes A·v_i.
func (q *Quadratic) HessVec(_, v, hv blas32.General) error {
	if err := q.check("directions", v); err != nil {
		return err
	}
	if err := q.checkLike(v, "products", hv); err != nil {
		return err
	}
	d := q.Dim()
	from, to, work := make([]float64, d), make([]float64, d), make([]float64, d)
	for i := range v.Rows {
		batch.Widen(from, batch.Row(v, i))
		q.productTo(to, from, q.Values, work)
		batch.Narrow(batch.Row(hv, i), to)
	}
	return nil
}

func (q *Quadratic) check(name string, x blas32.General) error {
	if x.Cols != q.Dim() {
		return q.mismatch(x.Cols)
	}
	return batch.Check(name, x)
}

// checkLike reports an out that does not have one row for each row of x.
func (q *Quadratic) checkLike(x blas32.General, name string, out blas32.General) error {
	if out.Rows != x.Rows {
		return fmt.Errorf("exact: %d %s for %d rows; they must agree", out.Rows, name, x.Rows)
	}
	return q.check(name, out)
}

func (q *Quadratic) mismatch(d int) error {
	return fmt.Errorf("exact: points of %d coordinates for a quadratic on ℝ^%d", d, q.Dim())
}

// product is Aᵖ·v.
func (q *Quadratic) product(v []float64, p float64) []float64 {
	out := make([]float64, len(v))
	q.productTo(out, v, powers(q.Values, p), make([]float64, len(v)))
	return out
}

// productTo writes U·diag(values)·Uᵀ·v into dst; work has length d.
func (q *Quadratic) productTo(dst, v, values, work []float64) {
	u := q.Vectors.RawMatrix()
	vector := func(data []float64) blas64.Vector { return blas64.Vector{N: len(data), Inc: 1, Data: data} }
	blas64.Gemv(blas.Trans, 1, u, vector(v), 0, vector(work))
	floats.Mul(work, values)
	blas64.Gemv(blas.NoTrans, 1, u, vector(work), 0, vector(dst))
}

// powers are vᵖ.
func powers(values []float64, p float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Pow(v, p)
	}
	return out
}
