package solvers

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// hinges is w(x) = ½(x−c)ᵀH(x−c) + Σ_k s_k softplus(a_k·x + b_k), a quadratic if
// there is no hinge.
type hinges struct {
	h      blas32.General // (d, d)
	c      []float32
	a      blas32.General // (K, d), the rows a_k
	b, s   []float32
	convex float64 // the least eigenvalue of H, below those of ∇²w
}

var _ Curved = (*hinges)(nil)

func (w *hinges) Dim() int { return w.h.Cols }

func (w *hinges) Eval(x blas32.General, value []float32, grad blas32.General) error {
	centred, g, pre := newBatch(x.Rows, x.Cols), newBatch(x.Rows, x.Cols), newBatch(x.Rows, len(w.b))
	for i := range x.Rows {
		copy(row(centred, i), row(x, i))
		addScaled(row(centred, i), -1, w.c)
	}
	product(centred, w.h, blas.NoTrans, g)
	product(x, w.a, blas.Trans, pre)
	for i := range x.Rows {
		v := inner(row(g, i), row(centred, i)) / 2
		for k, p := range row(pre, i) {
			t := float64(p + w.b[k])
			v += float64(w.s[k]) * (max(t, 0) + math.Log1p(math.Exp(-math.Abs(t))))
			row(pre, i)[k] = w.s[k] * float32(logistic(t))
		}
		if value != nil {
			value[i] = float32(v)
		}
	}
	if grad.Data != nil {
		product(pre, w.a, blas.NoTrans, grad)
		for i := range x.Rows {
			addScaled(row(grad, i), 1, row(g, i))
		}
	}
	return nil
}

func (w *hinges) HessVec(x, v, hv blas32.General) error {
	g, pre, bent := newBatch(x.Rows, x.Cols), newBatch(x.Rows, len(w.b)), newBatch(x.Rows, len(w.b))
	product(v, w.h, blas.NoTrans, g)
	product(x, w.a, blas.Trans, pre)
	product(v, w.a, blas.Trans, bent)
	for i := range x.Rows {
		for k, p := range row(pre, i) {
			q := logistic(float64(p + w.b[k]))
			row(bent, i)[k] *= w.s[k] * float32(q*(1-q))
		}
	}
	product(bent, w.a, blas.NoTrans, hv)
	for i := range x.Rows {
		addScaled(row(hv, i), 1, row(g, i))
	}
	return nil
}

// gradient and hessian are those of w at x in float64.
func (w *hinges) gradient(x []float64) []float64 {
	g := make([]float64, len(x))
	for i := range x {
		for j, h := range row(w.h, i) {
			g[i] += float64(h) * (x[j] - float64(w.c[j]))
		}
	}
	for k := range w.b {
		q := logistic(w.preactivation(x, k))
		for i, a := range row(w.a, k) {
			g[i] += float64(w.s[k]) * q * float64(a)
		}
	}
	return g
}

func (w *hinges) hessian(x []float64) *mat.SymDense {
	d := len(x)
	h := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			h.SetSym(i, j, float64(row(w.h, i)[j]))
		}
	}
	a := mat.NewVecDense(d, nil)
	for k := range w.b {
		for i, v := range row(w.a, k) {
			a.SetVec(i, float64(v))
		}
		q := logistic(w.preactivation(x, k))
		h.SymRankOne(h, float64(w.s[k])*q*(1-q), a)
	}
	return h
}

func (w *hinges) preactivation(x []float64, k int) float64 {
	t := float64(w.b[k])
	for i, a := range row(w.a, k) {
		t += float64(a) * x[i]
	}
	return t
}

// conjugate is ∇w*(y) by a damped Newton method in float64.
func (w *hinges) conjugate(y []float32) []float64 {
	x := make([]float64, len(y))
	residual := func(x []float64) ([]float64, float64) {
		r := w.gradient(x)
		size := 0.0
		for i := range r {
			r[i] = float64(y[i]) - r[i]
			size += r[i] * r[i]
		}
		return r, math.Sqrt(size)
	}
	for range 200 {
		r, size := residual(x)
		if size < 1e-12 {
			break
		}
		var chol mat.Cholesky
		chol.Factorize(w.hessian(x))
		var step mat.VecDense
		if err := chol.SolveVecTo(&step, mat.NewVecDense(len(r), r)); err != nil {
			panic(err)
		}
		next := make([]float64, len(x))
		for t := 1.0; t > 1e-12; t /= 2 {
			for i := range x {
				next[i] = x[i] + t*step.AtVec(i)
			}
			if _, shrunk := residual(next); shrunk < size {
				break
			}
		}
		x = next
	}
	return x
}

