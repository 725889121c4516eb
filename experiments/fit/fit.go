// Package fit trains a potential from points, between two sets of points, or from an energy,
// and holds the resulting model, which can be drawn from, evaluated, saved and loaded.
package fit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cmf/data"
	"cmf/data/file"
	"cmf/data/margins"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/ranks"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/train"
	"cmf/graph"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/optim"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Problem is what a definition gives to Fit: data or an energy, the potential to fit,
// and the cost of an iteration.
type Problem struct {
	// Name distinguishes the fits of one run: this one's files are in the folder of that
	// name, and its metrics carry it. The first fit needs no name.
	Name string

	Potential layers.Network
	Start     layers.Start   // start of the potential and the bank; CMF_INIT may replace its Law by N(0, I)
	Train     blas32.General // ρ, in the units of learning; with Energy, where hinges are placed and walkers start

	// Units are the units of Train, nil if Train is in the data's units. Form says what
	// the data's points are. Both are for the checkpoint.
	Units units.Units
	Form  units.Form

	// Contexts are the contexts of the rows of Train, (n, k), where Potential is a
	// layers.Conditional: the fit is then that of the laws of x given c, from Start.Given,
	// which is the regression of Train on Contexts if it is nil, or from Start.Classes, fitted
	// if that is nil; see Model.Given.
	// ContextUnits, for the checkpoint, say how the given columns of a table become contexts.
	Contexts     blas32.General
	ContextUnits *margins.Contexts

	// Visits is after how many visits a particle takes a fresh row of Train with its context;
	// see solvers.CMFGen.Visits.
	Visits int

	// From are the points of a given source, in the units of learning, in place of particles
	// of 𝔓_w: the fit is then that of the Monge maps between From and Train; see
	// solvers.CMFGen.Still and Model.Map. Start.Source is a Gaussian fitted to them.
	// FromUnits and FromForm are for them what Units and Form are for Train.
	//
	// OnSource exchanges the roles: the potential is a function of the source, and its
	// gradient maps From to Train, where otherwise it maps Train to From.
	From      blas32.General
	FromUnits units.Units
	FromForm  units.Form
	OnSource  bool

	// With Energy, the fit is to E by CMFMA instead of to Train by CMFGen.
	// EnergyGiven is E(x; c) for a potential with contexts: each context among Contexts has its
	// own particles and walkers, which start at its rows of Train.
	Energy      solvers.Energy
	EnergyGiven solvers.ConditionalEnergy
	Shares      solvers.Shares // where the points of CMFMA come from
	Box         solvers.Box
	Loss        string // replaces CMF_LOSS

	Particles int     // in the bank; rounded up to a multiple of the batch
	Langevin  int     // steps of the minibatch of particles in each iteration
	Tolerance float64 // of the conjugates during training
	Decay     float64 // of the moving average of weights, which is the result; 0 for no average

	// With Validation, points in the units of learning, the result is the average at the best
	// of several steps by their score.
	Validation Validation

	Precondition bool // by the mean Hessian

	Export config.ExportUnits // of model.onnx; those of learning where it is empty

	// Carry is C if the noise is y = C·z, z ~ 𝔓_w, and nil for y = z; see
	// potential.Carried. It is not used if the source is not the Gibbs factor.
	Carry mat.Symmetric

	// Terms are known in addition to losses.Known. A term that reads a new kind of
	// batch brings its declaration; see solvers.Kind.
	Terms []losses.Term

	// Hooks are called during training, in their order.
	Hooks []Hook

	// Watch measures the model from time to time; its numbers go into metrics.jsonl.
	Watch      func(m *Model) (report.Numbers, error)
	WatchEvery int
}

// Model is a fitted potential with its particles.
type Model struct {
	Evaluator *layers.Evaluator
	Curvature *layers.Curvature
	State     *solvers.CMFGenState
	Energy    *solvers.CMFMAState // nil for a fit to samples
	Noise     potential.Potential // what the particles sample; nil if they are the points of a given source
	Stop      report.Stop         // how training ended
	Finished  bool                // training was not interrupted, so the work after it is to be done
	Unchecked bool                // it was read from a file without a sum; see graph.Checkpoint

	Origin    Origin
	network   layers.Network
	folder    string // of the run; empty for a saved model
	export    layers.ONNX
	data      string // description of the data for the report
	machine   string // products, kernels and threads
	sums      sums
	params    *graph.Params
	objective *losses.Objective
	loss      losses.Sum
	average   *optim.Average
	chosen    choice
	epochs    *data.Epochs   // minibatches of the samples; nil for an energy
	ranks     *ranks.Group   // that train together; nil for one process
	contexts  blas32.General // of its rows, if these have contexts of their own; see Given
	seed      uint64         // of the run
	tally     tally
	step      func() (stepInfo, error)
	Info      solvers.CMFMAInfo // of the last step; the part that only CMFMA fills is 0 under CMFGen
}

// Steps is the number of steps of training.
func (m *Model) Steps() int { return m.State.Step }

// Advance makes a step of training.
func (m *Model) Advance() (err error) {
	m.ranks.AskOthers()
	m.Info, err = m.step()
	return err
}

