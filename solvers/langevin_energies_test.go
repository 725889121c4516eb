package solvers

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// scalarEnergy is w(y) = h·y²/2 + q·y⁴/4 on ℝ.
type scalarEnergy struct{ h, q float64 }

func (scalarEnergy) Dim() int { return 1 }

func (w scalarEnergy) at(y float64) float64 { return w.h*y*y/2 + w.q*y*y*y*y/4 }

func (w scalarEnergy) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		y := float64(row(x, i)[0])
		if value != nil {
			value[i] = float32(w.at(y))
		}
		if grad.Data != nil {
			row(grad, i)[0] = float32(w.h*y + w.q*y*y*y)
		}
	}
	return nil
}

// wall makes a potential NaN where a coordinate exceeds at.
type wall struct {
	Potential
	at float32
}

func (w wall) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if err := w.Potential.Eval(x, value, grad); err != nil {
		return err
	}
	for i := range x.Rows {
		for _, y := range row(x, i) {
			if value != nil && y > w.at {
				value[i] = float32(math.NaN())
			}
		}
	}
	return nil
}

// scalarEnergies is ½‖y‖² on ℝᵈ.
type scalarEnergies struct{ d int }

func (w scalarEnergies) Dim() int { return w.d }

func (w scalarEnergies) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		copy(row(grad, i), row(x, i))
		value[i] = float32(sumSquares(row(x, i)) / 2)
	}
	return nil
}

// gaussianEnergy is ½(y − m)ᵀH(y − m), with H = Σ⁻¹.
type gaussianEnergy struct {
	mean   []float32
	h, cov *mat.SymDense
	h32    blas32.General
}

func randomGaussian(tb testing.TB, d int, seed uint64) *gaussianEnergy {
	tb.Helper()
	rng := NewStream(seed, "covariance", 0)
	root := mat.NewDense(d, d, nil)
	for i := range d {
		for j := range d {
			root.Set(i, j, rng.NormFloat64()/math.Sqrt(float64(d)))
		}
	}
	w := &gaussianEnergy{mean: make([]float32, d), h: mat.NewSymDense(d, nil), cov: mat.NewSymDense(d, nil), h32: newBatch(d, d)}
	w.cov.SymOuterK(1, root)
	for i := range d {
		w.cov.SetSym(i, i, w.cov.At(i, i)+.2)
		w.mean[i] = float32(rng.NormFloat64())
	}
	var chol mat.Cholesky
	if !chol.Factorize(w.cov) {
		tb.Fatal("a random covariance is not positive definite")
	}
	if err := chol.InverseTo(w.h); err != nil {
		tb.Fatal(err)
	}
	for i := range d {
		for j := range d {
			w.h32.Data[i*d+j] = float32(w.h.At(i, j))
		}
	}
	return w
}

func (w *gaussianEnergy) Dim() int { return len(w.mean) }

func (w *gaussianEnergy) Eval(x blas32.General, value []float32, grad blas32.General) error {
	centred, g := newBatch(x.Rows, x.Cols), newBatch(x.Rows, x.Cols)
	for i := range x.Rows {
		for j, y := range row(x, i) {
			row(centred, i)[j] = y - w.mean[j]
		}
	}
	if err := w.HessVec(x, centred, g); err != nil {
		return err
	}
	for i := range x.Rows {
		if value != nil {
			value[i] = blas32.Dot(blas32.Vector{N: x.Cols, Inc: 1, Data: row(centred, i)}, blas32.Vector{N: x.Cols, Inc: 1, Data: row(g, i)}) / 2
		}
		if grad.Data != nil {
			copy(row(grad, i), row(g, i))
		}
	}
	return nil
}

func (w *gaussianEnergy) HessVec(_, v, hv blas32.General) error {
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, v, w.h32, 0, hv)
	return nil
}

// chainsAt is n chains in ℝᵈ that start with every coordinate at y.
func chainsAt(tb testing.TB, n, d int, y float32) *Chains {
	tb.Helper()
	start := newBatch(n, d)
	for k := range start.Data {
		start.Data[k] = y
	}
	c, err := NewChains(start)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func run(tb testing.TB, l Langevin, w Potential, c *Chains, steps int) LangevinInfo {
	tb.Helper()
	info, err := l.Run(w, c, steps, NewStream(17, tb.Name(), 0).Rand)
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

// within checks got against want to five standard errors.
func within(tb testing.TB, name string, got, want, standardError float64) {
	tb.Helper()
	tb.Logf("%s: %g, want %g, standard error %.2g", name, got, want, standardError)
	if !(math.Abs(got-want) <= 5*standardError) {
		tb.Errorf("%s: %g, want %g, standard error %.2g", name, got, want, standardError)
	}
}

// moment is the mean of yᵏ over one-dimensional chains.
func moment(c *Chains, k int) float64 {
	var sum float64
	for _, y := range c.Y.Data {
		sum += math.Pow(float64(y), float64(k))
	}
	return sum / float64(len(c.Y.Data))
}

func meanAndCovariance(c *Chains) ([]float64, *mat.SymDense) {
	n, d := c.Y.Rows, c.Y.Cols
	mean, cov := make([]float64, d), mat.NewSymDense(d, nil)
	for i := range n {
		for j, y := range row(c.Y, i) {
			mean[j] += float64(y) / float64(n)
		}
	}
	centred := mat.NewVecDense(d, nil)
	for i := range n {
		for j, y := range row(c.Y, i) {
			centred.SetVec(j, float64(y)-mean[j])
		}
		cov.SymRankOne(cov, 1/float64(n-1), centred)
	}
	return mean, cov
}

func sameChains(tb testing.TB, name string, got, want *Chains) {
	tb.Helper()
	for k, y := range want.Y.Data {
		if got.Y.Data[k] != y || got.Grad.Data[k] != want.Grad.Data[k] {
			tb.Fatalf("%s: number %d is %v with gradient %v, want %v with %v", name, k, got.Y.Data[k], got.Grad.Data[k], y, want.Grad.Data[k])
		}
	}
	if got.Step != want.Step || got.Adaptations != want.Adaptations || got.Curvature != want.Curvature {
		tb.Fatalf("%s: the step is %v, want %v", name, got.Step, want.Step)
	}
}
