package experiments

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"cmf/solvers"
	"cmf/solvers/potential"
)

// stepInfo describes an iteration of either outer loop; what is CMFMA's own
// stays 0 under CMFGen.
type stepInfo = solvers.CMFMAInfo

// tally sums up what iterations say.
type tally struct {
	steps, masked, clipped, restarted, runaways, skipped, restored, unconverged, iterations float64
}

// sums are what a checkpoint must hold, by name.
func (t *tally) sums() map[string]*float64 {
	return map[string]*float64{
		"steps": &t.steps, "masked": &t.masked, "clipped": &t.clipped, "restarted": &t.restarted,
		"runaways": &t.runaways, "skipped": &t.skipped, "restored": &t.restored, "unconverged": &t.unconverged, "iterations": &t.iterations,
	}
}

func (t *tally) add(info stepInfo) {
	t.steps++
	t.masked += float64(info.Masked)
	t.clipped += float64(info.Clipped)
	t.restarted += float64(info.Langevin.Restarted)
	if info.RanAway {
		t.runaways++
	}
	if info.Skipped {
		t.skipped++
	}
	if info.Restored {
		t.restored++
	}
	t.unconverged += 1 - info.Conjugate.Converged()
	t.iterations += info.Conjugate.MeanIterations()
}

// numbers is a line of the log.
func (t *tally) numbers(info stepInfo) Numbers {
	n := Numbers{
		"loss": info.Loss, "gradient_norm": info.Adam.GradNorm, "learning_rate": info.Adam.LR,
		"acceptance": info.Langevin.Acceptance, "langevin_step": info.Langevin.Step, "virial": info.Langevin.Virial,
		"restarted": t.restarted, "masked": t.masked, "runaways": t.runaways, "skipped": t.skipped,
		"conjugate_iterations": info.Conjugate.MeanIterations(), "conjugate_unconverged": 1 - info.Conjugate.Converged(),
	}
	for name, v := range info.Terms {
		n["term_"+name] = v
	}
	if info.Marginal > 0 {
		n["sinkhorn_marginal_error"] = info.Marginal
	}
	if _, ok := info.Terms["likelihood-cg-surrogate"]; ok {
		n["probes_unsolved"] = float64(info.Unsolved)
	}
	if v, ok := info.Terms["monge-ampere"]; ok {
		n["residual_sd"] = math.Sqrt(v)
		n["clipped"] = t.clipped
	}
	return n
}

// totals are the metrics of training.
func (t *tally) totals() Numbers {
	k := math.Max(1, t.steps)
	return Numbers{
		"train_unconverged_share":    t.unconverged / k,
		"train_conjugate_iterations": t.iterations / k,
		"train_masked_rows":          t.masked,
		"train_restarted_particles":  t.restarted,
		"train_runaways":             t.runaways,
		"train_skipped_batches":      t.skipped,
		"train_restored_weights":     t.restored,
	}
}

// diverged begins a report's account of a run whose training went wrong for good.
const diverged = "diverged"

// diverged ends a fit after solvers.ErrDiverged: the checkpoint has the last good
// weights, and the report says, as the error does, what to change.
func (m *Model) diverged(err error, r *Run, core *Core, p Problem, log *MetricsLog, saver *saver) error {
	m.average.Mean = nil // of weights that are gone
	if p.Decay > 0 {
		if err := m.average.Update(m.objective.Weights()); err != nil {
			return err
		}
	}
	if err := saver.save(m, r, log); err != nil {
		return err
	}
	err = fmt.Errorf("%s at step %d of %d: %w; %s", diverged, m.State.Step+1, core.Steps, err, core.remedy(err))
	r.Report.Steps, r.Report.Seconds = m.State.Step, time.Since(r.Started).Seconds()
	r.Report.Stopped = fmt.Sprintf("%v; %s has the last good weights", err, saver.path)
	for name, v := range m.tally.totals() {
		r.Report.Metrics[p.prefixed(name)] = v
	}
	return errors.Join(err, r.Report.Write(r.Folder))
}

// remedy says which variables to change after what went wrong last.
func (c *Core) remedy(err error) string {
	lower := fmt.Sprintf("try CMF_LR=%.2g instead of %g", c.LR/10, c.LR)
	switch {
	case errors.Is(err, potential.ErrEnergy):
		return "check the energy, which must be finite where its law lives (CMF_ENERGY, CMF_MIXTURE)"
	case errors.Is(err, potential.ErrParticles) && c.Sampler == "ula":
		return "try CMF_SAMPLER=mala instead of ula, or " + lower[len("try "):]
	case errors.Is(err, potential.ErrConjugates) && c.Conjugate != "lbfgs":
		return fmt.Sprintf("%s, or CMF_CONJUGATE=lbfgs instead of %s", lower, c.Conjugate)
	}
	return lower + ", or give the data in units in which its deviation is near 1"
}

// drawLearning draws the loss of a fit, or the deviation of its Monge–Ampère
// residual, against the step.
func (r *Run) drawLearning(name string, energy bool) error {
	curves, err := ReadMetricsLog(r.path(name))
	if err != nil {
		return err
	}
	key, axes := "loss", Axes{Title: "Learning", X: "iteration", Y: "loss"}
	caption := "The loss. Its level moves with the Gibbs factor that is being learned, so it need not fall throughout."
	if energy && len(curves["residual_sd"].X) > 0 {
		key, axes = "residual_sd", Axes{Title: "Learning", X: "iteration", Y: "sd of the residual", LogY: true}
		caption = "The standard deviation of the Monge–Ampère residual over each batch."
	}
	curve := curves[key]
	if len(curve.X) == 0 {
		return nil
	}
	curve.Name = axes.Y
	file := filepath.Join(name, "curves.png")
	if err := DrawCurves(r.path(file), axes, curve); err != nil {
		return fmt.Errorf("the learning curve: %w", err)
	}
	r.AddFigure(file, caption)
	return nil
}