// logSumExp is w(x) = log Σ_k exp(a_k·x + b_k) + ½m‖x‖².
type logSumExp struct {
	a blas32.General
	b []float32
	m float32
}

func (w *logSumExp) Dim() int { return w.a.Cols }

func (w *logSumExp) Eval(x blas32.General, value []float32, grad blas32.General) error {
	pre := newBatch(x.Rows, len(w.b))
	product(x, w.a, blas.Trans, pre)
	for i := range x.Rows {
		p := row(pre, i)
		addScaled(p, 1, w.b)
		top, sum := slices.Max(p), 0.0
		for k, v := range p {
			p[k] = float32(math.Exp(float64(v - top)))
			sum += float64(p[k])
		}
		for k := range p {
			p[k] /= float32(sum)
		}
		if value != nil {
			value[i] = top + float32(math.Log(sum)+float64(w.m)*inner(row(x, i), row(x, i))/2)
		}
	}
	if grad.Data != nil {
		product(pre, w.a, blas.NoTrans, grad)
		for i := range x.Rows {
			addScaled(row(grad, i), float64(w.m), row(x, i))
		}
	}
	return nil
}

// newQuadratic has eigenvalues from 1/√κ to √κ, equally far apart on a log scale.
func newQuadratic(d int, kappa float64, rng *rand.Rand) *hinges {
	lambda := make([]float64, d)
	for i := range lambda {
		lambda[i] = math.Pow(kappa, float64(i)/float64(max(1, d-1))-0.5)
	}
	return &hinges{h: randomSPD(lambda, rng), c: normalRow(d, rng), a: newBatch(0, d), convex: lambda[0]}
}

// newHinges adds k hinges to a quadratic, of slopes about sharp.
func newHinges(d, k int, kappa, sharp float64, rng *rand.Rand) *hinges {
	w := newQuadratic(d, kappa, rng)
	w.a = newBatch(k, d)
	for i := range w.a.Data {
		w.a.Data[i] = float32(sharp * rng.NormFloat64() / math.Sqrt(float64(d)))
	}
	w.b, w.s = normalRow(k, rng), make([]float32, k)
	for i := range w.s {
		w.b[i] *= float32(sharp)
		w.s[i] = float32(rng.Float64())
	}
	return w
}

// randomSPD is Q·diag(λ)·Qᵀ for a random orthogonal Q.
func randomSPD(lambda []float64, rng *rand.Rand) blas32.General {
	d := len(lambda)
	a := mat.NewDense(d, d, nil)
	a.Apply(func(int, int, float64) float64 { return rng.NormFloat64() }, a)
	var qr mat.QR
	qr.Factorize(a)
	var q, scaled, h mat.Dense
	qr.QTo(&q)
	scaled.Mul(&q, mat.NewDiagDense(d, lambda))
	h.Mul(&scaled, q.T())
	out := newBatch(d, d)
	for i := range d {
		for j := range d {
			row(out, i)[j] = float32((h.At(i, j) + h.At(j, i)) / 2)
		}
	}
	return out
}

// product writes x·m, or x·mᵀ, into dst.
func product(x, m blas32.General, t blas.Transpose, dst blas32.General) {
	if x.Rows == 0 || x.Cols == 0 {
		for i := range dst.Rows {
			clear(row(dst, i))
		}
		return
	}
	if dst.Cols > 0 {
		blas32.Gemm(blas.NoTrans, t, 1, x, m, 0, dst)
	}
}

func logistic(t float64) float64 { return 1 / (1 + math.Exp(-t)) }

func normalRow(d int, rng *rand.Rand) []float32 { return normalRows(1, d, 1, rng).Data }

// normalRows is an (n, d) batch of N(0, size²) numbers.
func normalRows(n, d int, size float64, rng *rand.Rand) blas32.General {
	b := newBatch(n, d)
	for i := range b.Data {
		b.Data[i] = float32(size * rng.NormFloat64())
	}
	return b
}
