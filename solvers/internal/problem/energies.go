package problem

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// ScalarEnergy is w(y) = h·y²/2 + q·y⁴/4 on ℝ.
type ScalarEnergy struct{ H, Q float64 }

func (ScalarEnergy) Dim() int { return 1 }

func (w ScalarEnergy) At(y float64) float64 { return w.H*y*y/2 + w.Q*y*y*y*y/4 }

func (w ScalarEnergy) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		y := float64(batch.Row(x, i)[0])
		if value != nil {
			value[i] = float32(w.At(y))
		}
		if grad.Data != nil {
			batch.Row(grad, i)[0] = float32(w.H*y + w.Q*y*y*y)
		}
	}
	return nil
}

// Wall makes a potential NaN where a coordinate is greater than At.
type Wall struct {
	potential.Potential
	At float32
}

func (w Wall) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if err := w.Potential.Eval(x, value, grad); err != nil {
		return err
	}
	for i := range x.Rows {
		for _, y := range batch.Row(x, i) {
			if value != nil && y > w.At {
				value[i] = float32(math.NaN())
			}
		}
	}
	return nil
}

// GaussianEnergy is ½(y − m)ᵀH(y − m), with H = Σ⁻¹.
type GaussianEnergy struct {
	Mean   []float32
	H, Cov *mat.SymDense
	h32    blas32.General
}

func RandomGaussian(tb testing.TB, d int, seed uint64) *GaussianEnergy {
	tb.Helper()
	rng := random.New(seed, "covariance", 0)
	root := mat.NewDense(d, d, nil)
	for i := range d {
		for j := range d {
			root.Set(i, j, rng.NormFloat64()/math.Sqrt(float64(d)))
		}
	}
	w := &GaussianEnergy{Mean: make([]float32, d), H: mat.NewSymDense(d, nil), Cov: mat.NewSymDense(d, nil), h32: batch.New(d, d)}
	w.Cov.SymOuterK(1, root)
	for i := range d {
		w.Cov.SetSym(i, i, w.Cov.At(i, i)+.2)
		w.Mean[i] = float32(rng.NormFloat64())
	}
	var chol mat.Cholesky
	if !chol.Factorize(w.Cov) {
		tb.Fatal("a random covariance is not positive definite")
	}
	if err := chol.InverseTo(w.H); err != nil {
		tb.Fatal(err)
	}
	for i := range d {
		for j := range d {
			w.h32.Data[i*d+j] = float32(w.H.At(i, j))
		}
	}
	return w
}

func (w *GaussianEnergy) Dim() int { return len(w.Mean) }

func (w *GaussianEnergy) Eval(x blas32.General, value []float32, grad blas32.General) error {
	centred, g := batch.New(x.Rows, x.Cols), batch.New(x.Rows, x.Cols)
	for i := range x.Rows {
		for j, y := range batch.Row(x, i) {
			batch.Row(centred, i)[j] = y - w.Mean[j]
		}
	}
	if err := w.HessVec(x, centred, g); err != nil {
		return err
	}
	for i := range x.Rows {
		if value != nil {
			value[i] = blas32.Dot(blas32.Vector{N: x.Cols, Inc: 1, Data: batch.Row(centred, i)}, blas32.Vector{N: x.Cols, Inc: 1, Data: batch.Row(g, i)}) / 2
		}
		if grad.Data != nil {
			copy(batch.Row(grad, i), batch.Row(g, i))
		}
	}
	return nil
}

func (w *GaussianEnergy) HessVec(_, v, hv blas32.General) error {
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, v, w.h32, 0, hv)
	return nil
}

// ChainsAt has n chains in ℝᵈ that start with every coordinate at y.
func ChainsAt(tb testing.TB, n, d int, y float32) *sampling.Chains {
	tb.Helper()
	start := batch.New(n, d)
	for k := range start.Data {
		start.Data[k] = y
	}
	c, err := sampling.NewChains(start)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func Run(tb testing.TB, l sampling.Langevin, w potential.Potential, c *sampling.Chains, steps int) sampling.Info {
	tb.Helper()
	info, err := l.Run(tb.Context(), w, c, steps, random.New(17, tb.Name(), 0))
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

// Within checks that got is within five standard errors of want.
func Within(tb testing.TB, name string, got, want, standardError float64) {
	tb.Helper()
	tb.Logf("%s: %g, want %g, standard error %.2g", name, got, want, standardError)
	if !(math.Abs(got-want) <= 5*standardError) {
		tb.Errorf("%s: %g, want %g, standard error %.2g", name, got, want, standardError)
	}
}

// Moment is the mean of yᵏ over one-dimensional chains.
func Moment(c *sampling.Chains, k int) float64 {
	var sum float64
	for _, y := range c.Y.Data {
		sum += math.Pow(float64(y), float64(k))
	}
	return sum / float64(len(c.Y.Data))
}

// DoubleWell is w(x) = Σ_j x_j⁴/4 − x_j²/2, not convex where some |x_j| < 1/√3.
type DoubleWell struct{ D int }

func (w DoubleWell) Dim() int { return w.D }

func (w DoubleWell) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		var sum float64
		for j, v := range batch.Row(x, i) {
			u := float64(v)
			sum += u*u*u*u/4 - u*u/2
			if grad.Data != nil {
				batch.Row(grad, i)[j] = float32(u*u*u - u)
			}
		}
		if value != nil {
			value[i] = float32(sum)
		}
	}
	return nil
}

func (w DoubleWell) HessVec(x, v, hv blas32.General) error {
	for i := range x.Rows {
		for j, u := range batch.Row(x, i) {
			batch.Row(hv, i)[j] = (3*u*u - 1) * batch.Row(v, i)[j]
		}
	}
	return nil
}
