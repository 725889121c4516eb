package inpaint

import (
	"context"
	"errors"
	"math"
	"slices"

	"cmf/experiments/fit"
	"cmf/experiments/picture"
	"cmf/layers"
	"cmf/layers/autoencoder"
	"cmf/solvers/batch"
	"cmf/solvers/order"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// LatentPrior is a potential learned from the latents of digits.
type LatentPrior struct {
	model   *fit.Model
	network layers.Potential
	latent  *autoencoder.Latent
	pool    blas32.General // noise from which chains may start
	decoded blas32.General // the pictures of pool
}

// NewLatentPrior takes a model in a latent space. Chains start at particles of its bank.
func NewLatentPrior(ctx context.Context, m *fit.Model) (*LatentPrior, error) {
	latent, ok := m.Units().(*autoencoder.Latent)
	if !ok || latent.Dim(0) != picture.Pixels {
		return nil, errors.New("it is not a model of digits in a latent space; for one of pixels CMF_SPACE must be pixels")
	}
	p := &LatentPrior{model: m, network: m.Evaluator.Potential(), latent: latent, pool: m.State.Bank.Y}
	var err error
	p.decoded, _, err = m.Map(ctx, p.pool)
	return p, err
}

// chainsPerDraw is how many chains of a digit share its draws. Chains that explain badly what
// is seen give way to others.
const chainsPerDraw = 2

// ByLatentPosterior samples the noise y behind a digit from its posterior, given the
// observed pixels of truth, (n, 784); see autoencoder.Seen.
//
// Modes of that posterior are other digits, between which chains cannot move. So the chains
// of a digit are a population (P. Del Moral, A. Doucet, A. Jasra, "Sequential Monte Carlo
// samplers", JRSS B, 2006): they start at particles of the bank, drawn by e^{−βL} for a
// small β, and as β rises to 1 they are drawn anew in proportion to e^{−L·Δβ}, and each makes a
// trajectory.
func ByLatentPosterior(ctx context.Context, p *LatentPrior, h Hole, truth blas32.General, o Options, rng *random.Stream) (Fills, error) {
	each := chainsPerDraw * o.Draws
	targets := batch.New(truth.Rows*each, picture.Pixels)
	for i := range targets.Rows {
		copy(batch.Row(targets, i), batch.Row(truth, i/each))
	}
	u, err := autoencoder.NewSeen(p.latent.Network(), p.network, p.model.Noise, targets, h.Observed)
	if err != nil {
		return Fills{}, err
	}
	starts, beta := p.starts(h, truth, each, rng)
	chains, err := sampling.NewChains(batch.Gathered(p.pool, starts))
	if err != nil {
		return Fills{}, err
	}
	sampler := sampling.Hamiltonian{Leaps: o.Leaps, Step: .05}
	out := newFills(truth.Rows*o.Draws, h)
	losses, weights := make([]float32, targets.Rows), make([]float64, each)
	rising := 2 * o.Trajectories / 3
	for t := range o.Trajectories {
		if next := min(1, beta*math.Pow(1/beta, 1/float64(max(1, rising-t)))); t < rising {
			if err := u.Losses(chains.Y, losses); err != nil {
				return Fills{}, err
			}
			before := batch.New(chains.Y.Rows, chains.Y.Cols)
			batch.Copy(before, chains.Y)
			for i := range truth.Rows {
				for k := range weights {
					weights[k] = (next - beta) * float64(losses[i*each+k])
				}
				for k, from := range systematic(weights, rng) {
					copy(batch.Row(chains.Y, i*each+k), batch.Row(before, i*each+from))
				}
			}
			beta, u.Beta, chains.Fresh = next, next, false
		}
		move, err := sampler.Run(ctx, u, chains, 1, rng)
		if err != nil {
			return Fills{}, err
		}
		out.acceptance += move.Acceptance / float64(o.Trajectories)
		if t < rising {
			continue
		}
		pictures, _, err := p.model.Map(ctx, batch.EveryOther(chains.Y, 0))
		if err != nil {
			return Fills{}, err
		}
		out.add(pictures)
	}
	return out, nil
}

// systematic draws as many indices as there are weights e^{−ℓ}, with probabilities in
// proportion to them, by one random number: each index comes up as often as expected, rounded
// down or up. Their order is random, so that any part of them is a draw, too.
func systematic(losses []float64, rng *random.Stream) []int {
	least, total := slices.Min(losses), 0.
	for _, l := range losses {
		total += math.Exp(least - l)
	}
	drawn, k := make([]int, len(losses)), 0
	sum, at := math.Exp(least-losses[0]), rng.Float64()
	for i := range drawn {
		for sum*float64(len(losses)) < (at+float64(i))*total && k < len(losses)-1 {
			k++
			sum += math.Exp(least - losses[k])
		}
		drawn[i] = k
	}
	order := rng.Perm(len(drawn))
	for i, j := range order {
		order[i] = drawn[j]
	}
	return order
}

// starts draws particles of the bank for each digit, with probabilities ∝ e^{−βL} for the loss L
// of its observed pixels. β is the largest for which, in the median digit, twice as many
// particles count as are drawn.
func (p *LatentPrior) starts(h Hole, truth blas32.General, each int, rng *random.Stream) (chosen []int, beta float64) {
	losses := p.losses(h, truth)
	n, m := truth.Rows, p.pool.Rows
	counts := make([]float64, n)
	for beta = 1; beta > 1e-4; beta /= 1.2 {
		for i := range n {
			counts[i] = effective(losses[i*m:(i+1)*m], beta)
		}
		if order.Select(counts, n/2) >= 2*float64(each) {
			break
		}
	}
	cumulated := make([]float64, m)
	for i := range n {
		row := losses[i*m : (i+1)*m]
		least, total := slices.Min(row), 0.
		for j, l := range row {
			total += math.Exp(beta * (least - l))
			cumulated[j] = total
		}
		for range each {
			j, _ := slices.BinarySearch(cumulated, total*rng.Float64())
			chosen = append(chosen, min(j, m-1))
		}
	}
	return chosen, beta
}

// losses are those of the observed pixels of each digit, if its picture were that of each
// particle of the bank, (n, m).
func (p *LatentPrior) losses(h Hole, truth blas32.General) []float64 {
	const least = 1e-4 // of a pixel's probability
	n, m := truth.Rows, p.pool.Rows
	odds := batch.New(m, picture.Pixels) // the logarithms, of the observed pixels
	base := make([]float64, m)
	for j := range m {
		to := batch.Row(odds, j)
		for k, v := range batch.Row(p.decoded, j) {
			if h.Observed[k] {
				q := min(max(float64(v), least), 1-least)
				to[k] = float32(math.Log(q / (1 - q)))
				base[j] -= math.Log(1 - q)
			}
		}
	}
	match := batch.New(n, m)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, truth, odds, 0, match)
	losses := make([]float64, n*m)
	for i, v := range match.Data {
		losses[i] = base[i%m] - float64(v)
	}
	return losses
}

// effective is the effective number of the weights e^{−βL}.
func effective(losses []float64, beta float64) float64 {
	least := slices.Min(losses)
	var sum, squares float64
	for _, l := range losses {
		w := math.Exp(beta * (least - l))
		sum, squares = sum+w, squares+w*w
	}
	return sum * sum / squares
}
