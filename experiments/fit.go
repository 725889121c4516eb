package experiments

import (
	"context"
	"fmt"
	"math"
	"time"

	"cmf/data"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"

	"gonum.org/v1/gonum/blas/blas32"
)

// Problem is what a definition gives to Fit: data, a potential to fit to it, and
// the cost of an iteration.
type Problem struct {
	Potential *layers.ICNN
	Start     layers.Start   // how the potential and the bank begin
	Train     blas32.General // ρ, in data units

	Particles int     // in the bank; rounded up to a multiple of the batch
	Langevin  int     // steps of the minibatch of particles in each iteration
	Tolerance float64 // of the conjugates while training
	Decay     float64 // of the moving average of weights that is the result; 0 for none

	Precondition bool // by the mean Hessian
	Terms        []losses.Term

	// Watch measures the model now and then; its numbers go into metrics.jsonl.
	Watch      func(m *Model) (Numbers, error)
	WatchEvery int
}

// Model is a fitted potential with its particles.
type Model struct {
	Evaluator *layers.Evaluator
	Curvature *layers.Curvature
	State     *solvers.CMFGenState
	Noise     solvers.Potential // what the particles sample
	Finished  bool              // false when the run was interrupted

	core *Core
	gen  *solvers.CMFGen
}

// afterStep lets tests interrupt at a step.
var afterStep func(step int)

// checkpointEvery is how much work an abrupt end may lose.
const checkpointEvery = 2 * time.Minute

// Fit trains by CMFGen until CMF_STEPS, CMF_MINUTES or the end of the context,
// logs, and leaves checkpoint.safetensors.
func Fit(ctx context.Context, r *Run, core *Core, p Problem) (*Model, error) {
	m, average, epochs, err := p.prepare(core)
	if err != nil {
		return nil, err
	}
	if core.Resume != "" {
		if err := load(core.Resume, p.Potential.Params(), m.State, average, epochs); err != nil {
			return nil, fmt.Errorf("CMF_RESUME=%s: %w", core.Resume, err)
		}
		r.Progress.Log.Info("resumed", "step", m.State.Step, "from", core.Resume)
	}
	log, err := OpenMetricsLog(r.Folder, m.State.Step)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	start, saved := time.Now(), time.Now()
	var deadline time.Time
	if core.Minutes > 0 {
		deadline = start.Add(time.Duration(core.Minutes * float64(time.Minute)))
	}
	r.Progress = NewProgress(r.out, ProgressOptions{Total: core.Steps, First: m.State.Step, Deadline: deadline})
	var status Status
	var tally tally
	save := func() error {
		saved = time.Now()
		return store(r.path("checkpoint.safetensors"), r.Report.Config, p.Potential.Params(), m.State, average, epochs)
	}
	for m.State.Step < core.Steps && ctx.Err() == nil {
		if !deadline.IsZero() && time.Now().After(deadline) {
			r.Report.Stopped = fmt.Sprintf("CMF_MINUTES=%g at step %d of %d: not repeatable", core.Minutes, m.State.Step, core.Steps)
			break
		}
		info, err := m.gen.Step()
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", m.State.Step+1, err)
		}
		if p.Decay > 0 {
			if err := average.Update(m.gen.Objective.Weights()); err != nil {
				return nil, err
			}
		}
		step := m.State.Step
		if afterStep != nil {
			afterStep(step)
		}
		tally.add(info)
		status = Status{Loss: info.Loss, Residual: info.Conjugate.MaxResidual(), Acceptance: info.Langevin.Acceptance}
		r.Progress.Step(step, status)
		if step%max(1, core.Steps/200) == 0 || step == core.Steps {
			if err := log.Append(step, tally.numbers(info)); err != nil {
				return nil, err
			}
		}
		if p.Watch != nil && p.WatchEvery > 0 && step%p.WatchEvery == 0 && step < core.Steps {
			numbers, err := p.Watch(m)
			if err != nil {
				return nil, err
			}
			if err := log.Append(step, numbers); err != nil {
				return nil, err
			}
		}
		if time.Since(saved) > checkpointEvery {
			if err := save(); err != nil {
				return nil, err
			}
		}
	}
	r.Progress.Finish(m.State.Step, status)
	if err := save(); err != nil {
		return nil, err
	}
	if p.Decay > 0 && m.State.Step > 0 {
		if err := average.Swap(m.gen.Objective.Weights()); err != nil {
			return nil, err
		}
	}
	m.Finished = ctx.Err() == nil
	if !m.Finished {
		r.Report.Stopped = fmt.Sprintf("interrupted at step %d of %d; CMF_RESUME=%s goes on", m.State.Step, core.Steps, r.path("checkpoint.safetensors"))
	}
	r.Report.Steps = m.State.Step
	if err := drawLearning(r); err != nil {
		return nil, err
	}
	tally.report(r.Report.Metrics)
	r.Report.Metrics["train_seconds"] = time.Since(start).Seconds()
	r.Report.Metrics["weights"] = float64(p.Potential.Params().Count())
	return m, nil
}

