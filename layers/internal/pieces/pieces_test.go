package pieces

import (
	"math"
	"slices"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// near tells whether two vectors agree up to a part of the largest entry of want.
func near(got, want []float64, part float64) bool {
	most := 0.0
	for _, v := range want {
		most = max(most, math.Abs(v))
	}
	return slices.EqualFunc(got, want, func(v, w float64) bool { return math.Abs(v-w) <= part*most })
}

// entries are those of a symmetric matrix.
func entries(m mat.Symmetric) (all []float64) {
	for i := range m.SymmetricDim() {
		for j := range m.SymmetricDim() {
			all = append(all, m.At(i, j))
		}
	}
	return all
}

// However the noise is divided, A_k comes to map what lies on piece k to the covariance of cell
// k: A_k·Cov(y | piece k)·A_k = Σ_k, and F_kᵀF_k is A_k − s.
func TestMapsOfPiecesMeetTheirCells(t *testing.T) {
	const n, d = 20000, 2
	q := &Maximum{Dim: d, Pieces: 2, Rank: d, Tau: .1, Factors: make(Array, 2*d*d)}
	law, err := exact.NewGaussian([]float64{2, -1}, mat.NewSymDense(2, []float64{2, .8, .8, 1}))
	if err != nil {
		t.Fatal(err)
	}
	unit := mat.NewSymDense(d, []float64{1, 0, 0, 1})
	s := &start{
		Noise: Noise{Draws: law.Sample(n, random.New(1, "noise", 0))}, q: q, floor: .01,
		covs: []*mat.SymDense{mat.NewSymDense(d, []float64{.5, .1, .1, .3}), mat.NewSymDense(d, []float64{4, -1, -1, 2})},
		maps: []*mat.SymDense{mat.NewSymDense(d, []float64{1, 0, 0, 1}), unit},
	}
	p, on := batch.New(n, 2), make([][]float64, 2)
	for i := range n {
		k := 0
		if batch.Row(s.Draws, i)[0] > 2.5 {
			k = 1
		}
		batch.Row(p, i)[k] = 1
		for _, v := range batch.Row(s.Draws, i) {
			on[k] = append(on[k], float64(v))
		}
	}
	for range 20 {
		if err := s.setMaps(p); err != nil {
			t.Fatal(err)
		}
	}
	for k, a := range s.maps {
		var cov mat.SymDense
		stat.CovarianceMatrix(&cov, mat.NewDense(len(on[k])/d, d, on[k]), nil)
		var half, whole mat.Dense
		half.Mul(a, &cov)
		whole.Mul(&half, a)
		if got, want := entries(batch.Symmetrised(&whole)), entries(s.covs[k]); !near(got, want, .01) {
			t.Errorf("piece %d is mapped to covariance %v, want %v", k, got, want)
		}
		var squares mat.Dense
		f := mat.NewDense(d, d, nil)
		for i := range d * d {
			f.Set(i/d, i%d, float64(q.Factors[k*d*d+i]))
		}
		squares.Mul(f.T(), f)
		for j := range d {
			squares.Set(j, j, squares.At(j, j)+s.floor)
		}
		if got, want := entries(batch.Symmetrised(&squares)), entries(a); !near(got, want, 1e-4) {
			t.Errorf("piece %d has FᵀF + s = %v, want %v", k, got, want)
		}
	}
}

// The trace of A_k is the Laplacian of φ_k, which differences of a quadratic give exactly.
func TestTraceOfPieces(t *testing.T) {
	const d, k = 3, 2
	for _, rank := range []int{d, 2} {
		rng := random.New(1, "weights", uint64(rank))
		normals := func(n int) Array {
			a := make(Array, n)
			for i := range a {
				a.Set(i, rng.NormFloat64())
			}
			return a
		}
		q := &Maximum{Dim: d, Pieces: k, Rank: rank, Factors: normals(k * rank * d), Centers: normals(k * d)}
		if rank < d {
			q.Root = normals(k * d)
		}
		at := batch.New(2*d+1, d) // the origin and unit vectors
		for j := range d {
			batch.Row(at, 2*j+1)[j], batch.Row(at, 2*j+2)[j] = 1, -1
		}
		s := &start{Noise: Noise{Draws: at}, q: q, floor: .3}
		values := s.pieces()
		for i := range k {
			laplacian := 0.0
			for j := 1; j <= 2*d; j++ {
				laplacian += float64(batch.Row(values, j)[i] - batch.Row(values, 0)[i])
			}
			if got := s.trace(i); math.Abs(got-laplacian) > 1e-5*laplacian {
				t.Errorf("rank %d: piece %d has trace %.6f, and φ has Laplacian %.6f", rank, i, got, laplacian)
			}
		}
	}
}
