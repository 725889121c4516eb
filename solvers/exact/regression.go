package exact

import (
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Regression is the linear Gaussian law of x ∈ ℝᵈ given a context c ∈ ℝᵏ,
//
//	x | c ~ N(m + K(c − c̄), S).
type Regression struct {
	Context []float64  // c̄
	Gain    *mat.Dense // K, (d, k)
	Law     *Gaussian  // N(m, S), the law at c̄
}

// Regress fits x, (n, d), to the contexts c, (n, k), by least squares; ridge is added to
// every variance of the residuals. Directions in which the contexts do not vary, as those
// of labels that are the corners of a simplex, get no gain. n must be at least k + 2.
func Regress(x, c blas32.General, ridge float64) (*Regression, error) {
	n, d, k := x.Rows, x.Cols, c.Cols
	switch {
	case c.Rows != n:
		return nil, fmt.Errorf("exact: a regression of %d points on %d contexts; they must agree", n, c.Rows)
	case k < 1 || n < k+2:
		return nil, fmt.Errorf("exact: a regression of %d points on contexts of %d columns; it needs at least one column, and two points more than columns", n, k)
	}
	meanX, meanC := batch.Means(x), batch.Means(c)
	joint := products(n, k+d, float64(n-1), func(i int, to []float32) {
		for j, v := range batch.Row(c, i) {
			to[j] = float32(float64(v) - meanC[j])
		}
		for j, v := range batch.Row(x, i) {
			to[k+j] = float32(float64(v) - meanX[j])
		}
	})
	var eig mat.EigenSym
	if !eig.Factorize(joint.SliceSym(0, k), true) {
		return nil, fmt.Errorf("exact: the covariance of the contexts of a regression has no eigenvalues; they must be finite")
	}
	const least = 1e-6 // of the largest variance of the contexts: below it is rounding
	var vectors, along, gain mat.Dense
	eig.VectorsTo(&vectors)
	values := eig.Values(nil)
	cross := mat.NewDense(k, d, nil)
	for i := range k {
		for j := range d {
			cross.Set(i, j, joint.At(i, k+j))
		}
	}
	along.Mul(vectors.T(), cross)
	for i, v := range values {
		for j := range d {
			if v > least*values[k-1] {
				along.Set(i, j, along.At(i, j)/v)
			} else {
				along.Set(i, j, 0)
			}
		}
	}
	gain.Mul(&vectors, &along) // Kᵀ
	r := &Regression{Context: meanC, Gain: mat.DenseCopyOf(gain.T()), Law: &Gaussian{Mean: make([]float64, d)}}
	residuals, err := r.Residuals(x, c)
	if err != nil {
		return nil, err
	}
	// The gain takes a degree of freedom for each column of the contexts.
	covariance := products(n, d, float64(n-1-k), func(i int, to []float32) {
		for j, v := range batch.Row(residuals, i) {
			to[j] = float32(float64(v) - meanX[j])
		}
	})
	for i := range d {
		covariance.SetSym(i, i, covariance.At(i, i)+ridge)
	}
	if r.Law, err = NewGaussian(meanX, covariance); err != nil {
		return nil, fmt.Errorf("%w: the residuals of a regression", err)
	}
	return r, nil
}

// Dim is d.
func (r *Regression) Dim() int { return len(r.Law.Mean) }

// Shifts are K(c_i − c̄), (n, d), for contexts c of shape (n, k).
func (r *Regression) Shifts(c blas32.General) (blas32.General, error) {
	if err := batch.Check("the contexts of a regression", c); err != nil {
		return blas32.General{}, err
	}
	if c.Cols != len(r.Context) {
		return blas32.General{}, fmt.Errorf("exact: contexts of %d columns for a regression on %d; they must agree", c.Cols, len(r.Context))
	}
	shifts := batch.New(c.Rows, r.Dim())
	if c.Rows > 0 {
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, batch.Shifted(c, r.Context), batch.FromMatrix(r.Gain), 0, shifts)
	}
	return shifts, nil
}

// Residuals are x_i − K(c_i − c̄), which have the law N(m, S) of r.Law.
func (r *Regression) Residuals(x, c blas32.General) (blas32.General, error) {
	shifts, err := r.Shifts(c)
	if err != nil {
		return blas32.General{}, err
	}
	if err := batch.CheckSameShape("the points of a regression", x, "their shifts", shifts); err != nil {
		return blas32.General{}, err
	}
	for i := range x.Rows {
		batch.SubtractFrom(batch.Row(x, i), batch.Row(shifts, i))
	}
	return shifts, nil
}

// Given is the law N(m + K(c − c̄), S) of x given the context c.
func (r *Regression) Given(c []float32) (*Gaussian, error) {
	shift, err := r.Shifts(blas32.General{Rows: 1, Cols: len(c), Stride: max(1, len(c)), Data: c})
	if err != nil {
		return nil, err
	}
	g := *r.Law
	g.Mean = make([]float64, r.Dim())
	for j, v := range batch.Row(shift, 0) {
		g.Mean[j] = r.Law.Mean[j] + float64(v)
	}
	return &g, nil
}

// Centers are the means (I + S^{1/3})⁻¹(m + K(c_i − c̄)) of the Gibbs factors given the
// contexts c; see Gaussian.ConjugateMoment.
func (r *Regression) Centers(c blas32.General) (blas32.General, error) {
	shifts, err := r.Shifts(c)
	if err != nil {
		return blas32.General{}, err
	}
	centers := batch.New(c.Rows, r.Dim())
	if c.Rows > 0 {
		batch.Multiply(centers, shifts, batch.FromMatrix(r.CenterMatrix()))
	}
	for i := range centers.Rows {
		for j, v := range r.Law.Center() {
			batch.Row(centers, i)[j] += float32(v)
		}
	}
	return centers, nil
}

// CenterMatrix is (I + S^{1/3})⁻¹.
func (r *Regression) CenterMatrix() *mat.SymDense {
	inverse := &Gaussian{Mean: r.Law.Mean, Values: make([]float64, r.Dim()), Vectors: r.Law.Vectors}
	for i, v := range r.Law.Values {
		inverse.Values[i] = 1 / (1 + math.Cbrt(v))
	}
	return inverse.Power(1)
}

// SampleGibbs draws y_i from the Gibbs factor N(a(c_i), S^{1/3}) of each row's context,
// and gives the conjugates S^{1/3}y_i + a(c_i).
func (r *Regression) SampleGibbs(c blas32.General, rng *random.Stream) (y, conjugates blas32.General, err error) {
	centers, err := r.Centers(c)
	if err != nil {
		return y, conjugates, err
	}
	y = r.Law.draw(make([]float64, r.Dim()), 1./6, c.Rows, rng)
	for i := range y.Data {
		y.Data[i] += centers.Data[i]
	}
	conjugates = batch.New(y.Rows, y.Cols)
	if y.Rows > 0 {
		batch.Multiply(conjugates, y, batch.FromMatrix(r.Law.Power(1./3)))
	}
	for i := range conjugates.Data {
		conjugates.Data[i] += centers.Data[i]
	}
	return y, conjugates, nil
}
