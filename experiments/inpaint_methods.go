package experiments

import (
	"context"

	"cmf/experiments/picture"
	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/order"
	"cmf/solvers/posterior"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// inpaintTolerance is the relative residual of the conjugates between steps. A
// coarser one is felt in the misfit, and costs acceptance.
const inpaintTolerance = 1e-3

// start repeats the observed pictures for their draws, adds the smoothing noise
// that the model was trained with, and fills the hole by a draw of the Gaussian
// fit's conditional law.
func (p *prior) start(h picture.Hole, observed blas32.General, c *InpaintConfig, rng *random.Stream) (targets, x blas32.General, law *exact.Conditional, err error) {
	if law, err = p.digits.Law.Given(h.Observed); err != nil {
		return targets, x, nil, err
	}
	targets, x = batch.New(observed.Rows*c.Draws, picture.Pixels), batch.New(observed.Rows*c.Draws, picture.Pixels)
	rng.Normals(x.Data)
	for i := range x.Rows {
		from := batch.Row(observed, i/c.Draws)
		copy(batch.Row(targets, i), from)
		for k, v := range from {
			batch.Row(x, i)[k] = v + float32(c.Noise)*batch.Row(x, i)[k]
		}
	}
	return targets, x, law, law.Draw(x, rng)
}

// fillByPosterior samples the noise y behind a picture from its posterior; see
// solvers.Posterior.
func fillByPosterior(ctx context.Context, p *prior, h picture.Hole, observed blas32.General, c *InpaintConfig, rng *random.Stream) (fills, error) {
	targets, x, _, err := p.start(h, observed, c, rng)
	if err != nil {
		return fills{}, err
	}
	y := batch.New(x.Rows, x.Cols)
	if err := p.w.Eval(x, nil, y); err != nil {
		return fills{}, err
	}
	chains, err := sampling.NewChains(y)
	if err != nil {
		return fills{}, err
	}
	target := &posterior.Noise{
		Potential: p.w, Noise: p.noise, Observed: targets, Mask: h.Observed, Deviation: c.Deviation,
		Conjugate: &conjugate.LBFGS{Tolerance: inpaintTolerance}, Hessian: conjugate.HessianSolver{Tolerance: .02},
		Preconditioner: p.preconditioner, Points: x,
	}
	sampler := sampling.Hamiltonian{Leaps: c.Leaps}
	if sampler.Preconditioner, err = posterior.Preconditioner(p.ofNoise, p.atData, h.Observed, c.Deviation); err != nil {
		return fills{}, err
	}
	out := newFills(x.Rows, h)
	solved := batch.New(x.Rows, x.Cols)
	for t := range c.Trajectories {
		acceptance, err := sampler.Run(ctx, target, chains, 1, rng)
		if err != nil {
			return fills{}, err
		}
		out.acceptance += acceptance / float64(c.Trajectories)
		if t < c.Trajectories/3 {
			continue
		}
		// A trajectory that was rejected has left its own end in Points.
		copy(solved.Data, target.Points.Data)
		if _, err := target.Conjugate.Solve(ctx, p.w, chains.Y, solved, p.preconditioner); err != nil {
			return fills{}, err
		}
		if err := out.add(p, solved); err != nil {
			return fills{}, err
		}
	}
	out.missed = float64(target.Unconverged) / float64(x.Rows*(c.Trajectories*c.Leaps+1))
	return out, nil
}

// fillByClamping alternates Langevin steps on the noise with putting the observed
// pixels back; see solvers.Clamped.
func fillByClamping(ctx context.Context, p *prior, h picture.Hole, observed blas32.General, c *InpaintConfig, rng *random.Stream) (fills, error) {
	targets, x, law, err := p.start(h, observed, c, rng)
	if err != nil {
		return fills{}, err
	}
	loop := &posterior.Clamped{
		Potential: p.w, Noise: p.noise, Observed: targets, Mask: h.Observed,
		Sampler: sampling.Langevin{Adjusted: true, Step: .1, Runaway: 1e9, Decay: .3},
		From:    2 * c.Noise, To: c.Noise,
		Conjugate: &conjugate.LBFGS{Tolerance: inpaintTolerance}, Preconditioner: p.preconditioner,
	}
	if loop.Sampler.Preconditioner, err = law.ClampedPreconditioner(p.atData); err != nil {
		return fills{}, err
	}
	out := newFills(x.Rows, h)
	out.acceptance, err = loop.Run(ctx, x, c.Clamped, rng, func(t int) error {
		if t < c.Clamped/3 {
			return nil
		}
		return out.add(p, x)
	})
	out.missed = float64(loop.Unconverged) / float64(x.Rows*c.Clamped)
	return out, err
}

// fills are completed pictures in pixels: draw k of picture i is row i·draws+k.
type fills struct {
	draws      blas32.General // the last state of each chain, (n·draws, 784)
	sum        blas32.General // of the states after the first third of its steps
	count      int            // of states in sum
	traces     [][]float64    // of each chain: the mean of the hole in those states
	hidden     []int          // pixels of the hole
	acceptance float64
	missed     float64 // share of conjugate solves that did not converge
}

func newFills(chains int, h picture.Hole) fills {
	return fills{sum: batch.New(chains, picture.Pixels), traces: make([][]float64, chains), hidden: h.Hidden()}
}

// add takes a state of all chains, (n·draws, d) in the model's units.
func (f *fills) add(p *prior, x blas32.General) (err error) {
	if f.draws, err = p.digits.Pixels(x); err != nil {
		return err
	}
	f.count++
	for i := range x.Rows {
		var mean float64
		for k, v := range batch.Row(f.draws, i) {
			batch.Row(f.sum, i)[k] += v
		}
		for _, k := range f.hidden {
			mean += float64(batch.Row(f.draws, i)[k]) / float64(len(f.hidden))
		}
		f.traces[i] = append(f.traces[i], mean)
	}
	return nil
}

// mean is the mean completion of each of n pictures, over the states of all its
// chains.
func (f *fills) mean(n int) blas32.General {
	out := batch.New(n, picture.Pixels)
	each := f.sum.Rows / n
	for i := range f.sum.Rows {
		for k, v := range batch.Row(f.sum, i) {
			batch.Row(out, i/each)[k] += v / float32(each*f.count)
		}
	}
	return out
}

// rHat is the median over n pictures of R̂ between the chains of one, of the mean
// of the hole.
func (f *fills) rHat(n int) (float64, error) {
	each := len(f.traces) / n
	values := make([]float64, n)
	for i := range values {
		var err error
		if values[i], err = sampling.SplitRHat(f.traces[i*each : (i+1)*each]); err != nil {
			return 0, err
		}
	}
	return order.Select(values, n/2), nil
}
