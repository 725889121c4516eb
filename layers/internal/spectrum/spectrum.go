// Package spectrum holds what the start of a network takes from the spectra of covariances:
// linear Monge maps and leading directions.
package spectrum

import (
	"errors"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// MongeMap is S^{-1/2}(S^{1/2}·Σ·S^{1/2})^{1/2}S^{-1/2}, the linear Monge map from
// N(0, S) to N(0, Σ).
func MongeMap(from, cov *mat.SymDense) *mat.SymDense {
	root, inverse := power(from, .5), power(from, -.5)
	middle := power(sandwich(root, cov), .5)
	return sandwich(inverse, middle)
}

// sandwich is l·m·l for symmetric l.
func sandwich(l, m *mat.SymDense) *mat.SymDense {
	var half, whole mat.Dense
	half.Mul(l, m)
	whole.Mul(&half, l)
	return batch.Symmetrised(&whole)
}

// power is the p-th power of a positive semidefinite matrix.
func power(m *mat.SymDense, p float64) *mat.SymDense {
	var e mat.EigenSym
	if !e.Factorize(m, true) {
		return m
	}
	values := e.Values(nil)
	most := values[len(values)-1]
	var v mat.Dense
	e.VectorsTo(&v)
	d := len(values)
	out := mat.NewSymDense(d, nil)
	for k, value := range values {
		column := mat.NewVecDense(d, mat.Col(nil, k, &v))
		out.SymRankOne(out, math.Pow(max(value, 1e-12*most), p), column)
	}
	return out
}

const powerRounds = 20 // of the block power iteration

// Leading are about the r leading right singular vectors of x as rows, and the squares
// of their singular values, by block power iteration.
func Leading(x blas32.General, r int, rng *random.Stream) (*mat.Dense, []float64, error) {
	d := x.Cols
	if r < 1 {
		return mat.NewDense(1, d, nil), nil, nil
	}
	v, z := batch.New(d, r), batch.New(x.Rows, r)
	rng.Normals(v.Data)
	for range powerRounds {
		orthonormalise(v)
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, v, 0, z)
		blas32.Gemm(blas.Trans, blas.NoTrans, 1, x, z, 0, v)
	}
	orthonormalise(v)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, v, 0, z)
	inner := batch.New(r, r)
	blas32.Gemm(blas.Trans, blas.NoTrans, 1, z, z, 0, inner)
	var e mat.EigenSym
	if !e.Factorize(Symmetric(inner), true) {
		return nil, nil, errors.New("their spectrum was not found")
	}
	var turn, directions mat.Dense
	e.VectorsTo(&turn)
	basis := mat.NewDense(d, r, nil)
	for i, c := range v.Data {
		basis.Set(i/r, i%r, float64(c))
	}
	directions.Mul(turn.T(), basis.T())
	return &directions, e.Values(nil), nil
}

// orthonormalise makes the columns of v orthonormal. One that depends on those before it
// becomes 0.
func orthonormalise(v blas32.General) {
	d, r := v.Rows, v.Cols
	columns := mat.NewDense(r, d, nil)
	for i, c := range v.Data {
		columns.Set(i%r, i/r, float64(c))
	}
	for k := range r {
		row := columns.RawRowView(k)
		size := floats.Norm(row, 2)
		for range 2 { // the second time for what rounding left
			for l := range k {
				floats.AddScaled(row, -floats.Dot(row, columns.RawRowView(l)), columns.RawRowView(l))
			}
		}
		if rest := floats.Norm(row, 2); rest > 1e-6*size {
			floats.Scale(1/rest, row)
		} else {
			clear(row)
		}
	}
	for i := range v.Data {
		v.Data[i] = float32(columns.At(i%r, i/r))
	}
}

// Symmetric is the symmetric part of h.
func Symmetric(h blas32.General) *mat.SymDense {
	wide := mat.NewDense(h.Rows, h.Cols, nil)
	for i := range h.Rows {
		batch.Widen(wide.RawRowView(i), batch.Row(h, i))
	}
	return batch.Symmetrised(wide)
}
