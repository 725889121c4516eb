package fit

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cmf/data"
	"cmf/data/file"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/optim"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Problem is what a definition gives to Fit: data or an energy, a potential to
// fit to it, and the cost of an iteration.
type Problem struct {
	// Name tells the fits of one run apart: what this one leaves is in the folder
	// of that name, and its metrics bear it. The first needs none.
	Name string

	Potential *layers.ICNN
	Start     layers.Start   // how the potential and the bank begin; CMF_INIT may put N(0, I) for its Law
	Train     blas32.General // ρ, in the units of learning; with Energy, where hinges spread and walkers start

	// Units are those of Train and Form what the data's points are, for the
	// checkpoint; nil where Train is in the data's units.
	Units units.Units
	Form  units.Form

	// Energy makes it a fit to E by CMFMA instead of to Train by CMFGen.
	Energy solvers.Energy
	Shares solvers.Shares // where the points of CMFMA come from
	Box    solvers.Box
	Loss   string // in place of CMF_LOSS

	Particles int     // in the bank; rounded up to a multiple of the batch
	Langevin  int     // steps of the minibatch of particles in each iteration
	Tolerance float64 // of the conjugates while training
	Decay     float64 // of the moving average of weights that is the result; 0 for none

	Precondition bool // by the mean Hessian

	// Carry is C where the noise is y = C·z, z ~ 𝔓_w; nil for y = z. See
	// solvers.Carried. A Source that is not the Gibbs factor has none.
	Carry mat.Symmetric

	// Terms are known besides those of losses.Known. One that reads a new kind of
	// batch brings its declaration; see solvers.Kind.
	Terms []losses.Term

	// Hooks are called beside the steps of training, in their order.
	Hooks []Hook

	// Watch measures the model now and then; its numbers go into metrics.jsonl.
	Watch      func(m *Model) (report.Numbers, error)
	WatchEvery int
}

// Model is a fitted potential with its particles.
type Model struct {
	Evaluator *layers.Evaluator
	Curvature *layers.Curvature
	State     *solvers.CMFGenState
	Energy    *solvers.CMFMAState // nil for a fit to samples
	Noise     potential.Potential // what the particles sample
	Stop      report.Stop         // how training ended
	Finished  bool                // Stop is no interrupt, and what follows training is to be done

	Origin    origin
	data      string // what the report says of it
	params    *graph.Params
	objective *losses.Objective
	average   *optim.Average
	epochs    *data.Epochs // minibatches of the samples; nil for an energy
	tally     tally
	Step      func() (stepInfo, error)
}

// Fit trains by CMFGen, or by CMFMA from an energy, until CMF_STEPS, CMF_MINUTES, a
// hook or the end of the context ends it, logs, and leaves checkpoint.safetensors and,
// for other runtimes, model.onnx: w and ∇w in the units of Train, with the averaged
// weights. How it ended is the model's Stop, and the report's unless an earlier fit of
// the run ended early and this one did not.
//
// Before the first step, now and then, and at the end it writes the checkpoint and a
// report that says how to go on: whenever the process is killed, CMF_RESUME goes on
// from there to the same bits, and metrics.jsonl to the same lines. An error of a step
// or of a hook ends the fit by that error, which names the checkpoint.
func Fit(ctx context.Context, r *run.Run, core *config.Core, p Problem) (*Model, error) {
	m, err := p.Prepare(core)
	if err != nil {
		return nil, err
	}
	m.Origin = origin{r.Report.Experiment, p.Potential.Architecture, p.Units, p.Form, r.Report.Config}
	m.data = r.Report.Data
	if err := m.Origin.check(); err != nil {
		return nil, err
	}
	folder := r.Path(p.Name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	if err := file.RemoveTemporary(folder); err != nil {
		return nil, err
	}
	if err := m.resume(r, core, p.Name); err != nil {
		return nil, err
	}
	log, err := report.OpenMetricsLog(folder, m.State.Step)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	start := time.Now()
	loop := &Loop{Model: m, Of: core.Steps}
	saver := &saver{begun: start, path: filepath.Join(folder, "checkpoint.safetensors"), run: r, log: log}
	loop.hooks = slices.Concat(
		[]Hook{
			averaging(p.Decay),
			counting(),
			showing(r, core),
			logging(log),
			watching(p, log),
			deadline(core.Minutes),
		},
		p.Hooks,
		hooksOf(ctx),
		[]Hook{saver.hook()}, // last, so that a checkpoint has what the others did
	)
	err = loop.run(ctx)
	m.Stop, m.Finished = loop.stop, loop.stop.Complete()
	r.Report.Steps = m.State.Step
	if m.Stop.Reason == report.Diverged && err == nil {
		err = m.reportDiverged(loop.failure, r, core, p)
	}
	if err != nil {
		if _, lost := os.Stat(saver.path); lost == nil && saver.step > 0 {
			err = fmt.Errorf("%w; CMF_RESUME=%s goes on from step %d", err, r.Checkpoint, saver.step)
		}
		return nil, err
	}
	if m.Stop.Reason == report.Interrupted {
		m.Stop.Text = interruptedAt(r, m.State.Step, core.Steps)
	}
	if was := r.Report.Stop.Reason; m.Stop.Reason != report.Finished || was == "" || was == report.Finished {
		r.Report.Stop = m.Stop // an earlier fit that was ended early is not forgotten
	}
	if p.Decay > 0 && m.State.Step > 0 {
		if err := m.average.Swap(m.objective.Weights()); err != nil {
			return nil, err
		}
	}
	err = file.Write(filepath.Join(folder, "model.onnx"), func(f io.Writer) error { return layers.WriteONNX(f, p.Potential) })
	if err != nil {
		return nil, fmt.Errorf("model.onnx: %w", err)
	}
	if err := drawLearning(r, p.Name, m.Energy != nil); err != nil {
		return nil, err
	}
	numbers := m.tally.totals()
	numbers["train_seconds"] = time.Since(start).Seconds()
	numbers["weights"] = float64(p.Potential.Params().Count())
	for name, v := range numbers {
		r.Report.Metrics[p.Prefixed(name)] = v
	}
	return m, nil
}

// Prefixed is a metric of this fit among those of the run.
func (p Problem) Prefixed(name string) string {
	if p.Name == "" {
		return name
	}
	return p.Name + "." + name
}
