package data

import (
	"context"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// Inverse is the inverse construction: w is a random strictly convex potential,
// and ρ is the law that belongs to it,
//
//	w(x) = ½xᵀHx + Σ_k s_k·softplus(a_k·x + b_k),  ρ = ∇w*♯𝔓_w.
type Inverse struct {
	h      blas64.General // (d, d)
	a      blas64.General // (K, d)
	b, s   []float64      // (K)
	metric *potential.Preconditioner
}

// NewInverse draws w on ℝᵈ with the given number of hinges; d and hinges must
// be at least 1. The mean curvature is about 1 along each axis. Half of it is
// H, with eigenvalues from ¼ to 1; the hinges bend within about a unit.
func NewInverse(d, hinges int, rng *random.Stream) (*Inverse, error) {
	if d < 1 || hinges < 1 {
		return nil, fmt.Errorf("inverse problem on ℝ^%d with %d hinges; both must be at least 1", d, hinges)
	}
	w := &Inverse{h: newWide(d, d), a: newWide(hinges, d), b: make([]float64, hinges), s: make([]float64, hinges)}
	q := randomRotation(d, rng)
	scaled := newWide(d, d)
	for k := range d {
		value := .25 * math.Pow(4, rng.Float64())
		for i := range d {
			scaled.Data[i*d+k] = value * q.Data[i*q.Stride+k]
		}
	}
	product(scaled, blas.Trans, q, w.h)
	const sharpness = 6
	// The mean of softplus″(t) over t of deviation s is near 1/(s·√2π).
	bend := sharpness * sharpness / (math.Sqrt(2*math.Pi) * sharpness)
	for k := range hinges {
		a := w.a.Data[k*d : (k+1)*d]
		var size float64
		for j := range a {
			a[j] = rng.NormFloat64()
			size += a[j] * a[j]
		}
		for j := range a {
			a[j] *= sharpness / math.Sqrt(size)
		}
		w.b[k] = sharpness * .7 * rng.NormFloat64()
		w.s[k] = (.5 + rng.Float64()) * .5 * float64(d) / float64(hinges) / bend
	}
	metric, err := potential.PreconditionerFromHessian(w.typicalHessian())
	if err != nil {
		return nil, fmt.Errorf("inverse problem: %w", err)
	}
	w.metric = metric
	return w, nil
}

// typicalHessian is H + Σ_k s_k·E[softplus″]·a_k·a_kᵀ with the mean curvature of
// NewInverse for each hinge.
func (w *Inverse) typicalHessian() *mat.SymDense {
	d := w.Dim()
	out := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			out.SetSym(i, j, (w.h.Data[i*d+j]+w.h.Data[j*d+i])/2)
		}
	}
	for k, s := range w.s {
		a := mat.NewVecDense(d, w.a.Data[k*d:(k+1)*d])
		out.SymRankOne(out, s/(math.Sqrt(2*math.Pi)*mat.Norm(a, 2)), a)
	}
	return out
}

// Dim is d.
func (w *Inverse) Dim() int { return w.h.Cols }

// Eval writes w(x_i) and ∇w(x_i) = Hx_i + Σ_k s_k·σ(a_k·x_i + b_k)·a_k.
func (w *Inverse) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if err := checkEval(w, x, value, grad); err != nil {
		return err
	}
	wide, g, t := widened(x), newWide(x.Rows, x.Cols), newWide(x.Rows, len(w.b))
	product(wide, blas.NoTrans, w.h, g)
	product(wide, blas.Trans, w.a, t)
	for i := range x.Rows {
		var sum float64
		for j, v := range wide.Data[i*wide.Stride:][:x.Cols] {
			sum += v * g.Data[i*g.Stride+j] / 2
		}
		for k, v := range t.Data[i*t.Stride:][:t.Cols] {
			v += w.b[k]
			e := math.Exp(-math.Abs(v))
			sigma := 1 / (1 + e)
			if v < 0 {
				sigma = e / (1 + e)
			}
			if value != nil {
				sum += w.s[k] * (max(v, 0) + math.Log1p(e))
			}
			t.Data[i*t.Stride+k] = w.s[k] * sigma
		}
		if value != nil {
			value[i] = float32(sum)
		}
	}
	if grad.Data != nil && x.Rows > 0 {
		blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, t, w.a, 1, g)
		narrow(grad, g)
	}
	return nil
}

// Sample draws n points of ρ. Up to 1000 chains of MALA first take 300 steps to
// forget their start and settle their step. Then every tenth state is mapped
// through ∇w*, to the precision of float32. Points of one chain, n/1000 rows
// apart, are slightly correlated.
func (w *Inverse) Sample(n int, rng *random.Stream) (blas32.General, error) {
	const most, settle, thin = 1000, 300, 10
	d := w.Dim()
	y, x := batch.New(max(0, n), d), batch.New(max(0, n), d)
	if y.Rows == 0 {
		return x, nil
	}
	start := batch.New(min(n, most), d)
	rng.Normals(start.Data)
	chains, err := sampling.NewChains(start)
	if err != nil {
		return x, err
	}
	sampler := sampling.Langevin{Adjusted: true, Step: .5, Preconditioner: w.metric, Decay: .6}
	steps := settle
	for done := 0; done < n; done += start.Rows {
		if _, err := sampler.Run(context.Background(), w, chains, steps, rng); err != nil {
			return x, fmt.Errorf("inverse problem: sampling: %w", err)
		}
		sampler.Freeze, steps = true, thin
		copy(y.Data[done*d:], chains.Y.Data)
	}
	// ∇w is near (typical Hessian)·x.
	w.metric.Apply(x, y)
	solver := &conjugate.LBFGS{Tolerance: 1e-5, MaxIterations: 400}
	info, err := solver.Solve(context.Background(), w, y, x, w.metric)
	if err != nil {
		return x, fmt.Errorf("inverse problem: conjugates: %w", err)
	}
	if worst := info.MaxResidual(); !(worst <= 1e-4) {
		return x, fmt.Errorf("inverse problem: a conjugate has the relative residual %g; 1e-4 is allowed", worst)
	}
	return x, nil
}
