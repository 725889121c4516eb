package monge

import (
	"context"
	"fmt"
	"maps"

	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// judged limits the rows of each sample that are compared; exact W2 takes their cube.
const judged = 2048

// heldOut are n rows of a side in the units of its file, all held-out ones with n = 0.
func (s *side) heldOut(of blas32.General, n int) blas32.General {
	if n == 0 {
		n = s.held.Rows
	}
	return batch.Gathered(of, s.order[:n])
}

// judge compares the images of held-out rows of the source with held-out rows of the
// target; beside them the linear map, the source as it is and, for the floor, rows of the
// target that were learned from. mapped are the images of all rows of the source.
func (t *tables) judge(ctx context.Context, r *run.Run, m *fit.Model, mapped blas32.General) error {
	n := min(t.source.held.Rows, t.target.held.Rows, t.target.train.Rows, judged)
	r.Progress.Log.Info("judging", "held-out rows", n)
	linear, err := t.linear(t.source.held)
	if err != nil {
		return err
	}
	y, truth := t.source.heldOut(t.source.x, n), t.target.heldOut(t.target.x, n)
	learned := batch.Gathered(t.target.x, t.target.order[t.target.held.Rows:][:n])
	identity := report.Numbers{}
	for _, m := range []struct {
		x    blas32.General
		into report.Numbers
	}{
		{t.source.heldOut(mapped, n), r.Report.Metrics},
		{batch.First(linear, n), r.Report.Baseline},
		{learned, r.Report.Floor},
		{y, identity},
	} {
		if err := t.compare(ctx, r, m.x, truth, m.into); err != nil {
			return err
		}
	}
	for name, v := range identity {
		r.Report.Metrics["identity."+name] = v
	}
	t.headline(r, n)
	return t.judgePlan(ctx, r, m, t.source.heldOut(mapped, 0), linear)
}

// linear is the Monge map between the Gaussian fits, at rows of the source in units of
// learning; the images are in the units of the target.
func (t *tables) linear(y blas32.General) (blas32.General, error) {
	z, err := (layers.Start{Law: t.target.law, Source: t.source.law}).Conjugates(y)
	if err != nil {
		return z, err
	}
	return t.target.units.Data(z, nil)
}

// compare measures x against the truth in the units of the files and, if columns have
// scales of their own, in standard deviations too.
func (t *tables) compare(ctx context.Context, r *run.Run, x, truth blas32.General, into report.Numbers) error {
	suffixes := []string{""}
	if t.ownScales() {
		suffixes = append(suffixes, standard)
	}
	for _, suffix := range suffixes {
		if suffix == standard {
			var err error
			if x, err = t.target.units.Learning(x); err != nil {
				return err
			}
			if truth, err = t.target.units.Learning(truth); err != nil {
				return err
			}
		}
		numbers, err := metric.Compare(ctx, x, truth)
		if err != nil {
			return err
		}
		for name, v := range numbers {
			into[name+suffix] = v
		}
		if into["sinkhorn_divergence"+suffix], err = metric.SinkhornDivergence(x, truth); err != nil {
			r.Note("No Sinkhorn divergence: %v", err)
			delete(into, "sinkhorn_divergence"+suffix)
		}
	}
	return ctx.Err()
}

// standard ends the names of distances in standard deviations.
const standard = "_standard"

// ownScales says whether columns are learned at different scales.
func (t *tables) ownScales() bool {
	for _, v := range t.source.units.Scale {
		if v != t.source.units.Scale[0] {
			return true
		}
	}
	return false
}

// headline makes the table of the page.
func (t *tables) headline(r *run.Run, n int) {
	suffix, units := "", ""
	if t.ownScales() {
		suffix, units = standard, ", columns divided by their standard deviations"
	}
	for _, h := range []report.Headline{
		{Metric: "energy_distance", Label: "Energy distance to held-out rows of the target"},
		{Metric: "sliced_w2", Label: "Sliced W2"},
		{Metric: "w2", Label: fmt.Sprintf("W2, exact, between %d points", n)},
		{Metric: "sinkhorn_divergence", Label: "Sinkhorn divergence"},
		{Metric: "nn_accuracy", Label: "1-NN two-sample accuracy", Goal: report.Nearer, Target: .5},
	} {
		h.Metric += suffix
		as := h
		as.Metric, as.Label = "identity."+h.Metric, "the same of the source as it is"
		h.Label += units
		r.Page.Headline = append(r.Page.Headline, h, as)
	}
	r.Report.Notes = append(r.Report.Notes, "Held-out rows of the source, mapped, are compared with held-out rows of the target. The baseline is the linear map, the Monge map between Gaussians fitted to the rows to learn from; the floor compares rows of the target with each other; identity.… is the source as it is. The energy distance is an unbiased estimate: between samples of the same law it is as often negative as positive.")
}

// judgePlan reports the cost E|T(y)−y|² of the map's plan and of the linear map's, over
// the held-out rows of the source, and the error of the inverse.
func (t *tables) judgePlan(ctx context.Context, r *run.Run, m *fit.Model, x, linear blas32.General) error {
	y := t.source.heldOut(t.source.x, 0)
	back, checks, err := m.Back(ctx, x)
	if err != nil {
		return err
	}
	metrics := r.Report.Metrics
	maps.Copy(metrics, checks)
	metrics["cost"], r.Report.Baseline["cost"] = meanSquare(x, y, nil), meanSquare(linear, y, nil)
	metrics["inverse_error"] = meanSquare(back, y, nil) / batch.TotalVariance(y, batch.Means(y))
	if t.ownScales() {
		scale := t.source.units.Scale
		metrics["cost"+standard], r.Report.Baseline["cost"+standard] = meanSquare(x, y, scale), meanSquare(linear, y, scale)
	}
	r.Page.Headline = append(r.Page.Headline, report.Headline{Metric: "inverse_error", Label: "Error of the inverse, E|T⁻¹(T(y)) − y|² over the variance of the source"})
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("cost is E|T(y) − y|² over the held-out rows of the source: %.4g, of the linear map %.4g. A map that does not reach the target can cost less than the optimal one.", metrics["cost"], r.Report.Baseline["cost"]))
	return nil
}

// meanSquare is the mean of |x_i − y_i|², with the columns divided by scale unless it is nil.
func meanSquare(x, y blas32.General, scale []float64) float64 {
	var sum float64
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			gap := float64(v) - float64(batch.Row(y, i)[j])
			if scale != nil {
				gap /= scale[j]
			}
			sum += gap * gap
		}
	}
	return sum / float64(x.Rows)
}
