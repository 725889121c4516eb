package inference

import (
	"context"
	"fmt"
	"math"
	"slices"

	"cmf/experiments/fit"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/stat/distuv"
)

// Calibration says how far posteriors are what they claim to be: for pairs (θ, x) of the
// simulator, the rank of each parameter among draws given x is uniform on 0, …, Draws.
//
// Reference: Talts, Betancourt, Simpson, Vehtari, Gelman, "Validating Bayesian Inference
// Algorithms with Simulation-Based Calibration", arXiv 1804.06788.
type Calibration struct {
	Draws int
	Ranks [][]int // of each parameter, for each pair
}

// Calibrate draws from the posterior of each of the pairs, theta and x, in the units of the
// simulator. The end of ctx is an error.
func (s Simulator) Calibrate(ctx context.Context, m *fit.Model, theta, x blas32.General, draws, steps int, rng *random.Stream) (*Calibration, error) {
	c := &Calibration{Draws: draws, Ranks: make([][]int, theta.Cols)}
	for k := range c.Ranks {
		c.Ranks[k] = make([]int, x.Rows)
	}
	return c, repeatedly(x, draws, func(pairs []int, x blas32.General) error {
		points, _, err := s.draw(ctx, m, x, len(pairs), steps, rng)
		if err != nil {
			return err
		}
		for r, pair := range pairs {
			for k, v := range batch.Row(points, r) {
				if v < batch.Row(theta, pair)[k] {
					c.Ranks[k][pair]++
				}
			}
		}
		return nil
	})
}

// withinBounds estimates by draws the share of the learned law within the bounds, given each x.
// It is never 0.
func (s Simulator) withinBounds(ctx context.Context, m *fit.Model, x blas32.General, draws, steps int, rng *random.Stream) ([]float64, error) {
	share := slices.Repeat([]float64{1}, x.Rows)
	return share, repeatedly(x, draws, func(pairs []int, x blas32.General) error {
		points, _, err := drawAll(ctx, m, x, len(pairs), steps, rng)
		if err != nil {
			return err
		}
		for _, r := range s.beyond(points) {
			share[pairs[r]] = max(share[pairs[r]]-1/float64(draws), .5/float64(draws))
		}
		return nil
	})
}

// repeatedly hands do each row of x as often as there are draws, in parts of limited size, and
// the numbers of these rows.
func repeatedly(x blas32.General, draws int, do func(rows []int, x blas32.General) error) error {
	rows := make([]int, x.Rows*draws)
	for r := range rows {
		rows[r] = r / draws
	}
	const most = 1 << 14
	for part := range slices.Chunk(rows, most) {
		if err := do(part, batch.Gathered(x, part)); err != nil {
			return err
		}
	}
	return nil
}

// draw returns n points of the posterior given contexts, one or n of them, in the units of
// the simulator. Those beyond its bounds are drawn again.
func (s Simulator) draw(ctx context.Context, m *fit.Model, contexts blas32.General, n, steps int, rng *random.Stream) (blas32.General, *fit.Draw, error) {
	points, d, err := drawAll(ctx, m, contexts, n, steps, rng)
	if err != nil || !s.Plain {
		return points, d, err
	}
	const most = 100
	for tries := 0; ; tries++ {
		beyond := s.beyond(points)
		if tries == 0 {
			d.Checks["beyond_bounds"] = float64(len(beyond)) / float64(n)
		}
		switch {
		case len(beyond) == 0:
			return points, d, nil
		case tries == most:
			return points, d, fmt.Errorf("of %d draws of %s %d lay beyond its bounds %d times; the posterior is not learned well there", n, s.Name, len(beyond), most)
		}
		at := contexts
		if at.Rows > 1 {
			at = batch.Gathered(contexts, beyond)
		}
		again, _, err := drawAll(ctx, m, at, len(beyond), steps, rng)
		if err != nil {
			return points, d, err
		}
		for r, i := range beyond {
			copy(batch.Row(points, i), batch.Row(again, r))
		}
	}
}

// beyond lists the rows of points that are beyond the bounds.
func (s Simulator) beyond(points blas32.General) (rows []int) {
	theta := make([]float64, points.Cols)
	for i := range points.Rows {
		if batch.Widen(theta, batch.Row(points, i)); !s.inside(theta) {
			rows = append(rows, i)
		}
	}
	return rows
}

