package main

import (
	"fmt"
	"math"

	"cmf/experiments/picture"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// startPoints is the number of points that quadratics start from.
const startPoints = 4000

// started is the start of quadratics: the conjugate network on the cells of the points, a
// batch of the points, and one of the noise, which has the law of the closed form.
func (s benchSize) started(set benchData) (*bench, error) {
	w, err := s.empty()
	if err != nil {
		return nil, err
	}
	points := batch.New(min(startPoints, set.train.Rows), s.d)
	for i, k := range picture.SpreadRows(set.train.Rows, points.Rows) {
		copy(batch.Row(points, i), batch.Row(set.train, k))
	}
	law, err := exact.FitGaussian(points, 0)
	if err != nil {
		return nil, err
	}
	stream, start := random.New(1, "bench start", 0), layers.Start{Law: law}
	if err := start.Init(w, points, stream); err != nil {
		return nil, err
	}
	y, _ := start.Particles(s.n, stream)
	return newBenchAt(w, batch.Gathered(points, picture.SpreadRows(points.Rows, s.n)), y)
}

// empty is a potential of the size, with zero weights where it has no fixed ones.
func (s benchSize) empty() (layers.Network, error) {
	if s.pieces > 0 {
		return layers.New(s.architecture())
	}
	return s.network()
}

// mixturePoints are a mixture of twenty Gaussians on ℝᵈ, each of its own covariance, with
// variances of about 1 in all, as standardised latent codes have.
func mixturePoints(d int) benchData {
	const components, of, between = 20, 1000, .8
	rng := random.New(1, "mixture", 0)
	x := batch.New(components*of, d)
	mean, factor, z := make([]float32, d), batch.New(d, d), batch.New(of, d)
	for c := range components {
		rng.Normals(mean)
		rng.Normals(factor.Data)
		rng.Normals(z.Data)
		rows := batch.Rows(x, c*of, (c+1)*of)
		for i := range rows.Data {
			rows.Data[i] = between * mean[i%d]
		}
		within := float32(math.Sqrt((1 - between*between) / float64(d)))
		blas32.Gemm(blas.NoTrans, blas.NoTrans, within, z, factor, 1, rows)
	}
	return benchData{name: fmt.Sprintf("a mixture of %d Gaussians", components), train: x}
}
