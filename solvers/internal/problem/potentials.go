package problem

import (
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Hinges is w(x) = ½(x−c)ᵀH(x−c) + Σ_k s_k softplus(a_k·x + b_k). Without hinges it is a
// quadratic.
type Hinges struct {
	H      blas32.General // (d, d)
	C      []float32
	A      blas32.General // (K, d), the rows a_k
	B, S   []float32
	Convex float64 // the smallest eigenvalue of H, a lower bound on those of ∇²w
}

var _ potential.Curved = (*Hinges)(nil)

func (w *Hinges) Dim() int { return w.H.Cols }

func (w *Hinges) Eval(x blas32.General, value []float32, grad blas32.General) error {
	centred, g, pre := batch.New(x.Rows, x.Cols), batch.New(x.Rows, x.Cols), batch.New(x.Rows, len(w.B))
	for i := range x.Rows {
		copy(batch.Row(centred, i), batch.Row(x, i))
		batch.AddScaled(batch.Row(centred, i), -1, w.C)
	}
	product(centred, w.H, blas.NoTrans, g)
	product(x, w.A, blas.Trans, pre)
	for i := range x.Rows {
		v := batch.Inner(batch.Row(g, i), batch.Row(centred, i)) / 2
		for k, p := range batch.Row(pre, i) {
			t := float64(p + w.B[k])
			v += float64(w.S[k]) * (max(t, 0) + math.Log1p(math.Exp(-math.Abs(t))))
			batch.Row(pre, i)[k] = w.S[k] * float32(logistic(t))
		}
		if value != nil {
			value[i] = float32(v)
		}
	}
	if grad.Data != nil {
		product(pre, w.A, blas.NoTrans, grad)
		for i := range x.Rows {
			batch.AddScaled(batch.Row(grad, i), 1, batch.Row(g, i))
		}
	}
	return nil
}

func (w *Hinges) HessVec(x, v, hv blas32.General) error {
	g, pre, bent := batch.New(x.Rows, x.Cols), batch.New(x.Rows, len(w.B)), batch.New(x.Rows, len(w.B))
	product(v, w.H, blas.NoTrans, g)
	product(x, w.A, blas.Trans, pre)
	product(v, w.A, blas.Trans, bent)
	for i := range x.Rows {
		for k, p := range batch.Row(pre, i) {
			q := logistic(float64(p + w.B[k]))
			batch.Row(bent, i)[k] *= w.S[k] * float32(q*(1-q))
		}
	}
	product(bent, w.A, blas.NoTrans, hv)
	for i := range x.Rows {
		batch.AddScaled(batch.Row(hv, i), 1, batch.Row(g, i))
	}
	return nil
}

// gradient and hessian are those of w at x in float64.
func (w *Hinges) gradient(x []float64) []float64 {
	g := make([]float64, len(x))
	for i := range x {
		for j, h := range batch.Row(w.H, i) {
			g[i] += float64(h) * (x[j] - float64(w.C[j]))
		}
	}
	for k := range w.B {
		q := logistic(w.preactivation(x, k))
		for i, a := range batch.Row(w.A, k) {
			g[i] += float64(w.S[k]) * q * float64(a)
		}
	}
	return g
}

func (w *Hinges) Hessian(x []float64) *mat.SymDense {
	d := len(x)
	h := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			h.SetSym(i, j, float64(batch.Row(w.H, i)[j]))
		}
	}
	a := mat.NewVecDense(d, nil)
	for k := range w.B {
		for i, v := range batch.Row(w.A, k) {
			a.SetVec(i, float64(v))
		}
		q := logistic(w.preactivation(x, k))
		h.SymRankOne(h, float64(w.S[k])*q*(1-q), a)
	}
	return h
}

func (w *Hinges) preactivation(x []float64, k int) float64 {
	t := float64(w.B[k])
	for i, a := range batch.Row(w.A, k) {
		t += float64(a) * x[i]
	}
	return t
}

