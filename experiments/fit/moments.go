package fit

import (
	"context"
	"fmt"

	"cmf/solvers/batch"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// GibbsMoments are the mean and the covariance of the learned Gibbs factor, from n chains
// of MALA: the first fifth of the steps adapts, the others count. The end of ctx is an
// error.
func (m *Model) GibbsMoments(ctx context.Context, n, steps int, rng *random.Stream) ([]float64, *mat.SymDense, error) {
	bank := m.State.Bank.Y
	start := batch.New(n, bank.Cols)
	for i := range n {
		copy(batch.Row(start, i), batch.Row(bank, i%bank.Rows))
	}
	chains, err := sampling.NewChains(start)
	if err != nil {
		return nil, nil, err
	}
	sampler := sampling.Langevin{Adjusted: true, Step: m.State.Bank.Step, Preconditioner: m.noisePreconditioner()}
	if _, err := sampler.Run(ctx, m.Noise, chains, steps/5, rng); err != nil {
		return nil, nil, fmt.Errorf("sampling: %w", err)
	}
	sampler.Freeze = true
	const thin = 4
	times := float64((steps - steps/5) / thin)
	mean, square := make([]float64, bank.Cols), mat.NewSymDense(bank.Cols, nil)
	for range int(times) {
		if _, err := sampler.Run(ctx, m.Noise, chains, thin, rng); err != nil {
			return nil, nil, fmt.Errorf("sampling: %w", err)
		}
		now, cov := batch.Moments(chains.Y)
		floats.AddScaled(mean, 1/times, now)
		cov.SymRankOne(cov, 1, mat.NewVecDense(len(now), now))
		cov.ScaleSym(1/times, cov)
		square.AddSym(square, cov)
	}
	square.SymRankOne(square, -1, mat.NewVecDense(len(mean), mean))
	return mean, square, nil
}
