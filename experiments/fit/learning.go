package fit

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/conjugate"
	"cmf/solvers/potential"
	"cmf/solvers/sampling"
)

// stepInfo describes an iteration of either outer loop. The part that only CMFMA fills
// stays 0 under CMFGen.
type stepInfo = solvers.CMFMAInfo

// tally adds up what the info of iterations reports.
type tally struct {
	steps, masked, clipped, restarted, runaways, skipped, restored, unconverged, iterations float64
}

// sums are the sums by name, for checkpoints.
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

// numbers are the numbers of one line of the log.
func (t *tally) numbers(info stepInfo) report.Numbers {
	n := report.Numbers{
		"loss": info.Loss, "gradient_norm": info.Adam.GradNorm, "learning_rate": info.Adam.LR,
		"acceptance": info.Langevin.Acceptance, "langevin_step": info.Langevin.Step, "virial": info.Langevin.Virial,
		"restarted": t.restarted, "masked": t.masked, "runaways": t.runaways, "skipped": t.skipped,
		"conjugate_iterations": info.Conjugate.MeanIterations(), "conjugate_unconverged": 1 - info.Conjugate.Converged(),
	}
	for name, v := range info.Terms {
		n["term_"+name] = v
	}
	maps.Copy(n, info.Numbers)
	if v, ok := info.Terms["monge-ampere"]; ok {
		n["residual_sd"] = math.Sqrt(v)
		n["clipped"] = t.clipped
	}
	return n
}

// totals are the metrics of training.
func (t *tally) totals() report.Numbers {
	k := math.Max(1, t.steps)
	return report.Numbers{
		"train_unconverged_share":    t.unconverged / k,
		"train_conjugate_iterations": t.iterations / k,
		"train_masked_rows":          t.masked,
		"train_restarted_particles":  t.restarted,
		"train_runaways":             t.runaways,
		"train_skipped_batches":      t.skipped,
		"train_restored_weights":     t.restored,
	}
}

// reportDiverged reports a fit that solvers.ErrDiverged ended; its checkpoint has the last
// good weights. The report and the error both say what to change.
func (m *Model) reportDiverged(err error, r *run.Run, core *config.Core, p Problem) error {
	err = fmt.Errorf("diverged at step %d of %d: %w; %s", m.State.Step+1, core.Steps, err, remedy(core, err))
	m.Stop.Text = fmt.Sprintf("%v; %s has the last good weights", err, r.Path(filepath.Join(p.Name, "checkpoint.safetensors")))
	r.Report.Stop, r.Report.Seconds = m.Stop, time.Since(r.Started).Seconds()
	r.Warn("Training %s.", m.Stop.Text)
	for name, v := range m.tally.totals() {
		r.Report.Metrics[p.Prefixed(name)] = v
	}
	return errors.Join(err, r.Report.Write(r.Folder))
}

// remedy says which variables to change after the last error.
func remedy(c *config.Core, err error) string {
	lower := fmt.Sprintf("try CMF_LR=%.2g instead of %g", c.LR/10, c.LR)
	switch {
	case errors.Is(err, potential.ErrEnergy):
		return "check the energy, which must be finite where its law has mass (CMF_ENERGY, CMF_MIXTURE)"
	case errors.Is(err, potential.ErrParticles) && c.Sampler == sampling.ByULA:
		return "try CMF_SAMPLER=mala instead of ula, or " + lower[len("try "):]
	case errors.Is(err, potential.ErrConjugates) && c.Conjugate != conjugate.ByLBFGS:
		return fmt.Sprintf("%s, or CMF_CONJUGATE=lbfgs instead of %s", lower, c.Conjugate)
	}
	return lower + ", or give the data in units in which its standard deviation is near 1"
}

// curves says how a page shows what the fit logs: the loss, or the standard deviation of its
// Monge–Ampère residual, before the rest.
func (m *Model) curves(name string) report.Curves {
	c := report.Curves{
		Folder: name, Lead: "loss", Caption: "The loss. Its level changes with the Gibbs factor that is being learned, so it need not fall all the time.",
		Minor: []string{
			"learning_rate", "langevin_step", "virial", "restarted", "masked", "runaways", "skipped", "clipped",
			"conjugate_iterations", "conjugate_unconverged", "residual_sd",
		},
	}
	if m.Noise == nil {
		c.Caption = "The loss. Its level means nothing: only differences do."
	}
	if len(m.loss) == 1 {
		c.Minor = append(c.Minor, "term_"+m.loss[0].Term.Name()) // but for its factor it is the loss
	}
	if m.Energy != nil && slices.ContainsFunc(m.loss, func(t losses.Weighted) bool { return t.Term.Name() == "monge-ampere" }) {
		c.Lead, c.Caption = "residual_sd", "The standard deviation of the Monge–Ampère residual over each batch."
	}
	return c
}

// drawLearning draws the curve that leads against the step.
func (m *Model) drawLearning(r *run.Run, name string) error {
	curves, err := report.ReadMetricsLog(r.Path(name))
	if err != nil {
		return err
	}
	key, axes := m.curves(name).Lead, figure.Axes{Title: "Learning", X: "iteration", Y: "loss"}
	if key == "residual_sd" {
		axes.Y, axes.LogY = "sd of the residual", true
	}
	curve := curves[key]
	if len(curve.X) == 0 {
		return nil
	}
	curve.Name = axes.Y
	file := filepath.Join(name, "curves.png")
	if err := figure.DrawCurves(r.Path(file), axes, curve); err != nil {
		r.Warn("The figure %s could not be drawn: %v.", file, err)
	}
	return nil
}