// Conjugate is ∇w*(y) by a damped Newton method in float64.
func (w *Hinges) Conjugate(y []float32) []float64 {
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
		chol.Factorize(w.Hessian(x))
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

// LogSumExp is w(x) = log Σ_k exp(a_k·x + b_k) + ½m‖x‖².
type LogSumExp struct {
	A blas32.General
	B []float32
	M float32
}

func (w *LogSumExp) Dim() int { return w.A.Cols }

func (w *LogSumExp) Eval(x blas32.General, value []float32, grad blas32.General) error {
	pre := batch.New(x.Rows, len(w.B))
	product(x, w.A, blas.Trans, pre)
	for i := range x.Rows {
		p := batch.Row(pre, i)
		batch.AddScaled(p, 1, w.B)
		top, sum := slices.Max(p), 0.0
		for k, v := range p {
			p[k] = float32(math.Exp(float64(v - top)))
			sum += float64(p[k])
		}
		for k := range p {
			p[k] /= float32(sum)
		}
		if value != nil {
			value[i] = top + float32(math.Log(sum)+float64(w.M)*batch.Inner(batch.Row(x, i), batch.Row(x, i))/2)
		}
	}
	if grad.Data != nil {
		product(pre, w.A, blas.NoTrans, grad)
		for i := range x.Rows {
			batch.AddScaled(batch.Row(grad, i), float64(w.M), batch.Row(x, i))
		}
	}
	return nil
}

// NewQuadratic has eigenvalues from 1/√κ to √κ, equally far apart on a log scale.
func NewQuadratic(d int, kappa float64, rng *random.Stream) *Hinges {
	lambda := make([]float64, d)
	for i := range lambda {
		lambda[i] = math.Pow(kappa, float64(i)/float64(max(1, d-1))-0.5)
	}
	return &Hinges{H: RandomSPD(lambda, rng), C: NormalRow(d, rng), A: batch.New(0, d), Convex: lambda[0]}
}

// NewHinges is a quadratic with k hinges, of slopes about sharp.
func NewHinges(d, k int, kappa, sharp float64, rng *random.Stream) *Hinges {
	w := NewQuadratic(d, kappa, rng)
	w.A = batch.New(k, d)
	for i := range w.A.Data {
		w.A.Data[i] = float32(sharp * rng.NormFloat64() / math.Sqrt(float64(d)))
	}
	w.B, w.S = NormalRow(k, rng), make([]float32, k)
	for i := range w.S {
		w.B[i] *= float32(sharp)
		w.S[i] = float32(rng.Float64())
	}
	return w
}

// RandomSPD is Q·diag(λ)·Qᵀ for a random orthogonal Q.
func RandomSPD(lambda []float64, rng *random.Stream) blas32.General {
	d := len(lambda)
	a := mat.NewDense(d, d, nil)
	a.Apply(func(int, int, float64) float64 { return rng.NormFloat64() }, a)
	var qr mat.QR
	qr.Factorize(a)
	var q, scaled, h mat.Dense
	qr.QTo(&q)
	scaled.Mul(&q, mat.NewDiagDense(d, lambda))
	h.Mul(&scaled, q.T())
	out := batch.New(d, d)
	for i := range d {
		for j := range d {
			batch.Row(out, i)[j] = float32((h.At(i, j) + h.At(j, i)) / 2)
		}
	}
	return out
}

// product writes x·m, or x·mᵀ, into dst.
func product(x, m blas32.General, t blas.Transpose, dst blas32.General) {
	if x.Rows == 0 || x.Cols == 0 {
		for i := range dst.Rows {
			clear(batch.Row(dst, i))
		}
		return
	}
	if dst.Cols > 0 {
		blas32.Gemm(blas.NoTrans, t, 1, x, m, 0, dst)
	}
}

func logistic(t float64) float64 { return 1 / (1 + math.Exp(-t)) }

func NormalRow(d int, rng *random.Stream) []float32 { return NormalRows(1, d, 1, rng).Data }

// NormalRows is an (n, d) batch of N(0, size²) numbers.
func NormalRows(n, d int, size float64, rng *random.Stream) blas32.General {
	b := batch.New(n, d)
	for i := range b.Data {
		b.Data[i] = float32(size * rng.NormFloat64())
	}
	return b
}
