package learner

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// Drawing generates points little by little, as the command generate does: chains that start
// at the bank make steps of MALA, of which the first fifth adapts the step; then ∇w* maps them
// to high precision.
type Drawing struct {
	l       *Learner
	chains  *sampling.Chains
	x       blas32.General
	sampler sampling.Langevin
	rng     *random.Stream
	made    int
	mixing  int
}

// Draw begins to generate n points with the averaged weights, after mixing steps. Until they
// are there, no step of training may be made.
func (l *Learner) Draw(n, mixing int) (*Drawing, error) {
	if n < 1 || mixing < 5 {
		return nil, fmt.Errorf("%d points after %d steps; there must be at least 1 after 5", n, mixing)
	}
	s := l.State()
	d := &Drawing{l: l, x: batch.New(n, l.Potential.Dim()), rng: random.New(l.Options.Seed, "generation", 0), mixing: mixing}
	y := batch.New(n, l.Potential.Dim())
	for i := range n {
		copy(batch.Row(y, i), batch.Row(s.Bank.Y, i%s.Bank.Y.Rows))
		copy(batch.Row(d.x, i), batch.Row(s.Partners, i%s.Bank.Y.Rows))
	}
	var err error
	if d.chains, err = sampling.NewChains(y); err != nil {
		return nil, err
	}
	p := s.Preconditioner()
	if l.Noise != potential.Potential(l.Evaluator) {
		p = potential.NoisePreconditioner(l.Noise, p)
	}
	d.sampler = sampling.Langevin{Adjusted: true, Step: s.Bank.Step, Preconditioner: p}
	return d, nil
}

// Step makes a step of the chains; done says that the points are there.
func (d *Drawing) Step() (done bool, err error) {
	err = d.l.averaged(func() error {
		if d.made < d.mixing {
			d.sampler.Freeze = d.made >= d.mixing/5
			_, err := d.sampler.Run(context.Background(), d.l.Noise, d.chains, 1, d.rng)
			d.made++
			return err
		}
		done = true
		solver := &conjugate.LBFGS{Tolerance: 5e-4, MaxIterations: 400}
		_, err := solver.Solve(context.Background(), d.l.Evaluator, d.chains.Y, d.x, d.l.State().Preconditioner())
		return err
	})
	return done, err
}

// Done is the share of the steps that are made.
func (d *Drawing) Done() float64 { return float64(d.made) / float64(d.mixing+1) }

// Points are the generated points in the units of the data.
func (d *Drawing) Points() blas32.General { return d.l.original(d.x) }

// original converts a copy of points to the units of the data.
func (l *Learner) original(x blas32.General) blas32.General {
	out := batch.New(x.Rows, x.Cols)
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			out.Data[x.Cols*i+j] = float32(l.Center[j] + l.Scale*float64(v))
		}
	}
	return out
}

// averaged calls f while the weights are their moving averages.
func (l *Learner) averaged(f func() error) error {
	if l.Finished() || len(l.average.Mean) == 0 {
		return f()
	}
	weights := l.own()
	if err := l.average.Swap(weights); err != nil {
		return err
	}
	err := f()
	if back := l.average.Swap(weights); err == nil {
		err = back
	}
	return err
}

// Checkpoint is the model as the command generate reads it: the averaged weights, the
// particles with their conjugates, the preconditioner, the units.
func (l *Learner) Checkpoint() (text []byte, err error) {
	err = l.averaged(func() error {
		text, err = l.checkpoint()
		return err
	})
	return text, err
}

func (l *Learner) checkpoint() ([]byte, error) {
	s, c := l.State(), graph.NewCheckpoint()
	c.PutParams(l.Potential.Params())
	c.Put("bank.y", s.Bank.Y.Data, s.Bank.Y.Rows, s.Bank.Y.Cols)
	c.Put("bank.partners", s.Partners.Data, s.Partners.Rows, s.Partners.Cols)
	if m := s.Preconditioner(); m != nil {
		p, root := m.Factors()
		c.Put("metric.p", p.Data, p.Rows, p.Cols)
		c.Put("metric.l", root.Data, root.Rows, root.Cols)
	}
	for name, v := range map[string]any{
		"architecture": l.Potential.Describe(),
		"config":       l.variables(),
		"units":        map[string]any{"Center": l.Center, "Scale": slices.Repeat([]float64{l.Scale}, len(l.Center))},
	} {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.Texts[name] = string(text)
	}
	c.Texts["experiment"] = "playground"
	c.Texts["step"] = strconv.Itoa(s.Step)
	c.Texts["chains.gamma"] = strconv.FormatFloat(s.Bank.Step, 'x', -1, 64)
	return c.Marshal()
}

// variables are the options as those of the command toy2d.
func (l *Learner) variables() map[string]string {
	o := l.Options
	hidden := ""
	for k, h := range l.recipe.network.Hidden {
		if k > 0 {
			hidden += ","
		}
		hidden += strconv.Itoa(h)
	}
	return map[string]string{
		"CMF_DATASET": o.Set, "CMF_LOSS": o.Loss, "CMF_POTENTIAL": string(o.Potential), "CMF_SOURCE": o.Source, "CMF_SAMPLER": string(o.Sampler),
		"CMF_HIDDEN": hidden, "CMF_BATCH": strconv.Itoa(o.Batch), "CMF_STEPS": strconv.Itoa(o.Steps), "CMF_SEED": strconv.FormatUint(o.Seed, 10),
		"CMF_LR": strconv.FormatFloat(l.recipe.lr, 'g', -1, 64), "CMF_PARTICLES": strconv.Itoa(batches * o.Batch), "CMF_LANGEVIN": strconv.Itoa(l.recipe.langevin),
	}
}
