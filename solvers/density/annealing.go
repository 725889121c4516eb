package density

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// Annealing estimates log Z_w = log ∫e^{−w} by annealed importance sampling. It starts
// from a Gaussian r with a known normaliser and follows the geometric bridges
//
//	p_β ∝ r^{1−β}·e^{−βw},  0 = β_0 < β_1 < … < β_K = 1.
//
// n particles drawn from r are moved by MALA at every bridge and accumulate the weights
// ω = Π_k (p̃_{β_k+1}/p̃_{β_k})(y_k). The mean of ω is Z_w/Z_r whether or not the moves
// mix. Particles do not interact, so the spread of their weights gives the standard
// error. If w is convex, all bridges are log-concave.
//
// A first pass with fewer particles places the bridges, at equal distances in the
// standard deviation of log ω, and tunes the steps; the second pass uses them
// unchanged. R. M. Neal, "Annealed importance sampling", Statistics and Computing 11
// (2001), 125–139.
type Annealing struct {
	// Particles is n, at least 2. 0 means 512.
	Particles int

	// Moves is the number of MALA steps at each bridge. 0 means 2.
	Moves int

	// Variance of log ω at which the number of bridges aims. 0 means .25.
	Variance float64

	// MaxBridges is a limit on K, which has priority over Variance. 0 means 2000.
	MaxBridges int

	// Ranks share the particles of LogZ; nil for this process alone.
	Ranks Ranks
}

// Ranks are processes that share the particles of an estimate. They make the same calls with
// equal streams, and have the same estimate, also if their references differ.
type Ranks interface {
	// Spread hands do the rows from..to of n that are for this rank, and its stream. An error
	// of one rank is one of all.
	Spread(n int, rng *random.Stream, do func(from, to int, rng *random.Stream) error) error

	// Joined64 are the numbers of all n rows, of which own are those of this rank.
	Joined64(n int, own []float64) []float64

	// Mean is the mean over n rows of a number that is own over those of this rank.
	Mean(n int, own float64) float64
}

// alone is one process as Ranks.
type alone struct{}

func (alone) Spread(n int, rng *random.Stream, do func(from, to int, rng *random.Stream) error) error {
	return do(0, n, rng)
}

func (alone) Joined64(_ int, own []float64) []float64 { return own }

func (alone) Mean(_ int, own float64) float64 { return own }

// AnnealingInfo is the result of Annealing.
type AnnealingInfo struct {
	LogZ  float64 // estimate of log ∫e^{−w}, in nats
	Error float64 // its standard error, which includes the rounding of w to float32

	// Size is the effective sample size of the weights as a share of n; about
	// e^{−Variance} is intended. If it is much below .3, MaxBridges was too small, and
	// the standard error is too small as well.
	Size float64

	Bridges    int     // K
	Length     float64 // Σ_k sd(log ω_k) over the bridges of the first pass: how far r is from 𝔓_w
	Acceptance float64 // mean acceptance of MALA
}

// LogZ estimates log Z_w from the reference. This should be near the Gibbs factor, such
// as N(c, Σ^{1/3}) or the Gaussian with a sample's mean and covariance: the less they
// differ, the fewer bridges are needed. If the particles of the first pass show that
// the reference is too narrow it is widened, because otherwise the weights would have a
// long tail that few particles show. The end of ctx, checked before each step of the
// particles, is an error.
func (a Annealing) LogZ(ctx context.Context, w potential.Potential, reference *exact.Gaussian, rng *random.Stream) (AnnealingInfo, error) {
	a, err := a.withDefaults()
	n, moves := a.Particles, a.Moves
	switch {
	case err != nil:
		return AnnealingInfo{}, err
	case reference.Dim() != w.Dim():
		return AnnealingInfo{}, fmt.Errorf("density: annealing from a Gaussian of dimension %d to a potential of dimension %d; they must agree", reference.Dim(), w.Dim())
	}
	var logWeight []float64
	var acceptance, magnitude float64
	var path []station
	var b *bridge
	err = a.Ranks.Spread(n, rng, func(from, to int, own *random.Stream) (err error) {
		if b, path, err = a.lay(ctx, w, reference, rng); err != nil { // by rng, so that ranks have the same path
			return err
		}
		c, err := b.start(to-from, own)
		if err != nil {
			return err
		}
		logWeight, acceptance, err = anneal(ctx, b, c, path, moves, own)
		magnitude = b.magnitude()
		return err
	})
	if err != nil {
		return AnnealingInfo{}, err
	}
	base := a.Ranks.Mean(n, b.logZ) // ranks may have references of their own
	floats.AddConst(b.logZ-base, logWeight)
	logMean, size := logMeanExp(a.Ranks.Joined64(n, logWeight))
	return AnnealingInfo{
		LogZ: base + logMean, Size: size, Error: weightError(size, n, a.Ranks.Mean(n, magnitude)),
		Bridges: len(path) - 1, Length: path[len(path)-1].length, Acceptance: a.Ranks.Mean(n, acceptance),
	}, nil
}

