package fit

import (
	"context"
	"fmt"
	"math"
	"slices"

	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/solvers/batch"
	"cmf/solvers/order"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Draw is a set of generated points with checks of their quality.
type Draw struct {
	Gibbs     blas32.General // y ~ 𝔓_w, carried by Problem.Carry if it is set, (n, d)
	Points    blas32.General // ∇w*(y), (n, d)
	Residual  []float32      // ‖∇w(x̂) − y‖/‖y‖ of each row
	Converged float64        // share of rows within the tolerance
	Checks    report.Numbers // acceptance, R̂, effective sample size, …
}

// DrawTolerance is the relative residual of generated points.
const DrawTolerance = 5e-4

// Draw generates n points. Chains that start at the bank make steps steps of MALA (the
// first fifth adapts the step, the rest is exact); then ∇w* maps them to high precision.
// The end of ctx is an error, returned within a step. A model of a given source has no
// noise to draw: see Map.
//
// Ranks that trained the model, or opened it, share the points: all of them must draw, and all
// have all points then. Each has a stream of its own, so that the numbers depend on how many
// they are, and their law does not.
func (m *Model) Draw(ctx context.Context, n, steps int, rng *random.Stream) (*Draw, error) {
	d, err := m.newDrawing(n, rng)
	if err != nil {
		return nil, err
	}
	return d.first(ctx, steps)
}

// blockRows are the points that DrawBlocks draws at once.
const blockRows = 1 << 14

// DrawBlocks generates n points as Draw does and hands them to take in blocks, so that any
// number of them fits into memory. The chains of a block go on from those of the block before,
// after a twentieth of steps. The first block has the checks of all.
func (m *Model) DrawBlocks(ctx context.Context, n, steps int, rng *random.Stream, take func(*Draw) error) error {
	d, err := m.newDrawing(min(n, blockRows), rng)
	if err != nil {
		return err
	}
	for from := 0; from < n; from += blockRows {
		var block *Draw
		if from == 0 {
			block, err = d.first(ctx, steps)
		} else {
			block, err = d.next(ctx, max(5, steps/20))
		}
		if err != nil {
			return err
		}
		if rows := n - from; rows < block.Points.Rows {
			block.Points, block.Gibbs, block.Residual = batch.Rows(block.Points, 0, rows), batch.Rows(block.Gibbs, 0, rows), block.Residual[:rows]
		}
		if err := take(block); err != nil {
			return err
		}
	}
	return nil
}

// drawing is chains of the noise with their conjugates.
type drawing struct {
	m       *Model
	own     *Model // m for the rows of this rank
	n       int    // on all ranks
	chains  *sampling.Chains
	x       blas32.General
	sampler sampling.Langevin
	rng     *random.Stream // of this rank
	common  *random.Stream // of all
}

// newDrawing starts n chains at the bank.
func (m *Model) newDrawing(n int, rng *random.Stream) (*drawing, error) {
	if err := m.needsNoise(); err != nil {
		return nil, err
	}
	bank := m.State.Bank
	d := bank.Y.Cols
	from, to := m.ranks.Span(n)
	own, err := m.of(n, from, to)
	if err != nil {
		return nil, err
	}
	y, x := batch.New(to-from, d), batch.New(to-from, d)
	for i := range to - from {
		j := (from + i) % bank.Y.Rows
		copy(y.Data[i*d:(i+1)*d], bank.Y.Data[j*d:(j+1)*d])
		copy(x.Data[i*d:(i+1)*d], m.State.Partners.Data[j*d:(j+1)*d])
	}
	chains, err := sampling.NewChains(y)
	if err != nil {
		return nil, err
	}
	sampler := sampling.Langevin{Adjusted: true, Step: bank.Step, Preconditioner: m.NoisePreconditioner()}
	return &drawing{m: m, own: own, n: n, chains: chains, x: x, sampler: sampler, rng: m.ranks.Stream(n, rng), common: rng}, nil
}

// first moves the chains for long enough to forget the bank, and checks them.
func (d *drawing) first(ctx context.Context, steps int) (*Draw, error) {
	all := d.m.ranks
	traces := make([][]float64, min(d.x.Rows, 64)) // of the energy
	var acceptance float64
	restarted := 0
	draw, iterations, err := d.drawn(ctx, func() error {
		if _, err := d.sampler.Run(ctx, d.own.Noise, d.chains, steps/5, d.rng); err != nil {
			return err
		}
		d.sampler.Freeze = true
		kept := max(8, steps-steps/5)
		for range kept {
			info, err := d.sampler.Run(ctx, d.own.Noise, d.chains, 1, d.rng)
			if err != nil {
				return err
			}
			acceptance += info.Acceptance / float64(kept)
			restarted += info.Restarted
			for k := range traces {
				traces[k] = append(traces[k], float64(d.chains.Value[k]))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	draw.Checks = report.Numbers{
		"sample_acceptance":            all.Mean(d.n, acceptance),
		"sample_restarted":             math.Round(all.Mean(d.n, float64(restarted)/float64(d.x.Rows)) * float64(d.n)),
		"conjugate_converged":          draw.Converged,
		"conjugate_residual_max":       float64(slices.Max(draw.Residual)),
		"conjugate_residual_quantile":  quantile(draw.Residual, .999),
		"conjugate_residual_tolerance": DrawTolerance,
		"conjugate_iterations":         iterations,
	}
	// Those of rank 0 stand for all.
	if draw.Checks["r_hat"], err = all.OfRoot(func() (float64, error) { return sampling.SplitRHat(traces) }); err != nil {
		return nil, err
	}
	if draw.Checks["ess"], err = all.OfRoot(func() (float64, error) { return sampling.EffectiveSampleSize(traces) }); err != nil {
		return nil, err
	}
	draw.Checks["ess_per_chain"] = draw.Checks["ess"] / float64(len(traces))
	return draw, d.m.selfChecks(draw, d.common)
}

// next moves the chains further.
func (d *drawing) next(ctx context.Context, steps int) (*Draw, error) {
	draw, _, err := d.drawn(ctx, func() error {
		_, err := d.sampler.Run(ctx, d.own.Noise, d.chains, steps, d.rng)
		return err
	})
	return draw, err
}

// drawn moves the chains, maps them to points, and joins those of all ranks.
func (d *drawing) drawn(ctx context.Context, move func() error) (_ *Draw, iterations float64, err error) {
	var info solved
	all := d.m.ranks
	err = all.Together(d.n, func() (err error) {
		if err := move(); err != nil {
			return fmt.Errorf("sampling: %w", err)
		}
		if info, err = d.own.solve(ctx, d.chains.Y, d.x); err != nil {
			return fmt.Errorf("conjugates: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	residual := blas32.General{Rows: len(info.residual), Cols: 1, Stride: 1, Data: info.residual}
	draw := &Draw{
		Gibbs: all.Joined(d.n, d.chains.Y), Points: all.Joined(d.n, d.x),
		Residual: all.Joined(d.n, residual).Data, Converged: all.Mean(d.n, info.converged),
	}
	return draw, all.Mean(d.n, info.iterations), nil
}

// InData are the rows of z, which all ranks have, in the units of the data. Ranks share the
// work: rank 0 has all rows then, and the others have theirs.
func (m *Model) InData(z blas32.General, rng *random.Stream) (blas32.General, error) {
	var x blas32.General
	err := m.ranks.Spread(z.Rows, rng, func(from, to int, rng *random.Stream) (err error) {
		x, err = m.Units().Data(batch.Rows(z, from, to), rng)
		return err
	})
	if err != nil {
		return x, err
	}
	return m.ranks.JoinedOnRoot(z.Rows, x), nil
}

// NoisePreconditioner is the preconditioner for steps on the noise.
func (m *Model) NoisePreconditioner() *potential.Preconditioner {
	noise := m.Noise
	if noise == potential.Potential(m.Evaluator) {
		noise = nil
	}
	return potential.NoisePreconditioner(noise, m.State.Preconditioner())
}

// NoiseHessian is the mean of the Hessian of the noise's potential over the rows of y.
func (m *Model) NoiseHessian(y blas32.General) (*mat.SymDense, error) {
	switch v := m.Noise.(type) {
	case potential.Normal:
		h := mat.NewSymDense(v.D, nil)
		for k := range v.D {
			h.SetSym(k, k, 1)
		}
		return h, nil
	case *potential.Carried:
		h, err := m.meanHessian(v.Back(y))
		if err != nil {
			return nil, err
		}
		return v.Hessian(h), nil
	}
	return m.meanHessian(y)
}

// relative converts residuals relative to a scale into residuals relative to ‖y‖.
func relative(residual, scale []float32, y blas32.General) []float32 {
	out := make([]float32, len(residual))
	for i, r := range residual {
		var s float64
		for _, v := range y.Data[i*y.Stride:][:y.Cols] {
			s += float64(v) * float64(v)
		}
		out[i] = r * scale[i] / float32(math.Sqrt(s))
	}
	return out
}

// selfChecks adds checks of convexity at the first points.
func (m *Model) selfChecks(draw *Draw, rng *random.Stream) error {
	n := min(draw.Points.Rows, 512)
	w := potential.Of(m.Evaluator, rowsTo(n))
	c, err := metric.ConvexityOf(w, batch.Rows(draw.Points, 0, n), batch.Rows(draw.Gibbs, 0, n), rng)
	draw.Checks["convexity_violation"], draw.Checks["least_curvature"], draw.Checks["fenchel_young_violation"] = c.Violation, c.Curvature, c.Gap
	return err
}

func quantile(values []float32, q float64) float64 {
	k := min(len(values)-1, int(q*float64(len(values))))
	return float64(order.Select(slices.Clone(values), k))
}

// Clone is a copy of the draw that later blocks do not change.
func (d *Draw) Clone() *Draw {
	c := *d
	c.Gibbs, c.Points = batch.Stacked(d.Gibbs, batch.New(0, d.Gibbs.Cols)), batch.Stacked(d.Points, batch.New(0, d.Points.Cols))
	return &c
}