// drawAll is draw, wherever the points lie.
func drawAll(ctx context.Context, m *fit.Model, contexts blas32.General, n, steps int, rng *random.Stream) (blas32.General, *fit.Draw, error) {
	given, err := m.Given(ctx, contexts, rng)
	if err != nil {
		return blas32.General{}, nil, err
	}
	d, err := given.Draw(ctx, n, steps, rng)
	if err != nil {
		return blas32.General{}, nil, err
	}
	points, err := m.Units().Data(d.Points, rng)
	return points, d, err
}

// Coverage is the share of the pairs whose parameter k lies in the central interval of the
// given level.
func (c *Calibration) Coverage(k int, level float64) float64 {
	covered := 0
	for _, rank := range c.Ranks[k] {
		if c.inside(rank, level) {
			covered++
		}
	}
	return float64(covered) / float64(len(c.Ranks[k]))
}

// inside reports whether a rank lies in the central interval of a level.
func (c *Calibration) inside(rank int, level float64) bool {
	at := (float64(rank) + .5) / float64(c.Draws+1)
	return math.Abs(at-.5) <= level/2
}

// Attained is the mean of Coverage for exact posteriors: the share of the ranks 0, …, Draws in
// the central interval of the given level, which is the level but for rounding.
func (c *Calibration) Attained(level float64) float64 {
	covered := 0
	for rank := range c.Draws + 1 {
		if c.inside(rank, level) {
			covered++
		}
	}
	return float64(covered) / float64(c.Draws+1)
}

// CoverageError is |Coverage − Attained| of parameter k.
func (c *Calibration) CoverageError(k int, level float64) float64 {
	return math.Abs(c.Coverage(k, level) - c.Attained(level))
}

// WorstCoverage is the largest CoverageError over the parameters.
func (c *Calibration) WorstCoverage(level float64) (worst float64) {
	for k := range c.Ranks {
		worst = max(worst, c.CoverageError(k, level))
	}
	return worst
}

// PValue is the probability, for uniform ranks, of a χ² of parameter k's ranks in the given
// number of bins as large as this one.
func (c *Calibration) PValue(k, bins int) float64 {
	counts := make([]float64, bins)
	for _, rank := range c.Ranks[k] {
		counts[rank*bins/(c.Draws+1)]++
	}
	var chi float64
	for b, count := range counts {
		// Ranks of the bin: as many as there are integers r with r·bins/(Draws+1) = b.
		first, next := ceilDiv(b*(c.Draws+1), bins), ceilDiv((b+1)*(c.Draws+1), bins)
		want := float64(len(c.Ranks[k])) * float64(next-first) / float64(c.Draws+1)
		chi += (count - want) * (count - want) / want
	}
	return distuv.ChiSquared{K: float64(bins - 1)}.Survival(chi)
}

// Below is the share of the pairs whose rank of parameter k is less than rank. Of exact
// posteriors it is rank/(Draws + 1) in the mean.
func (c *Calibration) Below(k, rank int) float64 {
	below := 0
	for _, r := range c.Ranks[k] {
		if r < rank {
			below++
		}
	}
	return float64(below) / float64(len(c.Ranks[k]))
}

// Deviation is the largest |Below − rank/(Draws + 1)| of parameter k, the Kolmogorov–Smirnov
// distance of its ranks from uniform ones.
func (c *Calibration) Deviation(k int) (most float64) {
	for rank := range c.Draws + 2 {
		most = max(most, math.Abs(c.Below(k, rank)-float64(rank)/float64(c.Draws+1)))
	}
	return most
}

// Band is what Deviation exceeds for exact posteriors with a probability of 5 %, or less where
// ranks are few, by Kolmogorov's law.
func (c *Calibration) Band() float64 { return 1.358 / math.Sqrt(float64(len(c.Ranks[0]))) }

// CoverageBand is what CoverageError exceeds for exact posteriors with a probability of some
// 5 %, by the normal law.
func (c *Calibration) CoverageBand(level float64) float64 {
	return 1.96 * math.Sqrt(level*(1-level)/float64(len(c.Ranks[0])))
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