// lay is the first pass: the bridges from the reference, which is widened if need be, and where
// they are placed.
func (a Annealing) lay(ctx context.Context, w potential.Potential, reference *exact.Gaussian, rng *random.Stream) (*bridge, []station, error) {
	few := max(2, a.Particles/4)
	path, arrived, err := layPath(ctx, w, reference, few, a.Moves, rng)
	if err != nil {
		return nil, nil, err
	}
	if wider := widened(reference, arrived); wider != reference {
		reference = wider
		if path, _, err = layPath(ctx, w, reference, few, a.Moves, rng); err != nil {
			return nil, nil, err
		}
	}
	return newBridge(w, reference), respace(path, bridges(path, a.Moves, a.Variance, a.MaxBridges)), nil
}

// withDefaults is a with its defaults in place of zeros, or an error for what is not allowed.
func (a Annealing) withDefaults() (Annealing, error) {
	a.Particles, a.Moves = cmp.Or(a.Particles, 512), cmp.Or(a.Moves, 2)
	a.Variance, a.MaxBridges = cmp.Or(a.Variance, .25), cmp.Or(a.MaxBridges, 2000)
	if a.Ranks == nil {
		a.Ranks = alone{}
	}
	if a.Particles < 2 || a.Moves < 1 || a.MaxBridges < 1 || !(a.Variance > 0) {
		return a, fmt.Errorf("density: annealing with %d particles, %d moves, at most %d bridges and a variance of %g; allowed are 2 or more, 1 or more, 1 or more and a positive number",
			a.Particles, a.Moves, a.MaxBridges, a.Variance)
	}
	return a, nil
}

// bridged is a potential with a parameter β. raise sets it, and returns what the log weight of
// each particle gains for each unit of β.
type bridged interface {
	potential.Potential
	raise(c *sampling.Chains, beta float64) ([]float64, error)
}

// anneal moves particles along the path. It returns their log weights and the mean acceptance.
func anneal(ctx context.Context, b bridged, c *sampling.Chains, path []station, moves int, rng *random.Stream) (logWeight []float64, acceptance float64, err error) {
	logWeight = make([]float64, c.Y.Rows)
	sampler := sampling.Langevin{Adjusted: true, Freeze: true, Runaway: math.MaxFloat64}
	for k, at := range path[1:] {
		gaps, err := b.raise(c, at.beta)
		if err != nil {
			return nil, 0, err
		}
		for i, gap := range gaps {
			logWeight[i] += (at.beta - path[k].beta) * gap
		}
		if at.beta == 1 {
			break
		}
		c.Step = at.step
		move, err := sampler.Run(ctx, b, c, moves, rng)
		if err != nil {
			return nil, 0, err
		}
		acceptance += move.Acceptance / float64(len(path)-2)
	}
	return logWeight, acceptance, nil
}

// weightError is the standard error of the log of a mean of n weights with the given effective
// size, whose potentials, of a mean magnitude, are rounded to float32.
func weightError(size float64, n int, magnitude float64) float64 {
	const rounding = 0x1p-24
	return math.Hypot(math.Sqrt((1/size-1)/float64(n-1)), rounding*magnitude)
}

// station is a point of the path from r to 𝔓_w.
type station struct {
	beta   float64
	step   float64 // γ of MALA at this point
	length float64 // Σ sd(log ω) up to this point
}