// Fit trains by CMFGen, or by CMFMA if there is an energy, until CMF_STEPS, CMF_MINUTES, a
// hook or the end of the context ends it. It logs, and leaves checkpoint.safetensors and,
// for other runtimes, model.onnx: w and ∇w in the units of learning or, by Export, of the data,
// with the averaged weights, and where they have contexts with these as an input. The model's
// Stop says how it ended. The report says the same, unless an earlier fit of the run ended
// early and this one did not.
//
// Before the first step, from time to time, and at the end it writes the checkpoint and a
// report that says how to go on. Whenever the process is killed, CMF_RESUME goes on from
// there to the same bits, and metrics.jsonl to the same lines. If a step or a hook
// returns an error, Fit returns it with the name of the checkpoint.
func Fit(ctx context.Context, r *run.Run, core *config.Core, p Problem) (*Model, error) {
	m, err := p.Prepare(core, ranks.New(r.World))
	if err != nil {
		return nil, err
	}
	m.Origin = Origin{Experiment: r.Report.Experiment, architecture: p.Potential.Describe(), Units: p.Units, Form: p.Form, ContextUnits: p.ContextUnits, Config: r.Report.Config}
	if p.From.Rows > 0 {
		m.Origin.From, m.Origin.OnSource = &Points{p.FromUnits, p.FromForm}, p.OnSource
	}
	m.data = report.Plain(r.Report.Data)
	m.machine = fmt.Sprintf("products by %s, kernels %s, %d threads", r.Report.Machine.BLAS, r.Report.Machine.Kernels, r.Report.Machine.Threads)
	if err := m.Origin.check(); err != nil {
		return nil, err
	}
	if err := m.exportIn(p.Export); err != nil {
		return nil, err
	}
	if err := m.sum(p); err != nil {
		return nil, err
	}
	if err := m.ranks.Begin(r, m.objective.Weights(), m.sums.data+m.sums.units); err != nil {
		return nil, err
	}
	from, err := m.resume(r, core, p.Name)
	if err != nil {
		return nil, err
	}
	if err := r.Begin(); err != nil {
		return nil, err
	}
	folder := r.Path(p.Name)
	for _, name := range []string{"checkpoint.safetensors", "checkpoint.previous.safetensors", "metrics.jsonl", "model.onnx"} {
		r.Owns(filepath.Join(p.Name, name))
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	if err := file.RemoveTemporary(folder); err != nil {
		return nil, err
	}
	last := -1 // step of which rows of metrics are kept
	if from != "" {
		if err := report.CarryMetricsLog(from, folder); err != nil {
			return nil, err
		}
		last = m.State.Step
	}
	log, err := report.OpenMetricsLog(folder, last)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	r.Page.Curves = append(r.Page.Curves, m.curves(p.Name))
	start := time.Now()
	saver := &train.Saver[*Model]{Run: r, Log: log, Path: filepath.Join(folder, "checkpoint.safetensors"), Write: m.store}
	saver.Due = m.ranks.Decide(ranks.ToSave, saver.IsDue)
	training, stop := m.ranks.Context(ctx)
	defer stop()
	hooks := slices.Concat(
		[]Hook{
			ranks.Agreeing[*Model](m.ranks, m.objective.Weights(), stop),
			averaging(p.Decay),
			counting(),
			showing(r, core, p.Name),
			logging(log),
			watching(p, log),
			choosing(ctx, r, p.Validation, core.Seed, log),
			deadline(core.Minutes, m.ranks),
		},
		p.Hooks,
		train.HooksOf[*Model](ctx),
		[]Hook{saver.Hook()}, // last, so that a checkpoint includes the changes of the others
	)
	if err := m.train(training, saver, r, core, p, hooks); err != nil {
		return nil, err
	}
	if err := m.leave(folder, r, p); err != nil {
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

// train runs the loop, and says in the report how it ended.
func (m *Model) train(ctx context.Context, saver *train.Saver[*Model], r *run.Run, core *config.Core, p Problem, hooks []Hook) error {
	loop := train.NewLoop(m, core.Steps)
	err := loop.Run(ctx, hooks...)
	m.Stop, m.Finished = loop.Stopped(), loop.Stopped().Complete()
	r.Report.Steps = m.State.Step
	if m.Stop.Reason == report.Diverged && err == nil {
		err = m.reportDiverged(loop.Failure(), r, core, p)
	}
	if err != nil {
		if _, lost := os.Stat(saver.Path); lost == nil && saver.Step > 0 {
			err = fmt.Errorf("%w; CMF_RESUME=%s goes on from step %d", err, r.Checkpoint, saver.Step)
		}
		return err
	}
	if m.Stop.Reason == report.Interrupted {
		m.Stop.Text = train.InterruptedAt(r, m.State.Step, core.Steps)
	}
	if was := r.Report.Stop.Reason; m.Stop.Reason != report.Finished || was == "" || was == report.Finished {
		r.Report.Stop = m.Stop // keeps the Stop of an earlier fit that ended early
	}
	return nil
}

// leave takes the averaged weights, or the chosen ones, and writes model.onnx and the learning curves.
func (m *Model) leave(folder string, r *run.Run, p Problem) error {
	if p.Decay > 0 && m.State.Step > 0 {
		if err := m.result().Swap(m.objective.Weights()); err != nil {
			return err
		}
	}
	m.network, m.folder = p.Potential, folder
	if m.Finished {
		if err := m.ranks.Unite(m.State); err != nil {
			return err
		}
	}
	if r.Root() {
		if err := m.writeONNX(); err != nil {
			return err
		}
	}
	return m.drawLearning(r, p.Name)
}

// Prefixed is the name of a metric of this fit among those of the run.
func (p Problem) Prefixed(name string) string {
	if p.Name == "" {
		return name
	}
	return p.Name + "." + name
}
