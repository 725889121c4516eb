package experiments

import (
	"fmt"
	"math"

	"cmf/solvers"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// principal splits ℝᵈ about the data's mean m into the coordinates along its
// leading principal directions, x = m + V·z + r with r ⊥ V. Rotations keep the
// data's units; a conjugate moment potential of independent parts is the sum of
// theirs.
type principal struct {
	mean    []float64
	vectors blas32.General // V, (d, K), orthonormal columns, falling variances
	values  []float64      // variances along them
	rest    float64        // mean variance of the directions beyond
}

// newPrincipal finds K leading directions of the rows of x, (n, d), by subspace
// iteration and a Rayleigh–Ritz step. N. Halko, P. G. Martinsson, J. A. Tropp,
// "Finding structure with randomness", SIAM Review 53(2), 2011, algorithm 4.4.
func newPrincipal(x blas32.General, k int, rng *solvers.Stream) (*principal, error) {
	n, d := x.Rows, x.Cols
	if k < 1 || k >= min(n, d) {
		return nil, fmt.Errorf("%d principal directions of %d points of dimension %d; fewer are needed than of either", k, n, d)
	}
	mean := columnMeans(x)
	x = shifted(x, mean)
	// Directions beyond k take up what the last ones would lack.
	wide := min(k+10, n, d)
	basis, along := newBatch(d, wide), newBatch(n, wide)
	rng.Normals(basis.Data)
	const iterations = 4
	for range iterations {
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, basis, 0, along)
		blas32.Gemm(blas.Trans, blas.NoTrans, 1/float32(n), x, along, 0, basis)
		orthonormalise(basis)
	}
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, basis, 0, along)
	_, cov := moments(along)
	var eigen mat.EigenSym
	if !eigen.Factorize(cov, true) {
		return nil, fmt.Errorf("the principal directions of %d points were not found", n)
	}
	var turn mat.Dense
	eigen.VectorsTo(&turn)
	p := &principal{mean: mean, vectors: newBatch(d, k), values: make([]float64, k)}
	rotation := newBatch(wide, k)
	p.rest = totalVariance(x, make([]float64, d)) * float64(n) / float64(n-1)
	for j := range k {
		from := wide - 1 - j // eigenvalues ascend
		p.values[j] = eigen.Values(nil)[from]
		p.rest -= p.values[j]
		for i := range wide {
			rotation.Data[i*k+j] = float32(turn.At(i, from))
		}
	}
	p.rest = max(p.rest, 0) / float64(d-k)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, basis, rotation, 0, p.vectors)
	return p, nil
}

// orthonormalise replaces the columns of a by an orthonormal basis of their span.
func orthonormalise(a blas32.General) {
	wide := mat.NewDense(a.Rows, a.Cols, nil)
	for i := range a.Rows {
		for j, v := range row(a, i) {
			wide.Set(i, j, float64(v))
		}
	}
	var qr mat.QR
	qr.Factorize(wide)
	var q mat.Dense
	qr.QTo(&q)
	for i := range a.Rows {
		for j := range a.Cols {
			row(a, i)[j] = float32(q.At(i, j))
		}
	}
}

// coordinates are those of centred points x − m, (n, d), along the first k
// directions, (n, k).
func (p *principal) coordinates(centred blas32.General, k int) blas32.General {
	z := newBatch(centred.Rows, k)
	v := p.vectors
	v.Cols = k
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, centred, v, 0, z)
	return z
}

// lift is V·z + …, (n, d), for coordinates z along the first directions, (n, k),
// and independent normal ones of variances λ^{2·power} along all others: power ½
// for the Gaussian ρ of the remainder, 1/6 for its Gibbs factor. Two streams of
// one state give a noise and the picture ∇w*(y) that belongs to it.
func (p *principal) lift(z blas32.General, power float64, rng *solvers.Stream) blas32.General {
	n, d, k := z.Rows, p.vectors.Rows, p.vectors.Cols
	out, along := newBatch(n, d), newBatch(n, k)
	rng.Normals(out.Data)
	// Vᵀξ is N(0, I) as ξ is, and independent of ξ − V·Vᵀξ.
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, out, p.vectors, 0, along)
	floor := float32(math.Pow(p.rest, power))
	for i := range n {
		for j, e := range row(along, i) {
			v := float32(math.Pow(p.values[j], power)) * e
			if j < z.Cols {
				v = row(z, i)[j]
			}
			row(along, i)[j] = v - floor*e
		}
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, along, p.vectors, floor, out)
	return out
}
