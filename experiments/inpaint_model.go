package experiments

import (
	"context"
	"fmt"
	"strconv"

	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/picture"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// prior is a potential learned from digits, by which holes are filled.
type prior struct {
	digits         *picture.DigitData
	w              *layers.Evaluator
	noise          potential.Potential
	atData         *mat.SymDense             // the mean of ∇²w over data
	preconditioner *potential.Preconditioner // its inverse
	ofNoise        *mat.SymDense             // the mean of the noise's Hessian
	describe       string
}

// openPrior reads the potential of CMF_CHECKPOINT, or learns one.
func openPrior(ctx context.Context, r *run.Run, c *InpaintConfig) (*prior, error) {
	model, err := c.saved()
	if err != nil {
		return nil, fmt.Errorf("CMF_CHECKPOINT=%s: %w", c.Checkpoint, err)
	}
	p := new(prior)
	var of *units.Pixels
	if model != nil {
		u := model.Units().(units.Pixels) // saved has seen to it
		of = &u
	}
	if p.digits, err = c.Open(ctx, r, &c.Core, max(2000, c.Digits), of); err != nil {
		return nil, err
	}
	if model != nil {
		p.describe = fmt.Sprintf("the potential of %s, trained for %d steps", c.Checkpoint, model.State.Step)
		return p, p.measure(model)
	}
	problem, err := c.Problem(&c.Core, p.digits)
	if err != nil {
		return nil, err
	}
	if model, err = fit.Fit(ctx, r, &c.Core, problem); err != nil || !model.Finished {
		return nil, err
	}
	p.describe = fmt.Sprintf("a potential trained for %d steps in this run", model.State.Step)
	return p, p.measure(model)
}

// saved is the model of CMF_CHECKPOINT, nil without one; what its units and its
// noise depend on is read into c.
func (c *InpaintConfig) saved() (*fit.Model, error) {
	if c.Checkpoint == "" {
		return nil, nil
	}
	m, err := fit.LoadModel(c.Checkpoint)
	if err != nil {
		return nil, err
	}
	u, ok := m.Units().(units.Pixels)
	if m.Evaluator.Dim() != picture.Pixels || !ok {
		return nil, fmt.Errorf("it is of the experiment %s, with points of %d coordinates; one of the experiment mnist is needed", m.Origin.Experiment, m.Evaluator.Dim())
	}
	c.Alpha, c.Source = u.Alpha, m.Origin.Source()
	if c.Noise, err = strconv.ParseFloat(m.Origin.Config["CMF_NOISE"], 64); err != nil {
		return nil, fmt.Errorf("its CMF_NOISE: %w", err)
	}
	return m, config.Check(c)
}

// measure takes the mean Hessians by which solves and steps are preconditioned.
func (p *prior) measure(m *fit.Model) (err error) {
	p.w = m.Evaluator
	x := picture.Spread(p.digits.Train, min(512, p.digits.Train.Rows))
	if p.atData, err = m.Curvature.MeanHessian(x); err != nil {
		return err
	}
	if p.preconditioner, err = potential.PreconditionerFromHessian(p.atData); err != nil {
		return err
	}
	p.noise = m.Noise
	y := batch.New(x.Rows, x.Cols)
	if err := p.w.Eval(x, nil, y); err != nil {
		return err
	}
	p.ofNoise, err = m.NoiseHessian(y)
	return err
}

// drawFills draws completions of the observed pictures, (n, 784) in the model's
// units, whose holes hold anything.
type drawFills func(ctx context.Context, p *prior, h picture.Hole, observed blas32.General, c *InpaintConfig, rng *random.Stream) (fills, error)
