package density

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// LogZs estimates log Z_i = log ∫e^{−w_i} for each row i of w at once, each with particles of
// its own and by the same bridges. The references are Gaussians about the rows of modes,
// (n, d), of one shape, N(m_i, C), whose mean does not matter. A first walk from these to the
// Gibbs factors gives every row a Gaussian nearer to its own, from which the estimate starts.
// The end of ctx, checked before each step of the particles, is an error.
func (a Annealing) LogZs(ctx context.Context, w potential.Rowwise, modes blas32.General, shape *exact.Gaussian, rng *random.Stream) ([]AnnealingInfo, error) {
	a, err := a.withDefaults()
	each, moves := a.Particles, a.Moves
	switch {
	case err != nil:
		return nil, err
	case shape.Dim() != w.Dim() || modes.Cols != w.Dim():
		return nil, fmt.Errorf("density: annealing from Gaussians of dimension %d about points of %d coordinates to potentials of dimension %d; they must agree", shape.Dim(), modes.Cols, w.Dim())
	case modes.Rows == 0:
		return nil, nil
	}
	b := newRowBridges(w, modes, shape)
	_, arrived, err := b.layPath(ctx, max(8, each/2), moves, rng)
	if err != nil {
		return nil, err
	}
	b.refit(arrived)
	path, _, err := b.layPath(ctx, max(8, each/4), moves, rng)
	if err != nil {
		return nil, err
	}
	return b.estimate(ctx, respace(path, bridges(path, moves, a.Variance, a.MaxBridges)), each, moves, rng)
}

// rowBridges are the bridges of many rows i, each with the potential
//
//	U_β(z) = (1−β)·½|z|² + β·w_i(m_i + R(s_i ⊙ z))
//
// of its particles, in the coordinates in which its reference is N(0, I).
type rowBridges struct {
	w           potential.Rowwise
	mean, scale blas32.General // m_i and s_i, (n, d)
	root        blas32.General // R, (d, d)
	logDet      float64        // log det R
	beta        float64

	each    int               // particles of a row, which follow one another
	of      potential.Rowwise // w for their rows
	y, pull blas32.General
	value   []float32
	half    []float64
}

func newRowBridges(w potential.Rowwise, modes blas32.General, shape *exact.Gaussian) *rowBridges {
	d := w.Dim()
	b := &rowBridges{w: w, mean: batch.New(modes.Rows, d), scale: batch.New(modes.Rows, d), root: batch.New(d, d)}
	batch.Copy(b.mean, modes)
	for i := range b.scale.Data {
		b.scale.Data[i] = 1
	}
	for k, v := range shape.Values {
		b.logDet += math.Log(v) / 2
		for i := range d {
			batch.Row(b.root, i)[k] = float32(shape.Vectors.At(i, k) * math.Sqrt(v))
		}
	}
	return b
}

// start draws particles of the references, each for every row.
func (b *rowBridges) start(each int, rng *random.Stream) (*sampling.Chains, error) {
	n := b.mean.Rows * each
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i / each
	}
	b.each, b.of = each, b.w.Of(rows)
	z := batch.New(n, b.Dim())
	rng.Normals(z.Data)
	b.y, b.pull, b.value, b.half = batch.New(n, b.Dim()), batch.New(n, b.Dim()), make([]float32, n), make([]float64, n)
	return sampling.NewChains(z)
}

// Dim is d.
func (b *rowBridges) Dim() int { return b.root.Rows }

// Eval writes U_β(z_i) and its gradient.
func (b *rowBridges) Eval(z blas32.General, value []float32, grad blas32.General) error {
	for i := range z.Rows {
		copy(batch.Row(b.y, i), batch.Row(b.mean, i/b.each))
		b.half[i] = batch.SumSquares(batch.Row(z, i)) / 2
	}
	wide := batch.New(z.Rows, z.Cols)
	b.scaled(wide, z)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, wide, b.root, 1, b.y)
	if err := b.of.Eval(b.y, b.value, b.pull); err != nil {
		return err
	}
	if value != nil {
		for i, v := range b.value {
			value[i] = float32((1-b.beta)*b.half[i] + b.beta*float64(v))
		}
	}
	if grad.Data != nil {
		blas32.Gemm(blas.NoTrans, blas.NoTrans, float32(b.beta), b.pull, b.root, 0, wide)
		b.scaled(grad, wide)
		for i := range z.Rows {
			to := batch.Row(grad, i)
			for k, v := range batch.Row(z, i) {
				to[k] += float32(1-b.beta) * v
			}
		}
	}
	return nil
}

// scaled writes s_i ⊙ from.
func (b *rowBridges) scaled(to, from blas32.General) {
	for i := range from.Rows {
		s, into := batch.Row(b.scale, i/b.each), batch.Row(to, i)
		for k, v := range batch.Row(from, i) {
			into[k] = s[k] * v
		}
	}
}

