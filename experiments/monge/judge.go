package monge

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// judged limits the rows of each sample that are compared; exact W2 takes their cube.
const judged = 2048

// judge compares the images of held-out rows of the source with held-out rows of the
// target; beside them the linear map, the source as it is and, for the floor, further rows of
// the target. mapped are the images of all rows of the source, in units
// of learning.
func (t *pair) judge(ctx context.Context, r *run.Run, m *fit.Model, mapped blas32.General) error {
	n := min(t.source.held.x.Rows, t.target.held.x.Rows, t.target.train.x.Rows, judged)
	r.Progress.Log.Info("judging", "held-out rows", n)
	linear, err := t.linear(t.source.held.x)
	if err != nil {
		return err
	}
	images := batch.Gathered(mapped, t.source.held.rows)
	truth := points{z: batch.First(t.target.held.x, n)}
	seen := batch.Stacked(t.target.validation.x, t.target.train.x)
	identity := report.Numbers{}
	for _, m := range []struct {
		x    points
		into report.Numbers
	}{
		{points{z: batch.First(images, n)}, r.Report.Metrics},
		{points{z: batch.First(linear, n)}, r.Report.Baseline},
		{points{z: batch.First(seen, n)}, r.Report.Floor},
		{points{z: batch.First(t.source.held.x, n), shift: t.shift}, identity},
	} {
		if err := t.compare(ctx, r, m.x, truth, m.into); err != nil {
			return err
		}
	}
	for name, v := range identity {
		r.Report.Metrics["identity."+name] = v
	}
	t.headline(r, n)
	return t.judgePlan(ctx, r, m, images, linear)
}

// linear is the Monge map between the Gaussian fits, at rows of the source; both are in units
// of learning.
func (t *pair) linear(y blas32.General) (blas32.General, error) {
	return (layers.Start{Law: t.target.law, Source: t.source.law}).Conjugates(y)
}

// points are points of a table in its units of learning, z. shift is its centre less the
// target's, in the units of the files; nil for 0.
type points struct {
	z     blas32.General
	shift []float64
}

// about are points less the centre of the target, in the units of the files or, with standard,
// in those of learning. Distances are as between the points themselves, without what float32
// would lose far from 0.
func (t *pair) about(p points, standard bool) blas32.General {
	out := batch.New(p.z.Rows, p.z.Cols)
	for i := range p.z.Rows {
		to := batch.Row(out, i)
		for j, v := range batch.Row(p.z, i) {
			x := t.scale[j] * float64(v)
			if p.shift != nil {
				x += p.shift[j]
			}
			if standard {
				x /= t.scale[j]
			}
			to[j] = float32(x)
		}
	}
	return out
}

// compare measures x against the truth in the units of the files and, if columns have
// scales of their own, in standard deviations too.
func (t *pair) compare(ctx context.Context, r *run.Run, x, truth points, into report.Numbers) error {
	var suffixes []string
	if t.held() {
		suffixes = append(suffixes, "")
	}
	if t.standardised() {
		suffixes = append(suffixes, standard)
	}
	for _, suffix := range suffixes {
		x, truth := t.about(x, suffix == standard), t.about(truth, suffix == standard)
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
func (t *pair) ownScales() bool {
	return slices.ContainsFunc(t.scale, func(v float64) bool { return v != t.scale[0] })
}

// held says whether float32 holds squared distances in the units of the files.
func (t *pair) held() bool {
	return slices.Min(t.scale) >= 1e-15 && slices.Max(t.scale) <= 1e15
}

// standardised says whether there are distances in standard deviations.
func (t *pair) standardised() bool { return t.ownScales() || !t.held() }

// headline makes the table of the page.
func (t *pair) headline(r *run.Run, n int) {
	suffix, units := "", ""
	if t.standardised() {
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
// the held-out rows of the source, and the error of the inverse. The images x and linear are
// in units of learning.
func (t *pair) judgePlan(ctx context.Context, r *run.Run, m *fit.Model, x, linear blas32.General) error {
	y := t.source.held.x
	back, checks, err := m.Transport(ctx, x, true)
	if err != nil {
		return err
	}
	metrics := r.Report.Metrics
	maps.Copy(metrics, checks)
	ones, none := slices.Repeat([]float64{1}, len(t.scale)), make([]float64, len(t.scale))
	metrics["cost"], r.Report.Baseline["cost"] = meanSquare(x, y, t.scale, t.shift), meanSquare(linear, y, t.scale, t.shift)
	metrics["inverse_error"] = meanSquare(back, y, t.scale, none) / meanSquare(y, repeated(batch.Means(y), y.Rows), t.scale, none)
	if t.standardised() {
		shift := floats.DivTo(make([]float64, len(t.scale)), t.shift, t.scale)
		metrics["cost"+standard], r.Report.Baseline["cost"+standard] = meanSquare(x, y, ones, shift), meanSquare(linear, y, ones, shift)
	}
	r.Page.Headline = append(r.Page.Headline, report.Headline{Metric: "inverse_error", Label: "Error of the inverse, E|T⁻¹(T(y)) − y|² over the variance of the source"})
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("cost is E|T(y) − y|² over the held-out rows of the source: %.4g, of the linear map %.4g. A map that does not reach the target can cost less than the optimal one.", metrics["cost"], r.Report.Baseline["cost"]))
	return nil
}

// repeated is the row v, n times.
func repeated(v []float64, n int) blas32.General {
	out := batch.New(n, len(v))
	for i := range n {
		batch.Narrow(batch.Row(out, i), v)
	}
	return out
}

// meanSquare is the mean of |scale⊙(x_i − y_i) − shift|².
func meanSquare(x, y blas32.General, scale, shift []float64) float64 {
	var sum float64
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			gap := scale[j]*(float64(v)-float64(batch.Row(y, i)[j])) - shift[j]
			sum += gap * gap
		}
	}
	return sum / float64(x.Rows)
}
