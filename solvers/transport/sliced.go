package transport

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/order"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// directionsAtOnce limits the memory of SlicedW2.
const directionsAtOnce = 64

// SlicedW2 is the sliced 2-Wasserstein distance between the laws of the rows of x,
// (n, d), and y, (m, d), in units of the rows,
//
//	(mean_θ W₂²(⟨θ,x⟩, ⟨θ,y⟩))^{1/2},
//
// over directions θ drawn uniformly from the unit sphere. Rows that are not finite
// are an error. N. Bonneel, J. Rabin, G. Peyré, H. Pfister, "Sliced and Radon
// Wasserstein Barycenters of Measures", J. Math. Imaging Vis. 51, 2015, pages 22–45.
func SlicedW2(x, y blas32.General, directions int, rng *random.Stream) (float64, error) {
	if x.Rows < 1 || y.Rows < 1 || x.Cols < 1 || x.Cols != y.Cols {
		return 0, fmt.Errorf("transport: sliced W2 of batches (%d, %d) and (%d, %d); neither may be empty and the widths must agree", x.Rows, x.Cols, y.Rows, y.Cols)
	}
	if directions < 1 {
		return 0, fmt.Errorf("transport: sliced W2 over %d directions; give one or more", directions)
	}
	if err := batch.Check("x of sliced W2", x); err != nil {
		return 0, err
	}
	if err := batch.Check("y of sliced W2", y); err != nil {
		return 0, err
	}
	var sum float64
	costs := make([]float64, min(directions, directionsAtOnce))
	theta := batch.New(len(costs), x.Cols)
	px, py := batch.New(len(costs), x.Rows), batch.New(len(costs), y.Rows)
	work := batch.New(len(costs), max(x.Rows, y.Rows))
	for left := directions; left > 0; left -= len(costs) {
		costs = costs[:min(left, len(costs))]
		theta.Rows, px.Rows, py.Rows = len(costs), len(costs), len(costs)
		for i := range costs {
			direction(batch.Row(theta, i), rng)
		}
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, theta, x, 0, px)
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, theta, y, 0, py)
		kernel.Parallel(len(costs), 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				costs[i] = quantileCost(batch.Row(px, i), batch.Row(py, i), batch.Row(work, i))
			}
		})
		for _, c := range costs {
			sum += c
		}
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return 0, errors.New("transport: sliced W2 of rows that are not finite")
	}
	return math.Sqrt(sum / float64(directions)), nil
}

// LineW2 is the 2-Wasserstein distance between the laws of the points x and y on the
// line, in their units: (∫₀¹ |F_x⁻¹(u) − F_y⁻¹(u)|² du)^{1/2}. x and y may differ in
// length. Empty slices and points that are not finite are errors.
func LineW2(x, y []float32) (float64, error) {
	if len(x) == 0 || len(y) == 0 {
		return 0, fmt.Errorf("transport: W2 of %d points and %d points; neither may be empty", len(x), len(y))
	}
	cost := quantileCost(slices.Clone(x), slices.Clone(y), make([]float32, max(len(x), len(y))))
	if math.IsNaN(cost) || math.IsInf(cost, 0) {
		return 0, errors.New("transport: W2 of points that are not finite")
	}
	return math.Sqrt(cost), nil
}

// quantileCost sorts x and y in place and returns ∫|F_x⁻¹ − F_y⁻¹|². work is as long as
// both together.
func quantileCost(x, y, work []float32) float64 {
	order.Sort(x, work)
	order.Sort(y, work)
	n, m := len(x), len(y)
	var sum float64
	// Both quantile functions are step functions. In units of 1/(n·m) of [0, 1], their
	// steps are at multiples of m and of n.
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
func direction(v []float32, rng *random.Stream) {
	for {
		rng.Normals(v)
		if s := math.Sqrt(batch.SumSquares(v)); s > 0 {
			kernel.Affine(v, float32(1/s), v, 0)
			return
		}
	}
}