// raise sets β and returns ½|z|² − w_i for each particle.
func (b *rowBridges) raise(c *sampling.Chains, beta float64) ([]float64, error) {
	b.beta = beta
	if err := c.Refresh(b); err != nil {
		return nil, err
	}
	gaps := make([]float64, len(b.half))
	for i, h := range b.half {
		if gaps[i] = h - float64(b.value[i]); !batch.Finite(gaps[i]) {
			return nil, fmt.Errorf("density: annealing: the potential of row %d is %g at a particle; it must be finite", i/b.each+1, b.value[i])
		}
	}
	return gaps, nil
}

// layPath is the function layPath for all rows, whose particles are resampled among those of
// their row. Steps keep the root mean square over rows of the deviation of log ω at ½.
func (b *rowBridges) layPath(ctx context.Context, each, moves int, rng *random.Stream) ([]station, blas32.General, error) {
	fail := func(err error) ([]station, blas32.General, error) { return nil, blas32.General{}, err }
	const spread, longest = .5, 10_000
	c, err := b.start(each, rng)
	if err != nil {
		return fail(err)
	}
	c.Step = math.Pow(float64(b.Dim()), -1./3)
	sampler := sampling.Langevin{Adjusted: true, Runaway: math.MaxFloat64}
	path := []station{{step: c.Step}}
	index, weights := make([]int, 0, c.Y.Rows), make([]float64, each)
	for range longest {
		last := path[len(path)-1]
		gaps, err := b.raise(c, last.beta)
		if err != nil {
			return fail(err)
		}
		var squares float64
		for i := range b.mean.Rows {
			squares += stat.Variance(gaps[i*each:(i+1)*each], nil) / float64(b.mean.Rows)
		}
		sd := math.Sqrt(squares)
		rise := min(spread/sd, 1-last.beta)
		next := station{beta: last.beta + rise, length: last.length + rise*sd}
		if rise == 1-last.beta {
			next.beta = 1
		}
		index = index[:0]
		for i := range b.mean.Rows {
			own := floats.ScaleTo(weights, rise, gaps[i*each:(i+1)*each])
			logMean, _ := logMeanExp(own)
			for k, v := range own {
				own[k] = math.Exp(v - logMean)
			}
			for _, k := range systematic(own, each, rng.Float64()) {
				index = append(index, i*each+k)
			}
		}
		var drawn sampling.Chains
		if err := c.Gather(&drawn, index); err != nil {
			return fail(err)
		}
		*c = drawn
		b.beta, c.Fresh = next.beta, false
		if _, err := sampler.Run(ctx, b, c, 2*moves, rng); err != nil {
			return fail(err)
		}
		next.step = c.Step
		if path = append(path, next); next.beta == 1 {
			path[0].step = path[1].step
			return path, c.Y, nil
		}
	}
	return fail(errors.New("density: annealing does not reach the Gibbs factors, because the references are too far from them"))
}

// refit gives every reference the mean of its particles z, and their variance along each
// axis, shrunk towards that of all rows.
func (b *rowBridges) refit(z blas32.General) {
	const weight = 8 // of the variance of all rows, in particles
	n, d, each := b.mean.Rows, b.Dim(), float64(b.each)
	shift, variance, common := batch.New(n, d), batch.New(n, d), make([]float64, d)
	for i := range n {
		mean, cov := batch.Moments(batch.Rows(z, i*b.each, (i+1)*b.each))
		for k := range d {
			batch.Row(shift, i)[k] = batch.Row(b.scale, i)[k] * float32(mean[k])
			batch.Row(variance, i)[k] = float32(cov.At(k, k))
			common[k] += cov.At(k, k) / float64(n)
		}
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, shift, b.root, 1, b.mean)
	for i := range n {
		for k, v := range batch.Row(variance, i) {
			shrunk := (each*float64(v) + weight*common[k]) / (each + weight)
			batch.Row(b.scale, i)[k] *= float32(math.Sqrt(shrunk * (1 + 1/each))) // the mean is known to a share of it
		}
	}
}

// estimate anneals along the path.
func (b *rowBridges) estimate(ctx context.Context, path []station, each, moves int, rng *random.Stream) ([]AnnealingInfo, error) {
	c, err := b.start(each, rng)
	if err != nil {
		return nil, err
	}
	logWeight, acceptance, err := anneal(ctx, b, c, path, moves, rng)
	if err != nil {
		return nil, err
	}
	infos := make([]AnnealingInfo, b.mean.Rows)
	for i := range infos {
		logMean, size := logMeanExp(logWeight[i*each : (i+1)*each])
		logZ := b.logDet + float64(b.Dim())/2*math.Log(2*math.Pi)
		for _, s := range batch.Row(b.scale, i) {
			logZ += math.Log(float64(s))
		}
		var magnitude float64
		for _, v := range b.value[i*each : (i+1)*each] {
			magnitude += math.Abs(float64(v)) / float64(each)
		}
		infos[i] = AnnealingInfo{
			LogZ: logZ + logMean, Size: size, Error: weightError(size, each, magnitude),
			Bridges: len(path) - 1, Length: path[len(path)-1].length, Acceptance: acceptance,
		}
	}
	return infos, nil
}