// layPath walks n particles from r to 𝔓_w. They are resampled at every bridge so that
// they follow it; each step keeps the standard deviation of log ω at ½. It returns the
// path and the final particles in the coordinates of r.
func layPath(ctx context.Context, w potential.Potential, reference *exact.Gaussian, n, moves int, rng *random.Stream) ([]station, blas32.General, error) {
	fail := func(err error) ([]station, blas32.General, error) { return nil, blas32.General{}, err }
	const spread, longest = .5, 10_000
	b := newBridge(w, reference)
	c, err := b.start(n, rng)
	if err != nil {
		return fail(err)
	}
	c.Step = math.Pow(float64(w.Dim()), -1./3)
	sampler := sampling.Langevin{Adjusted: true, Runaway: math.MaxFloat64}
	path := []station{{step: c.Step}}
	weights := make([]float64, n)
	for range longest {
		last := path[len(path)-1]
		gaps, err := b.raise(c, last.beta)
		if err != nil {
			return fail(err)
		}
		sd := stat.StdDev(gaps, nil)
		rise := min(spread/sd, 1-last.beta)
		next := station{beta: last.beta + rise, length: last.length + rise*sd}
		if rise == 1-last.beta {
			next.beta = 1
		}
		logMean, _ := logMeanExp(floats.ScaleTo(make([]float64, n), rise, gaps))
		for i, gap := range gaps {
			weights[i] = math.Exp(rise*gap - logMean)
		}
		var drawn sampling.Chains
		if err := c.Gather(&drawn, systematic(weights, n, rng.Float64())); err != nil {
			return fail(err)
		}
		*c = drawn
		b.beta, c.Fresh = next.beta, false
		if _, err := sampler.Run(ctx, b, c, 2*moves, rng); err != nil {
			return fail(err)
		}
		next.step = c.Step
		path = append(path, next)
		if next.beta == 1 {
			path[0].step = path[1].step
			return path, c.Y, nil
		}
	}
	return fail(errors.New("density: annealing does not reach the Gibbs factor, because the reference is too far from it; fit the reference to a sample of the Gibbs factor"))
}

// widened is g, unless particles z, in its coordinates, have a variance along an axis
// that is larger by five standard errors; then it is a Gaussian with their variances.
func widened(g *exact.Gaussian, z blas32.General) *exact.Gaussian {
	wider := &exact.Gaussian{Mean: g.Mean, Values: slices.Clone(g.Values), Vectors: g.Vectors}
	changed := false
	for k := range g.Values {
		var squares float64
		for i := range z.Rows {
			squares += float64(batch.Row(z, i)[k]) * float64(batch.Row(z, i)[k]) / float64(z.Rows)
		}
		if squares > 1+5*math.Sqrt(2/float64(z.Rows)) {
			wider.Values[k] *= squares
			changed = true
		}
	}
	if !changed {
		return g
	}
	return wider
}

// bridges is the number of bridges that brings the variance of log ω to v. K bridges of
// independent particles would have variance Λ²/K over the length Λ. If moves of step γ
// leave the particles a correlation ρ = e^{−γ·moves}, it is (1+ρ)/(1−ρ) times as much.
func bridges(path []station, moves int, v float64, limit int) int {
	var gamma float64
	for _, s := range path[1:] {
		gamma += s.step / float64(len(path)-1)
	}
	length := path[len(path)-1].length
	k := math.Ceil(length * length / v / math.Tanh(gamma*float64(moves)/2))
	return int(min(max(2, k), float64(limit)))
}

// respace places k bridges along the path, at equal distances in length (or in β where
// the path has no length).
func respace(path []station, k int) []station {
	total := path[len(path)-1].length
	share := func(s station) float64 {
		if total == 0 {
			return s.beta
		}
		return s.length / total
	}
	out := []station{path[0]}
	j := 1
	for i := 1; i < k; i++ {
		at := float64(i) / float64(k)
		for share(path[j]) < at {
			j++
		}
		a, b := path[j-1], path[j]
		t := (at - share(a)) / (share(b) - share(a))
		out = append(out, station{
			beta:   a.beta + t*(b.beta-a.beta),
			step:   a.step * math.Pow(b.step/a.step, t),
			length: at * total,
		})
	}
	return append(out, path[len(path)-1])
}
