package experiments

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// prior is a potential learned from digits, by which holes are filled.
type prior struct {
	digits   *digitData
	w        *layers.Evaluator
	noise    solvers.Potential // nil for w itself
	atData   *mat.SymDense     // the mean of ∇²w over data
	metric   *solvers.Metric   // its inverse
	ofNoise  *mat.SymDense     // the mean of the noise's Hessian
	describe string
}

// openPrior reads the potential of CMF_CHECKPOINT, or learns one.
func openPrior(ctx context.Context, r *Run, c *InpaintConfig) (*prior, error) {
	p := new(prior)
	var w *layers.ICNN
	if c.Checkpoint != "" {
		ckpt, err := graph.LoadCheckpoint(c.Checkpoint)
		if err == nil {
			w, err = c.adopt(ckpt)
		}
		if err != nil {
			return nil, fmt.Errorf("CMF_CHECKPOINT=%s: %w", c.Checkpoint, err)
		}
		p.describe = fmt.Sprintf("the potential of %s, trained for %s steps", c.Checkpoint, ckpt.Texts["step"])
	}
	var err error
	if p.digits, err = c.open(ctx, r, &c.Core, max(2000, c.Digits)); err != nil {
		return nil, err
	}
	if w == nil {
		problem, err := c.problem(&c.Core, p.digits)
		if err != nil {
			return nil, err
		}
		model, err := Fit(ctx, r, &c.Core, problem)
		if err != nil || !model.Finished {
			return nil, err
		}
		w = problem.Potential
		p.describe = fmt.Sprintf("a potential trained for %d steps in this run", model.State.Step)
	}
	if p.w, err = layers.NewEvaluator(w); err != nil {
		return nil, err
	}
	return p, p.measure(w, c.Source == "gaussian")
}

// adopt reads a checkpoint of the experiment mnist: the averaged weights, and into
// c what the model's units depend on.
func (c *InpaintConfig) adopt(ckpt *graph.Checkpoint) (*layers.ICNN, error) {
	config := make(map[string]string)
	if err := json.Unmarshal([]byte(ckpt.Texts["config"]), &config); err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	var err error
	if c.Alpha, err = strconv.ParseFloat(config["CMF_ALPHA"], 64); err != nil {
		return nil, fmt.Errorf("its CMF_ALPHA: %w; a checkpoint of the experiment mnist is needed", err)
	}
	if c.Noise, err = strconv.ParseFloat(config["CMF_NOISE"], 64); err != nil {
		return nil, fmt.Errorf("its CMF_NOISE: %w", err)
	}
	if c.Knots, err = strconv.Atoi(config["CMF_KNOTS"]); err != nil {
		return nil, fmt.Errorf("its CMF_KNOTS: %w", err)
	}
	if err := c.Hidden.Decode(config["CMF_HIDDEN"]); err != nil {
		return nil, fmt.Errorf("its CMF_HIDDEN: %w", err)
	}
	c.Source = config["CMF_SOURCE"]
	if err := c.Validate(); err != nil {
		return nil, err
	}
	w, err := c.network(c.Hidden)
	if err != nil {
		return nil, err
	}
	if err := ckpt.GetParams(w.Params()); err != nil {
		return nil, err
	}
	for name, mean := range getMap(ckpt, "average.") {
		p := w.Params().ByName(name)
		if p == nil {
			continue // a weight of the loss
		}
		if len(mean) != len(p.Float32s()) {
			return nil, fmt.Errorf("its average of %s has %d values; there must be %d", name, len(mean), len(p.Float32s()))
		}
		copy(p.Float32s(), mean)
	}
	return w, nil
}

// measure takes the mean Hessians by which solves and steps are preconditioned.
func (p *prior) measure(w *layers.ICNN, gaussian bool) error {
	curvature, err := layers.NewCurvature(w)
	if err != nil {
		return err
	}
	x := spread(p.digits.train, min(512, p.digits.train.Rows))
	if p.atData, err = curvature.MeanHessian(x); err != nil {
		return err
	}
	if p.metric, err = solvers.MetricFromHessian(p.atData); err != nil {
		return err
	}
	if gaussian {
		p.noise = solvers.StandardNormal{D: pixels}
		p.ofNoise = mat.NewSymDense(pixels, nil)
		for k := range pixels {
			p.ofNoise.SetSym(k, k, 1)
		}
		return nil
	}
	y := newBatch(x.Rows, x.Cols)
	if err := p.w.Eval(x, nil, y); err != nil {
		return err
	}
	p.ofNoise, err = curvature.MeanHessian(y)
	return err
}

// drawFills draws completions of the observed pictures, (n, 784) in the model's
// units, whose holes hold anything.
type drawFills func(ctx context.Context, p *prior, h hole, observed blas32.General, c *InpaintConfig, rng *solvers.Stream) (fills, error)
