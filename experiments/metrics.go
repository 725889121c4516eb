package experiments

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// EnergyDistance is D² = 2·E|X−Y| − E|X−X′| − E|Y−Y′| between the laws of the
// rows of x (n, d) and y (m, d), in data units.
//
// It is the unbiased U-statistic: the averages within x and within y leave out
// a row's distance to itself, so that the mean over samples of one law is 0 and
// single values may be negative. Each batch needs two rows. It is NaN where a
// row is not finite.
//
// G. J. Székely, M. L. Rizzo, "Energy statistics: a class of statistics based
// on distances", J. Stat. Plan. Inference 143 (2013), 1249–1272.
func EnergyDistance(x, y blas32.General) (float64, error) {
	if err := checkPair(x, y, 2); err != nil {
		return 0, fmt.Errorf("energy distance: %w", err)
	}
	// Distances do not change with the origin, and round least about the mean.
	mean := columnMeans(x)
	x, y = shifted(x, mean), shifted(y, mean)
	n, m := float64(x.Rows), float64(y.Rows)
	cross := sumDistances(func(visit visitor) { eachCross(x, y, visit) })
	within := sumDistances(func(visit visitor) { eachPair(x, visit) })/(n*(n-1)/2) +
		sumDistances(func(visit visitor) { eachPair(y, visit) })/(m*(m-1)/2)
	return 2*cross/(n*m) - within, nil
}

type visitor = func(i, j int, d2 []float32)

func sumDistances(each func(visitor)) float64 {
	var sum float64
	each(func(_, _ int, d2 []float32) {
		for _, v := range d2 {
			sum += math.Sqrt(float64(v))
		}
	})
	return sum
}

// FrechetDistance is the squared 2-Wasserstein distance between the Gaussians
// fitted to the rows of a (n, d) and b (m, d):
// |μ_a−μ_b|² + tr(Σ_a + Σ_b − 2(Σ_a Σ_b)^{1/2}), in squared units of the rows.
//
// On the features of a classifier it compares sets of images; only distances
// in the same features can be compared. Each batch needs two rows. It is NaN
// where a row is not finite.
//
// M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to
// a Local Nash Equilibrium", NeurIPS 2017, §6.
func FrechetDistance(a, b blas32.General) (float64, error) {
	if err := checkPair(a, b, 2); err != nil {
		return 0, fmt.Errorf("the Fréchet distance: %w", err)
	}
	ma, sa := moments(a)
	mb, sb := moments(b)
	if !finite(ma) || !finite(mb) {
		return math.NaN(), nil
	}
	v, err := frechetGaussians(ma, sa, mb, sb)
	if err != nil {
		return 0, fmt.Errorf("the Fréchet distance: %w", err)
	}
	return v, nil
}

// moments is the mean μ and the covariance Σ (divided by n−1) of the rows of x.
func moments(x blas32.General) ([]float64, *mat.SymDense) {
	wide := mat.NewDense(x.Rows, x.Cols, nil)
	for i := range x.Rows {
		for j, v := range row(x, i) {
			wide.Set(i, j, float64(v))
		}
	}
	var cov mat.SymDense
	stat.CovarianceMatrix(&cov, wide, nil)
	return columnMeans(x), &cov
}

// frechetGaussians is the squared 2-Wasserstein distance of N(ma, sa) and
// N(mb, sb). Both roots are symmetric:
// tr (Σ_a Σ_b)^{1/2} = tr (Σ_a^{1/2} Σ_b Σ_a^{1/2})^{1/2}.
func frechetGaussians(ma []float64, sa *mat.SymDense, mb []float64, sb *mat.SymDense) (float64, error) {
	var eigen mat.EigenSym
	if !eigen.Factorize(sa, true) {
		return 0, errors.New("the eigenvalues of the first covariance were not found")
	}
	d := len(ma)
	var q, root, inner mat.Dense
	eigen.VectorsTo(&q)
	values := eigen.Values(nil)
	root.CloneFrom(&q)
	root.Apply(func(_, j int, v float64) float64 { return v * math.Sqrt(max(0, values[j])) }, &root)
	root.Mul(&root, q.T())
	inner.Mul(&root, sb)
	inner.Mul(&inner, &root)
	middle := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			middle.SetSym(i, j, (inner.At(i, j)+inner.At(j, i))/2)
		}
	}
	if !eigen.Factorize(middle, false) {
		return 0, errors.New("the eigenvalues of the product of covariances were not found")
	}
	sum := mat.Trace(sa) + mat.Trace(sb)
	for _, v := range eigen.Values(nil) {
		sum -= 2 * math.Sqrt(max(0, v))
	}
	for k := range ma {
		sum += (ma[k] - mb[k]) * (ma[k] - mb[k])
	}
	return max(0, sum), nil
}

// SlicedW2 is the sliced 2-Wasserstein distance
// (mean over θ of W₂²(⟨θ,X⟩, ⟨θ,Y⟩))^{1/2} between the rows of x (n, d) and
// y (m, d), over the given number of directions θ drawn uniformly from the unit
// sphere; in data units. It is NaN where a row is not finite.
//
// N. Bonneel, J. Rabin, G. Peyré, H. Pfister, "Sliced and Radon Wasserstein
// Barycenters of Measures", J. Math. Imaging Vis. 51 (2015), 22–45.
func SlicedW2(x, y blas32.General, projections int, rng *rand.Rand) (float64, error) {
	if err := checkPair(x, y, 1); err != nil {
		return 0, fmt.Errorf("sliced W2: %w", err)
	}
	if projections < 1 {
		return 0, fmt.Errorf("sliced W2: %d projections; give one or more", projections)
	}
	if !finite(columnMeans(x)) || !finite(columnMeans(y)) {
		return math.NaN(), nil
	}
	d := x.Cols
	theta := blas32.General{Rows: projections, Cols: d, Stride: d, Data: make([]float32, projections*d)}
	for i := range projections {
		direction(row(theta, i), rng)
	}
	px, py := project(theta, x), project(theta, y)
	var sum float64
	for i := range projections {
		sum += sortedCost(row(px, i), row(py, i))
	}
	return math.Sqrt(sum / float64(projections)), nil
}

