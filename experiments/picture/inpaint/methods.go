package inpaint

import (
	"context"

	"cmf/experiments/picture"
	"cmf/experiments/ranks"
	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/order"
	"cmf/solvers/posterior"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// tolerance is the relative residual of the conjugates between steps. A larger one shows
// in the misfit and lowers the acceptance.
const tolerance = 1e-3

// Options say how completions are drawn.
type Options struct {
	Draws        int     // completions of each picture by each method
	Noise        float64 // standard deviation of the smoothing noise in training
	Trajectories int     // of ByPosterior; a third are warm-up
	Leaps        int     // gradients of a trajectory
	Deviation    float64 // of the error that ByPosterior gives observed pixels, in the model's units
	Clamped      int     // steps of ByClamping; a third are warm-up
}

// Method draws completions of the observed pictures, (n, 784) in the model's units; their
// holes may contain anything.
type Method func(ctx context.Context, p *Prior, h Hole, observed blas32.General, o Options, rng *random.Stream) (Fills, error)

// start repeats each observed picture for its draws, adds the smoothing noise of training,
// and fills the hole with a draw from the conditional law of the Gaussian fit.
func (p *Prior) start(h Hole, observed blas32.General, o Options, rng *random.Stream) (targets, x blas32.General, law *exact.Conditional, err error) {
	if law, err = p.Digits.Law.Given(h.Observed); err != nil {
		return targets, x, nil, err
	}
	targets, x = batch.New(observed.Rows*o.Draws, picture.Pixels), batch.New(observed.Rows*o.Draws, picture.Pixels)
	rng.Normals(x.Data)
	for i := range x.Rows {
		from := batch.Row(observed, i/o.Draws)
		copy(batch.Row(targets, i), from)
		for k, v := range from {
			batch.Row(x, i)[k] = v + float32(o.Noise)*batch.Row(x, i)[k]
		}
	}
	return targets, x, law, law.Draw(x, rng)
}

// ByPosterior samples the noise y behind a picture from its posterior; see
// posterior.Noise.
func ByPosterior(ctx context.Context, p *Prior, h Hole, observed blas32.General, o Options, rng *random.Stream) (Fills, error) {
	targets, x, _, err := p.start(h, observed, o, rng)
	if err != nil {
		return Fills{}, err
	}
	y := batch.New(x.Rows, x.Cols)
	if err := p.w.Eval(x, nil, y); err != nil {
		return Fills{}, err
	}
	chains, err := sampling.NewChains(y)
	if err != nil {
		return Fills{}, err
	}
	target := &posterior.Noise{
		Potential: p.w, Noise: p.noise, Observed: targets, Mask: h.Observed, Deviation: o.Deviation,
		Conjugate: &conjugate.LBFGS{Tolerance: tolerance}, Hessian: conjugate.HessianSolver{Tolerance: .02},
		Preconditioner: p.preconditioner, Points: x,
	}
	sampler := sampling.Hamiltonian{Leaps: o.Leaps}
	if sampler.Preconditioner, err = posterior.Preconditioner(p.ofNoise, p.atData, h.Observed, o.Deviation); err != nil {
		return Fills{}, err
	}
	out := newFills(x.Rows, h)
	solved := batch.New(x.Rows, x.Cols)
	for t := range o.Trajectories {
		move, err := sampler.Run(ctx, target, chains, 1, rng)
		if err != nil {
			return Fills{}, err
		}
		out.acceptance += move.Acceptance / float64(o.Trajectories)
		if t < o.Trajectories/3 {
			continue
		}
		// After a rejected trajectory, Points belong to its rejected end.
		copy(solved.Data, target.Points.Data)
		if _, err := target.Conjugate.Solve(ctx, p.w, chains.Y, solved, p.preconditioner); err != nil {
			return Fills{}, err
		}
		pictures, err := p.Digits.Pixels(solved)
		if err != nil {
			return Fills{}, err
		}
		out.add(pictures)
	}
	out.missed = float64(target.Unconverged) / float64(x.Rows*(o.Trajectories*o.Leaps+1))
	return out, nil
}

// ByClamping alternates Langevin steps on the noise with restoring the observed pixels;
// see posterior.Clamped.
func ByClamping(ctx context.Context, p *Prior, h Hole, observed blas32.General, o Options, rng *random.Stream) (Fills, error) {
	targets, x, law, err := p.start(h, observed, o, rng)
	if err != nil {
		return Fills{}, err
	}
	loop := &posterior.Clamped{
		Potential: p.w, Noise: p.noise, Observed: targets, Mask: h.Observed,
		Sampler: sampling.Langevin{Adjusted: true, Step: .1, Runaway: 1e9, Decay: .3},
		From:    2 * o.Noise, To: o.Noise,
		Conjugate: &conjugate.LBFGS{Tolerance: tolerance}, Preconditioner: p.preconditioner,
	}
	if loop.Sampler.Preconditioner, err = law.ClampedPreconditioner(p.atData); err != nil {
		return Fills{}, err
	}
	out := newFills(x.Rows, h)
	info, err := loop.Run(ctx, x, o.Clamped, rng, func(t int) error {
		if t < o.Clamped/3 {
			return nil
		}
		pictures, err := p.Digits.Pixels(x)
		if err == nil {
			out.add(pictures)
		}
		return err
	})
	out.acceptance, out.missed = info.Acceptance, float64(info.Unconverged)/float64(x.Rows*o.Clamped)
	return out, err
}

// Fills are completed pictures in pixels: draw k of picture i is row i·draws+k.
type Fills struct {
	Draws      blas32.General // the last state of each chain, (n·draws, 784)
	sum        blas32.General // of the states after the first third of its steps
	count      int            // of states in sum
	traces     [][]float64    // of each chain: the mean of the hole in those states
	hidden     []int          // pixels of the hole
	acceptance float64
	missed     float64 // share of conjugate solves that did not converge
}

func newFills(chains int, h Hole) Fills {
	return Fills{sum: batch.New(chains, picture.Pixels), traces: make([][]float64, chains), hidden: h.Hidden()}
}

// add adds a state of all chains, (n·draws, 784) in pixels.
func (f *Fills) add(pictures blas32.General) {
	f.Draws = pictures
	f.count++
	for i := range pictures.Rows {
		var mean float64
		for k, v := range batch.Row(f.Draws, i) {
			batch.Row(f.sum, i)[k] += v
		}
		for _, k := range f.hidden {
			mean += float64(batch.Row(f.Draws, i)[k]) / float64(len(f.hidden))
		}
		f.traces[i] = append(f.traces[i], mean)
	}
}

// shared fills pictures, (n, 784), in shares of ranks; all of them have all completions then.
func shared(g *ranks.Group, pictures blas32.General, rng *random.Stream, fill func(own blas32.General, rng *random.Stream) (Fills, error)) (f Fills, err error) {
	n := pictures.Rows
	err = g.Spread(n, rng, func(from, to int, rng *random.Stream) (err error) {
		f, err = fill(batch.Rows(pictures, from, to), rng)
		return err
	})
	if err != nil {
		return f, err
	}
	traces := batch.New(len(f.traces), f.count)
	for i, trace := range f.traces {
		batch.Narrow(batch.Row(traces, i), trace)
	}
	if traces = g.Joined(n, traces); traces.Rows > len(f.traces) {
		f.traces = make([][]float64, traces.Rows)
		for i := range f.traces {
			f.traces[i] = make([]float64, traces.Cols)
			batch.Widen(f.traces[i], batch.Row(traces, i))
		}
	}
	f.Draws, f.sum = g.Joined(n, f.Draws), g.Joined(n, f.sum)
	f.acceptance, f.missed = g.Mean(n, f.acceptance), g.Mean(n, f.missed)
	return f, nil
}

// Mean is the mean completion of each of n pictures, over the states of all chains of that
// picture.
func (f *Fills) Mean(n int) blas32.General {
	out := batch.New(n, picture.Pixels)
	each := f.sum.Rows / n
	for i := range f.sum.Rows {
		for k, v := range batch.Row(f.sum, i) {
			batch.Row(out, i/each)[k] += v / float32(each*f.count)
		}
	}
	return out
}

// rHat is the median over n pictures of R̂ for the mean of the hole, between the chains of
// a picture.
func (f *Fills) rHat(n int) (float64, error) {
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
