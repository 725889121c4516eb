package inpaint

import (
	"context"
	"fmt"
	"strconv"

	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/picture"
	"cmf/experiments/run"
)

// openPrior reads the potential of CMF_CHECKPOINT, or learns one, and says in words which.
// p is nil if learning was interrupted.
func openPrior(ctx context.Context, r *run.Run, c *Config) (p *Prior, origin string, err error) {
	model, err := c.saved(r)
	if err != nil {
		return nil, "", err
	}
	var of *units.Pixels
	if model != nil {
		u := model.Units().(units.Pixels) // saved has checked this
		of = &u
	}
	digits, err := c.Open(ctx, r, &c.Core, max(2000, c.Digits), of)
	if err != nil {
		return nil, "", err
	}
	if model != nil {
		origin = fmt.Sprintf("the potential of %s, trained for %d steps", c.Checkpoint, model.State.Step)
		p, err = NewPrior(digits, model)
		return p, origin, err
	}
	problem, err := c.Problem(&c.Core, digits)
	if err != nil {
		return nil, "", err
	}
	if model, err = fit.Fit(ctx, r, &c.Core, problem); err != nil || !model.Finished {
		return nil, "", err
	}
	origin = fmt.Sprintf("a potential trained for %d steps in this run", model.State.Step)
	p, err = NewPrior(digits, model)
	return p, origin, err
}

// saved is the model of CMF_CHECKPOINT, or nil if there is none. The settings on which its
// units and noise depend are copied into c.
func (c *Config) saved(r *run.Run) (*fit.Model, error) {
	if c.Checkpoint == "" {
		return nil, nil
	}
	m, err := fit.OpenModel(r, c.Checkpoint)
	if err != nil {
		return nil, err
	}
	u, ok := m.Units().(units.Pixels)
	if m.Evaluator.Dim() != picture.Pixels || !ok {
		return nil, fmt.Errorf("CMF_CHECKPOINT=%s: it is a model of the experiment %s, for points of %d coordinates; give one of the experiment mnist", c.Checkpoint, m.Origin.Experiment, m.Evaluator.Dim())
	}
	c.Alpha, c.Source = u.Alpha, m.Origin.Source()
	if c.Noise, err = strconv.ParseFloat(m.Origin.Config["CMF_NOISE"], 64); err != nil {
		return nil, fmt.Errorf("CMF_CHECKPOINT=%s: its CMF_NOISE: %w", c.Checkpoint, err)
	}
	if err := config.Check(c); err != nil {
		return nil, fmt.Errorf("CMF_CHECKPOINT=%s: %w", c.Checkpoint, err)
	}
	return m, nil
}