// prepare initialises the potential and everything that evolves.
func (p Problem) prepare(core *Core) (*Model, *solvers.Average, *data.Epochs, error) {
	fail := func(err error) (*Model, *solvers.Average, *data.Epochs, error) { return nil, nil, nil, err }
	sum, err := losses.Parse(core.Loss, p.Terms...)
	if err != nil {
		return fail(fmt.Errorf("CMF_LOSS=%s: %w", core.Loss, err))
	}
	gaussian := core.Source == "gaussian"
	p.Start.Gaussian = gaussian
	if err := p.Start.Init(p.Potential, p.Train, solvers.NewStream(core.Seed, "initial weights", 0)); err != nil {
		return fail(err)
	}
	evaluator, err := layers.NewEvaluator(p.Potential)
	if err != nil {
		return fail(err)
	}
	curvature, err := layers.NewCurvature(p.Potential)
	if err != nil {
		return fail(err)
	}
	objective, err := losses.NewObjective(p.Potential, sum, core.Batch)
	if err != nil {
		return fail(err)
	}
	sampler, err := solvers.NewLangevin(core.Sampler)
	if err != nil {
		return fail(fmt.Errorf("CMF_SAMPLER=%s: %w", core.Sampler, err))
	}
	conjugate, err := solvers.NewConjugate(core.Conjugate, p.Tolerance, 60)
	if err != nil {
		return fail(fmt.Errorf("CMF_CONJUGATE=%s: %w", core.Conjugate, err))
	}
	schedule, err := solvers.NewSchedule("cosine", .05, max(core.Steps, 21), 20)
	if err != nil {
		return fail(err)
	}
	epochs, err := data.NewEpochs(p.Train, newPCG(core.Seed, "minibatches"))
	if err != nil {
		return fail(err)
	}
	particles := (max(p.Particles, core.Batch) + core.Batch - 1) / core.Batch * core.Batch
	y, partners := p.Start.Particles(particles, solvers.NewStream(core.Seed, "particles", 0))
	state, err := solvers.NewCMFGenState(y, partners, core.Batch, solvers.NewStream(core.Seed, "Langevin", 0))
	if err != nil {
		return fail(err)
	}
	gen := &solvers.CMFGen{
		Potential: evaluator,
		Objective: objective,
		Data:      epochs,
		Sampler:   sampler,
		Conjugate: conjugate,
		Adam:      solvers.Adam{LR: core.LR, Schedule: schedule},
		Langevin:  p.Langevin,
		State:     state,
	}
	if p.Precondition {
		gen.MeanHessian = curvature.MeanHessian
	}
	m := &Model{Evaluator: evaluator, Curvature: curvature, State: state, Noise: evaluator, core: core, gen: gen}
	if gaussian {
		gen.Noise = solvers.StandardNormal{D: p.Potential.Dim()}
		m.Noise = gen.Noise
	}
	return m, &solvers.Average{Decay: p.Decay}, epochs, nil
}

// tally sums up what iterations say.
type tally struct {
	steps, masked, restarted int
	unconverged, iterations  float64
}

func (t *tally) add(info solvers.CMFGenInfo) {
	t.steps++
	t.masked += info.Masked
	t.restarted += info.Langevin.Restarted
	t.unconverged += 1 - info.Conjugate.Converged()
	t.iterations += info.Conjugate.MeanIterations()
}

// numbers is a line of the log.
func (t *tally) numbers(info solvers.CMFGenInfo) Numbers {
	n := Numbers{
		"loss": info.Loss, "gradient_norm": info.Adam.GradNorm, "learning_rate": info.Adam.LR,
		"acceptance": info.Langevin.Acceptance, "langevin_step": info.Langevin.Step, "virial": info.Langevin.Virial,
		"restarted": float64(t.restarted), "masked": float64(t.masked),
		"conjugate_iterations": info.Conjugate.MeanIterations(), "conjugate_unconverged": 1 - info.Conjugate.Converged(),
	}
	for name, v := range info.Terms {
		n["term_"+name] = v
	}
	return n
}

func (t *tally) report(n Numbers) {
	k := math.Max(1, float64(t.steps))
	n["train_unconverged_share"] = t.unconverged / k
	n["train_conjugate_iterations"] = t.iterations / k
	n["train_masked_rows"] = float64(t.masked)
	n["train_restarted_particles"] = float64(t.restarted)
}

// drawLearning draws the loss and what vouches for the solves against the step.
func drawLearning(r *Run) error {
	curves, err := ReadMetricsLog(r.Folder)
	if err != nil {
		return err
	}
	if len(curves["loss"].X) == 0 {
		return nil
	}
	named := func(name, title string) Series {
		s := curves[name]
		s.Name = title
		return s
	}
	err = DrawCurves(r.path("curves.png"), Axes{Title: "Learning", X: "iteration", Y: "loss"}, named("loss", "loss"))
	if err != nil {
		return err
	}
	r.AddFigure("curves.png", "The loss. Its level moves with the Gibbs factor that is being learned, so it need not fall throughout.")
	return nil
}
