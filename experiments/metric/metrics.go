package metric

import (
	"errors"
	"fmt"
	"math"

	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/random"
	"cmf/solvers/transport"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// EnergyDistance is D² = 2·E|X−Y| − E|X−X′| − E|Y−Y′| between the laws of the
// rows of x (n, d) and y (m, d), in data units.
//
// It is the unbiased U-statistic: the averages within x and within y leave out
// a row's distance to itself. So the mean over samples of one law is 0, and
// single values may be negative. Each batch needs two rows. It is NaN where a
// row is not finite.
//
// G. J. Székely, M. L. Rizzo, "Energy statistics: a class of statistics based
// on distances", J. Stat. Plan. Inference 143 (2013), 1249–1272.
func EnergyDistance(x, y blas32.General) (float64, error) {
	if err := checkPair(x, y, 2); err != nil {
		return 0, fmt.Errorf("energy distance: %w", err)
	}
	// Distances do not change with the origin, and rounding is least with the
	// mean as origin.
	mean := batch.Means(x)
	x, y = batch.Shifted(x, mean), batch.Shifted(y, mean)
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
	ma, sa := batch.Moments(a)
	mb, sb := batch.Moments(b)
	if !batch.AllFinite(ma) || !batch.AllFinite(mb) {
		return math.NaN(), nil
	}
	v, err := frechetGaussians(ma, sa, mb, sb)
	if err != nil {
		return 0, fmt.Errorf("the Fréchet distance: %w", err)
	}
	return v, nil
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
// sphere; in data units. It is NaN where a row is not finite. See
// transport.SlicedW2.
func SlicedW2(x, y blas32.General, directions int, rng *random.Stream) (float64, error) {
	return ofFinite("sliced W2", x, y, func() (float64, error) { return transport.SlicedW2(x, y, directions, rng) })
}

// W2Line is the exact 2-Wasserstein distance between the laws of the rows of
// x (n, 1) and y (m, 1), in data units: (∫₀¹ |F_X⁻¹(u) − F_Y⁻¹(u)|² du)^{1/2}.
// It is NaN where a row is not finite.
func W2Line(x, y blas32.General) (float64, error) {
	return ofFinite("W2 on the line", x, y, func() (float64, error) {
		if x.Cols != 1 {
			return 0, fmt.Errorf("rows of %d columns; it needs 1", x.Cols)
		}
		return transport.LineW2(batch.Column(x, 0), batch.Column(y, 0))
	})
}

// ExactW2 is the 2-Wasserstein distance between the rows of x and y, both (n, d),
// in data units: (min_σ 1/n Σ_i |x_i − y_σ(i)|²)^{1/2} over permutations σ, by
// optimal assignment; n = 2048 takes about a tenth of a second. It is NaN where a
// row is not finite.
//
// Between samples of one law it is not 0 but of order n^{−1/d} for d > 4:
// compare it with its floor, the distance to the same number of rows of the
// data.
func ExactW2(x, y blas32.General) (float64, error) {
	return ofFinite("exact W2", x, y, func() (float64, error) {
		if x.Rows != y.Rows {
			return 0, fmt.Errorf("x has %d rows and y %d; it needs as many of each", x.Rows, y.Rows)
		}
		n := x.Rows
		mean := batch.Means(y)
		x, y := batch.Shifted(x, mean), batch.Shifted(y, mean)
		cost := blas32.General{Rows: n, Cols: n, Stride: n, Data: make([]float32, n*n)}
		if err := transport.SquaredDistances(cost, x, y); err != nil {
			return 0, err
		}
		a, err := transport.Assign(cost)
		if err != nil {
			return 0, err
		}
		// Distances in cost are differences of larger numbers, so the distances
		// of the pairs are computed again.
		var sum float64
		for i, j := range a.Match {
			sum += float64(kernel.SqDist(batch.Row(x, i), batch.Row(y, j)))
		}
		return math.Sqrt(sum / float64(n)), nil
	})
}

// SinkhornDivergence is S_ε = OT_ε(x, y) − ½OT_ε(x, x) − ½OT_ε(y, y) between
// the rows of x (n, d) and y (m, d) for squared distances, in squared data
// units. ε is .05 of the mean squared distance between x and y. It is NaN where
// a row is not finite. See transport.Sinkhorn.Divergence.
func SinkhornDivergence(x, y blas32.General) (float64, error) {
	return ofFinite("the Sinkhorn divergence", x, y, func() (float64, error) {
		return (&transport.Sinkhorn{Epsilon: .05}).Divergence(x, y)
	})
}

// ofFinite returns the distance between x and y that of computes, or NaN where
// a row is not finite.
func ofFinite(name string, x, y blas32.General, of func() (float64, error)) (float64, error) {
	if err := checkPair(x, y, 1); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	if !batch.AllFinite(batch.Means(x)) || !batch.AllFinite(batch.Means(y)) {
		return math.NaN(), nil
	}
	v, err := of()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// checkPair says whether x and y are batches of one width with enough rows.
func checkPair(x, y blas32.General, least int) error {
	if err := CheckBatch("x", x, least); err != nil {
		return err
	}
	if err := CheckBatch("y", y, least); err != nil {
		return err
	}
	if x.Cols != y.Cols {
		return fmt.Errorf("x has %d columns and y %d; they must agree", x.Cols, y.Cols)
	}
	return nil
}

func CheckBatch(name string, x blas32.General, least int) error {
	switch {
	case x.Rows < least || x.Cols < 1:
		return fmt.Errorf("%s has shape (%d, %d); it needs at least %d row(s) and 1 column", name, x.Rows, x.Cols, least)
	case x.Stride < x.Cols || len(x.Data) < (x.Rows-1)*x.Stride+x.Cols:
		return fmt.Errorf("%s of shape (%d, %d) has stride %d and %d values; they do not hold it", name, x.Rows, x.Cols, x.Stride, len(x.Data))
	}
	return nil
}
