// Package cells divides points into cells by k-means.
package cells

import (
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// KMeans divides the rows of x, (n, d), into k cells. Each row belongs to the
// nearest of the centers, (k, d), and a center is the mean of its rows. The first
// centers are drawn as in k-means++: each with a probability proportional to the
// squared distance from those before it. It ends when no row changes its cell, or
// after the given number of rounds. 1 ≤ k ≤ n; no cell is empty unless x has
// fewer than k different rows.
//
// Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA
// 2007.
func KMeans(x blas32.General, k, rounds int, rng *random.Stream) (cell []int, centers blas32.General, err error) {
	if k < 1 || k > x.Rows {
		return nil, centers, fmt.Errorf("cells: %d cells of %d points; there must be at least 1, and at most one for each point", k, x.Rows)
	}
	if !batch.AllFinite(x.Data) {
		return nil, centers, errors.New("cells: a point is not finite")
	}
	centers = seeds(x, k, rng)
	cell = make([]int, x.Rows)
	for round := range max(rounds, 1) {
		changed := assign(cell, x, centers)
		if round > 0 && !changed {
			break
		}
		means(centers, x, cell)
	}
	assign(cell, x, centers)
	return cell, centers, nil
}

// seeds draws the first centers.
func seeds(x blas32.General, k int, rng *random.Stream) blas32.General {
	centers := batch.New(k, x.Cols)
	distance := make([]float64, x.Rows)
	next := rng.IntN(x.Rows)
	for c := range k {
		copy(batch.Row(centers, c), batch.Row(x, next))
		var sum float64
		for i := range distance {
			d := squaredDistance(batch.Row(x, i), batch.Row(centers, c))
			if c == 0 || d < distance[i] {
				distance[i] = d
			}
			sum += distance[i]
		}
		at := rng.Float64() * sum
		for next = 0; next < x.Rows-1 && at >= distance[next]; next++ {
			at -= distance[next]
		}
	}
	return centers
}

// assign puts every row into the cell of the nearest center.
func assign(cell []int, x, centers blas32.General) (changed bool) {
	inner := batch.New(x.Rows, centers.Rows)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, x, centers, 0, inner)
	half := make([]float32, centers.Rows)
	for c := range half {
		half[c] = float32(math.Pow(batch.Norm(batch.Row(centers, c)), 2) / 2)
	}
	for i := range cell {
		best, row := 0, batch.Row(inner, i)
		for c, v := range row {
			if v-half[c] > row[best]-half[best] {
				best = c
			}
		}
		changed = changed || cell[i] != best
		cell[i] = best
	}
	return changed
}

// means puts every center on the mean of its rows. A cell without rows takes the
// row that is farthest from its own center.
func means(centers, x blas32.General, cell []int) {
	count := make([]int, centers.Rows)
	sums := make([]float64, centers.Rows*x.Cols)
	for i, c := range cell {
		count[c]++
		for j, v := range batch.Row(x, i) {
			sums[c*x.Cols+j] += float64(v)
		}
	}
	for c, n := range count {
		to := batch.Row(centers, c)
		if n == 0 {
			copy(to, batch.Row(x, farthest(x, centers, cell)))
			continue
		}
		for j := range to {
			to[j] = float32(sums[c*x.Cols+j] / float64(n))
		}
	}
}

func farthest(x, centers blas32.General, cell []int) (row int) {
	most := -1.0
	for i, c := range cell {
		if d := squaredDistance(batch.Row(x, i), batch.Row(centers, c)); d > most {
			row, most = i, d
		}
	}
	return row
}

func squaredDistance(a, b []float32) (sum float64) {
	for j, v := range a {
		sum += float64(v-b[j]) * float64(v-b[j])
	}
	return sum
}
