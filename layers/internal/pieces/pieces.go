// Package pieces starts a soft maximum of quadratics near the data: from cells of the data,
// and with contexts from cells of the data and the contexts.
package pieces

import (
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Maximum is where the weights of K quadratics on ℝᵈ are written; see layers.Quadratics.
type Maximum struct {
	Dim, Pieces, Rank int // d, K and r
	Tau               float64

	Factors Array // F, (K·r, d)
	Root    Array // e, (K, d); nil with r = d
	Centers Array // c, (K, d)
	Offsets Array // b, (K)

	// With contexts of k numbers.
	Slopes   Array // of the centers, (k, K·d)
	Linear   Array // of the offsets, (k, K)
	Products Array // of the offsets, (k(k+1)/2, K)
}

// Array is a matrix, row by row.
type Array []float32

// Set sets an element.
func (a Array) Set(i int, v float64) { a[i] = float32(v) }

// matrix is a, with d columns.
func (q *Maximum) matrix(a Array) blas32.General {
	return blas32.General{Rows: len(a) / q.Dim, Cols: q.Dim, Stride: q.Dim, Data: a}
}

// Noise is the noise of the closed form of a Gaussian.
type Noise struct {
	Law      *exact.Gaussian // of the data, or of what a regression of it on contexts leaves
	Exponent float64         // e: the closed form maps by Lawᵉ
	Mean     []float64
	Scale    *mat.SymDense  // its covariance, without what contexts explain
	Draws    blas32.General // as many as Draws says
}

// Draws is how many draws of the noise a start needs.
func (q *Maximum) Draws() int {
	const least, ofPiece = 2000, 200 // in few dimensions
	if q.Root != nil {
		return least
	}
	return max(least, ofPiece*q.Pieces)
}

// Start sets q to a map from the noise onto the data, (n, d), n ≥ K. The modulus of strong
// convexity is floor. spread is the standard deviation of φ_k(y) over noise and pieces.
func (q *Maximum) Start(noise Noise, floor float64, data blas32.General, rng *random.Stream) (spread float64, err error) {
	s := &start{Noise: noise, q: q, floor: floor}
	if err := s.fillCells(data, rng); err != nil {
		return 0, err
	}
	err = s.balance()
	return s.spread, err
}
