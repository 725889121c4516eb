package metric

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// tile is the edge of the blocks in which distances are computed: one block of
// float32 fits a second-level cache.
const tile = 512

// NearestNeighbourAccuracy is the leave-one-out accuracy of a one-nearest-
// neighbour classifier that tells the rows of x from those of y, both (n, d).
//
// It is near 0.5, exactly (n−1)/(2n−1) on average, where x and y follow one
// law; 1 where they are far apart; and below 0.5 where rows of one are copies
// of rows of the other. It is NaN where a row is not finite.
//
// It is the mean of NearestNeighbourShares, whose comment says how this mean
// can mislead.
//
// D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.
func NearestNeighbourAccuracy(x, y blas32.General) (float64, error) {
	ofX, ofY, err := NearestNeighbourShares(x, y)
	return (ofX + ofY) / 2, err
}

// NearestNeighbourShares are the shares of rows of x, and of y, whose nearest
// other row is of their own kind. Both are near 0.5 where x and y follow one
// law.
//
// Their mean misleads where the shares differ. If all rows of x are close to
// the middle of the data, they are the nearest neighbours of each other and of
// all rows of y: the share of x is then near 1 and the share of y near 0.
func NearestNeighbourShares(x, y blas32.General) (ofX, ofY float64, err error) {
	if err := checkPair(x, y, 1); err != nil {
		return 0, 0, fmt.Errorf("nearest-neighbour accuracy: %w", err)
	}
	if x.Rows != y.Rows {
		return 0, 0, fmt.Errorf("nearest-neighbour accuracy: x has %d rows and y %d; it needs as many of each", x.Rows, y.Rows)
	}
	n := x.Rows
	z := batch.Stacked(x, y)
	mean := batch.Means(z)
	if !batch.AllFinite(mean) {
		return math.NaN(), math.NaN(), nil
	}
	z = batch.Shifted(z, mean)

	best := make([]float32, 2*n)
	nearest := make([]int, 2*n)
	for i := range best {
		best[i], nearest[i] = float32(math.Inf(1)), i
	}
	eachPair(z, func(i, j int, d2 []float32) {
		for k, v := range d2 {
			if v < best[i] {
				best[i], nearest[i] = v, j+k
			}
			if v < best[j+k] {
				best[j+k], nearest[j+k] = v, i
			}
		}
	})
	for i, j := range nearest {
		switch {
		case i < n && j < n:
			ofX++
		case i >= n && j >= n:
			ofY++
		}
	}
	return ofX / float64(n), ofY / float64(n), nil
}

// NearestDistance gives, for each row of gen (n, d), the Euclidean distance to
// the nearest row of train (m, d), in data units, and that row's index.
//
// Distances near 0, or well below those of held-out data, are memorisation. A
// row of gen that is not finite has distance NaN and index −1. The end of ctx is an
// error, within a block of rows.
func NearestDistance(ctx context.Context, gen, train blas32.General) (distance []float64, index []int, err error) {
	if err := checkPair(gen, train, 1); err != nil {
		return nil, nil, fmt.Errorf("nearest distance: %w", err)
	}
	mean := batch.Means(train)
	if !batch.AllFinite(mean) {
		return nil, nil, errors.New("nearest distance: train holds NaN or ±Inf; it must be finite")
	}
	g, t := batch.Shifted(gen, mean), batch.Shifted(train, mean)

	best := make([]float32, gen.Rows)
	index = make([]int, gen.Rows)
	for i := range best {
		best[i], index[i] = float32(math.Inf(1)), -1
	}
	for i := 0; i < g.Rows; i += tile {
		if err := ctx.Err(); err != nil {
			return nil, nil, fmt.Errorf("nearest distance: %w", err)
		}
		eachCross(batch.Rows(g, i, min(i+tile, g.Rows)), t, func(k, j int, d2 []float32) {
			for l, v := range d2 {
				if v < best[i+k] {
					best[i+k], index[i+k] = v, j+l
				}
			}
		})
	}
	// The expansion |a|²+|b|²−2⟨a,b⟩ finds the row, but loses the digits of a
	// small distance: that is computed again.
	distance = make([]float64, gen.Rows)
	for i, j := range index {
		distance[i] = math.NaN()
		if j >= 0 {
			distance[i] = euclidean(batch.Row(gen, i), batch.Row(train, j))
		}
	}
	return distance, index, nil
}

// eachCross calls visit with |x_i − y_k|² for k = j, j+1, …, block by block.
func eachCross(x, y blas32.General, visit func(i, j int, d2 []float32)) {
	xx, yy := squaredNorms(x), squaredNorms(y)
	block := make([]float32, min(tile, x.Rows)*min(tile, y.Rows))
	for i := 0; i < x.Rows; i += tile {
		for j := 0; j < y.Rows; j += tile {
			eachInBlock(x, y, xx, yy, i, j, block, visit)
		}
	}
}

// eachPair is eachCross(x, x, visit) for the pairs i < k only.
func eachPair(x blas32.General, visit func(i, j int, d2 []float32)) {
	xx := squaredNorms(x)
	block := make([]float32, min(tile, x.Rows)*min(tile, x.Rows))
	above := func(i, j int, d2 []float32) {
		skip := min(max(i+1-j, 0), len(d2))
		visit(i, j+skip, d2[skip:])
	}
	for i := 0; i < x.Rows; i += tile {
		for j := i; j < x.Rows; j += tile {
			eachInBlock(x, x, xx, xx, i, j, block, above)
		}
	}
}

// eachInBlock visits the block of rows i… of x and j… of y:
// |a−b|² = |a|² + |b|² − 2⟨a,b⟩, which is one matrix product.
func eachInBlock(x, y blas32.General, xx, yy []float32, i, j int, block []float32, visit func(i, j int, d2 []float32)) {
	a, b := batch.Rows(x, i, min(i+tile, x.Rows)), batch.Rows(y, j, min(j+tile, y.Rows))
	c := blas32.General{Rows: a.Rows, Cols: b.Rows, Stride: b.Rows, Data: block[:a.Rows*b.Rows]}
	blas32.Gemm(blas.NoTrans, blas.Trans, -2, a, b, 0, c)
	for r := range c.Rows {
		d2 := batch.Row(c, r)
		for k, v := range d2 {
			d2[k] = max(0, v+xx[i+r]+yy[j+k])
		}
		visit(i+r, j, d2)
	}
}

func squaredNorms(x blas32.General) []float32 {
	norms := make([]float32, x.Rows)
	for i := range norms {
		var s float64
		for _, v := range batch.Row(x, i) {
			s += float64(v) * float64(v)
		}
		norms[i] = float32(s)
	}
	return norms
}

func euclidean(a, b []float32) float64 {
	var s float64
	for k, v := range a {
		d := float64(v) - float64(b[k])
		s += d * d
	}
	return math.Sqrt(s)
}