// W2Line is the exact 2-Wasserstein distance between the laws of the rows of
// x (n, 1) and y (m, 1), in data units: (∫₀¹ |F_X⁻¹(u) − F_Y⁻¹(u)|² du)^{1/2}.
// It is NaN where a row is not finite.
func W2Line(x, y blas32.General) (float64, error) {
	if err := checkPair(x, y, 1); err != nil {
		return 0, fmt.Errorf("W2 on the line: %w", err)
	}
	if x.Cols != 1 {
		return 0, fmt.Errorf("W2 on the line: rows of %d columns; it needs 1", x.Cols)
	}
	if !finite(columnMeans(x)) || !finite(columnMeans(y)) {
		return math.NaN(), nil
	}
	return math.Sqrt(sortedCost(column(x, 0), column(y, 0))), nil
}

// sortedCost sorts x and y in place and returns ∫|F_X⁻¹ − F_Y⁻¹|².
func sortedCost(x, y []float32) float64 {
	slices.Sort(x)
	slices.Sort(y)
	n, m := len(x), len(y)
	var sum float64
	// Both quantile functions are steps, at multiples of m and n when [0, 1] is
	// measured in whole units of 1/(n·m).
	for u, i, j := 0, 0, 0; i < n && j < m; {
		next := min((i+1)*m, (j+1)*n)
		gap := float64(x[i]) - float64(y[j])
		sum += float64(next-u) * gap * gap
		u = next
		if u == (i+1)*m {
			i++
		}
		if u == (j+1)*n {
			j++
		}
	}
	return sum / (float64(n) * float64(m))
}

// direction fills v with a uniform point of the unit sphere.
func direction(v []float32, rng *rand.Rand) {
	for {
		var s float64
		for k := range v {
			g := rng.NormFloat64()
			v[k] = float32(g)
			s += g * g
		}
		if s > 0 {
			scale := float32(1 / math.Sqrt(s))
			for k := range v {
				v[k] *= scale
			}
			return
		}
	}
}

// project is θ·xᵀ: a row of projections for each direction.
func project(theta, x blas32.General) blas32.General {
	p := blas32.General{Rows: theta.Rows, Cols: x.Rows, Stride: x.Rows, Data: make([]float32, theta.Rows*x.Rows)}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, theta, x, 0, p)
	return p
}

// checkPair says whether x and y are batches of one width with enough rows.
func checkPair(x, y blas32.General, least int) error {
	if err := checkBatch("x", x, least); err != nil {
		return err
	}
	if err := checkBatch("y", y, least); err != nil {
		return err
	}
	if x.Cols != y.Cols {
		return fmt.Errorf("x has %d columns and y %d; they must agree", x.Cols, y.Cols)
	}
	return nil
}

func checkBatch(name string, x blas32.General, least int) error {
	switch {
	case x.Rows < least || x.Cols < 1:
		return fmt.Errorf("%s has shape (%d, %d); it needs at least %d row(s) and 1 column", name, x.Rows, x.Cols, least)
	case x.Stride < x.Cols || len(x.Data) < (x.Rows-1)*x.Stride+x.Cols:
		return fmt.Errorf("%s of shape (%d, %d) has stride %d and %d values; they do not hold it", name, x.Rows, x.Cols, x.Stride, len(x.Data))
	}
	return nil
}

func row(x blas32.General, i int) []float32 { return x.Data[i*x.Stride:][:x.Cols] }

// rows is the view of rows i to j−1.
func rows(x blas32.General, i, j int) blas32.General {
	return blas32.General{Rows: j - i, Cols: x.Cols, Stride: x.Stride, Data: x.Data[i*x.Stride:]}
}

func column(x blas32.General, j int) []float32 {
	values := make([]float32, x.Rows)
	for i := range values {
		values[i] = x.Data[i*x.Stride+j]
	}
	return values
}

func stacked(x, y blas32.General) blas32.General {
	z := blas32.General{Cols: x.Cols, Stride: x.Cols, Data: make([]float32, 0, (x.Rows+y.Rows)*x.Cols)}
	for _, part := range []blas32.General{x, y} {
		for i := range part.Rows {
			z.Data = append(z.Data, row(part, i)...)
		}
		z.Rows += part.Rows
	}
	return z
}

func columnMeans(x blas32.General) []float64 {
	mean := make([]float64, x.Cols)
	for i := range x.Rows {
		for j, v := range row(x, i) {
			mean[j] += float64(v)
		}
	}
	for j := range mean {
		mean[j] /= float64(x.Rows)
	}
	return mean
}

// shifted is a copy of x with shift subtracted from each row.
func shifted(x blas32.General, shift []float64) blas32.General {
	z := blas32.General{Rows: x.Rows, Cols: x.Cols, Stride: x.Cols, Data: make([]float32, x.Rows*x.Cols)}
	for i := range x.Rows {
		to := row(z, i)
		for j, v := range row(x, i) {
			to[j] = float32(float64(v) - shift[j])
		}
	}
	return z
}

func finite(values []float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
