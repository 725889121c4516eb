package experiments

import (
	"fmt"
	"math"
	"path/filepath"

	"cmf/solvers"
)

// stepInfo describes an iteration of either outer loop; what is CMFMA's own
// stays 0 under CMFGen.
type stepInfo = solvers.CMFMAInfo

// tally sums up what iterations say.
type tally struct {
	steps, masked, clipped, restarted, runaways, skipped int
	unconverged, iterations                              float64
}

func (t *tally) add(info stepInfo) {
	t.steps++
	t.masked += info.Masked
	t.clipped += info.Clipped
	t.restarted += info.Langevin.Restarted
	if info.RanAway {
		t.runaways++
	}
	if info.Skipped {
		t.skipped++
	}
	t.unconverged += 1 - info.Conjugate.Converged()
	t.iterations += info.Conjugate.MeanIterations()
}

// numbers is a line of the log.
func (t *tally) numbers(info stepInfo) Numbers {
	n := Numbers{
		"loss": info.Loss, "gradient_norm": info.Adam.GradNorm, "learning_rate": info.Adam.LR,
		"acceptance": info.Langevin.Acceptance, "langevin_step": info.Langevin.Step, "virial": info.Langevin.Virial,
		"restarted": float64(t.restarted), "masked": float64(t.masked),
		"runaways": float64(t.runaways), "skipped": float64(t.skipped),
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
		n["clipped"] = float64(t.clipped)
	}
	return n
}

// totals are the metrics of training.
func (t *tally) totals() Numbers {
	k := math.Max(1, float64(t.steps))
	return Numbers{
		"train_unconverged_share":    t.unconverged / k,
		"train_conjugate_iterations": t.iterations / k,
		"train_masked_rows":          float64(t.masked),
		"train_restarted_particles":  float64(t.restarted),
		"train_runaways":             float64(t.runaways),
		"train_skipped_batches":      float64(t.skipped),
	}
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
