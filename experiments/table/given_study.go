package table

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/metric/tabular"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// CheckGiven refuses the variables that a run with given columns cannot have.
func (c *Config) CheckGiven(core *config.Core) error {
	if c.Given == "" {
		return nil
	}
	return fit.CheckGivenContexts(core)
}

// suitGiven sets what the user has not set to what suits the law of columns given others.
func (s *Study) suitGiven(r *run.Run) error {
	if s.Core.Potential == layers.NetworkQuadratics {
		if err := s.suitPieces(r); err != nil {
			return err
		}
	}
	const most = 24 // dimensions in which each step can take the log determinants of the likelihood
	if s.Set.Points.Cols <= most {
		if err := run.Suit(r, "CMF_LOSS", &s.Core.Loss, "likelihood"); err != nil {
			return err
		}
	}
	return run.Suit(r, "CMF_LR", &s.Core.LR, .01)
}

// suitPieces sets what suits quadratics given columns, which start near: few steps, no hidden
// features, and one quadratic for every sixty rows for each of the coefficients by which a
// coordinate of it depends on the given columns. More fit single rows: with 64 in place of 16,
// two-ways of the experiment conditional lost .06 nats.
func (s *Study) suitPieces(r *run.Run) error {
	const steps, least, most, rows = 300, 4, 64, 60
	if s.Core.Preset == "default" {
		if err := run.Suit(r, "CMF_STEPS", &s.Core.Steps, steps); err != nil {
			return err
		}
	}
	if err := run.Suit(r, "CMF_FEATURES", &s.Features, 0); err != nil {
		return err
	}
	if s.Core.Pieces > 0 {
		return nil
	}
	s.Core.Pieces = min(most, max(least, s.Set.Train.Rows()/(rows*(1+s.Set.Given.Contexts.Cols))))
	return r.Resolve("CMF_PIECES", s.Core.Pieces)
}

// generateGiven writes as many rows as asked for: the given columns of held-out rows, again
// and again, with draws of the others.
func (s *Study) generateGiven(ctx context.Context, r *run.Run) error {
	held := s.Set.Given.Held
	rows := make([]int, max(s.Count, held.Rows()))
	for i := range rows {
		rows[i] = i % held.Rows()
	}
	r.Progress.Log.Info("generating", "rows", len(rows))
	units := s.Set.Given.Units
	out, err := NewRows(r, "samples", units.Join(held.First(0), s.Set.Held.First(0)))
	if err != nil {
		return err
	}
	left := s.Count
	err = drawGiven(ctx, s.Model, held, rows, s.Mixing, s.Core.Seed, func(given, drawn *table.Table, d *fit.Draw) error {
		whole := units.Join(given, drawn)
		if s.Generated == nil {
			d.Report(r)
			s.Generated, s.Draw = whole, d.Clone()
		}
		part := whole.First(left)
		left -= part.Rows()
		return out.Append(part)
	})
	r.Report.Notes = append(r.Report.Notes, "samples.npy and the table beside it: the given columns are those of held-out rows, in their order and again from the first; the others are drawn given them.")
	return errors.Join(err, out.Close(err == nil))
}

// drawGiven draws the other columns for the listed rows of the given columns, in blocks. The
// first block has the checks of all; those that compare chains say nothing here, where each
// has a law of its own, and are left out.
func drawGiven(ctx context.Context, m *fit.Model, given *table.Table, rows []int, mixing int, seed uint64, take func(given, drawn *table.Table, d *fit.Draw) error) error {
	const most = 1 << 14 // at once
	contexts, err := m.Origin.ContextUnits.Encode(given)
	if err != nil {
		return err
	}
	rng, decoding := random.New(seed, "generation", 0), random.New(seed, "rows", 0)
	for lo := 0; lo < len(rows); lo += most {
		part := rows[lo:min(lo+most, len(rows))]
		points, of := len(part), batch.Gathered(contexts, part)
		if points == 1 { // one context stands for many particles, several for one each
			of = batch.Stacked(of, of)
		}
		w, err := m.Given(ctx, of, rng)
		if err != nil {
			return err
		}
		d, err := w.Draw(ctx, of.Rows, mixing, rng)
		if err != nil {
			return err
		}
		for _, name := range []string{"r_hat", "ess", "ess_per_chain"} {
			delete(d.Checks, name)
		}
		d.Points, d.Gibbs = batch.First(d.Points, points), batch.First(d.Gibbs, points)
		drawn, err := m.Margins().Decode(d.Points, decoding)
		if err != nil {
			return err
		}
		if err := take(given.Rowed(part), drawn, d); err != nil {
			return err
		}
	}
	return nil
}

// judgeGiven compares rows, half of the held-out ones with their other columns drawn, with the
// other half: rows with the same given columns would be too near to each other. Beside them are
// draws of the regression and rows to learn from.
func (s *Study) judgeGiven(ctx context.Context, r *run.Run) error {
	const most = 10_000
	g := s.Set.Given
	half := min(s.Generated.Rows(), g.Held.Rows()/2, most)
	r.Progress.Log.Info("judging", "held-out rows", g.Held.Rows()-half)
	contexts := batch.First(g.Test, half)
	shifts, err := g.Law.Shifts(contexts)
	if err != nil {
		return err
	}
	z := g.Law.Law.Sample(half, random.New(s.Core.Seed, "Gaussian fit", 0))
	for i, v := range shifts.Data {
		z.Data[i] += v
	}
	regression, err := s.Set.Margins.Decode(z, random.New(s.Core.Seed, "rows of the Gaussian fit", 0))
	if err != nil {
		return err
	}
	train := g.Units.Join(g.Train, s.Set.Train)
	data := tabular.Data{Train: train, Held: g.Units.Join(g.Held, s.Set.Held).Slice(half, min(g.Held.Rows(), half+most)), Bounds: s.bounds()}
	err = s.judge(ctx, r, data, []judgedLaw{
		{tabular.Sample{Name: "model"}, s.Generated.First(half), r.Report.Metrics},
		{tabular.Sample{Name: "regression"}, g.Units.Join(g.Held.First(half), regression), r.Report.Baseline},
		{tabular.Sample{Name: "rows to learn from"}, train.First(half), r.Report.Floor},
	})
	if err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("Scores of rows compare %d held-out rows with as many whose given columns are those of other held-out rows, the others drawn.", half))
	return s.judgeIntervals(ctx, r)
}

// judgeIntervals reports how many values of held-out rows lie in the central intervals of
// draws given their other columns.
func (s *Study) judgeIntervals(ctx context.Context, r *run.Run) error {
	const draws, most = 99, 160
	held, given := s.Set.Held.First(most), s.Set.Given.Held.First(most)
	rows := make([]int, held.Rows()*draws)
	for i := range rows {
		rows[i] = i / draws
	}
	var all *table.Table
	err := drawGiven(ctx, s.Model, given, rows, s.Mixing, s.Core.Seed, func(_, drawn *table.Table, _ *fit.Draw) error {
		if all == nil {
			all = drawn
		} else {
			all = table.Stacked(all, drawn)
		}
		return nil
	})
	if err != nil {
		return err
	}
	within := map[int]float64{50: 0, 90: 0}
	count := 0.
	rng := random.New(s.Core.Seed, "ranks", 0)
	for j, c := range held.Columns {
		if c.Labels != nil || s.Set.Margins.Columns[j].Dim() == 0 || s.Set.Margins.Columns[j].Circle != nil {
			continue
		}
		for i, v := range c.Values {
			if math.IsNaN(v) {
				continue
			}
			rank := 0.
			for _, x := range all.Columns[j].Values[i*draws : (i+1)*draws] {
				if x < v || x == v && rng.Float64() < .5 {
					rank++
				}
			}
			count++
			for level := range within {
				if math.Abs(rank+.5-(draws+1)/2.) < float64(level)/200*(draws+1) {
					within[level]++
				}
			}
		}
	}
	if count == 0 {
		return nil
	}
	for level, n := range within {
		r.Report.Metrics[fmt.Sprintf("coverage_%d", level)] = n / count
	}
	r.Page.Headline = append(r.Page.Headline, report.Headline{Metric: "coverage_90", Label: "Share of held-out numbers within the central 90 % of draws", Goal: report.Nearer, Target: .9})
	return nil
}

// densitiesGiven writes the held-out rows with the log densities of their other columns given
// these, and reports the mean.
func (s *Study) densitiesGiven(ctx context.Context, r *run.Run) error {
	const most, particles = 2048, 64 // each row has a log Z(c) of its own
	g := s.Set.Given
	given, held := g.Held.First(most), s.Set.Held.First(most)
	contexts := batch.First(g.Test, most)
	r.Progress.Log.Info("densities", "held-out rows", held.Rows())
	l, logZ, err := RowDensityGiven(ctx, s.Model, given, held, particles, random.New(s.Core.Seed, "annealing", 0))
	if err != nil {
		return err
	}
	into := r.Report.Metrics
	var failed int
	into["log_likelihood"], into["log_likelihood_se"], failed = fit.FiniteMean(l.LogPDF)
	into["log_likelihood_failed"] = float64(failed)
	for _, z := range logZ {
		into["log_z_se"] += z.Error / float64(len(logZ))
	}
	regression, err := RowDensityOf(s.Set.Margins, held, random.New(s.Core.Seed, "Gaussian fit's rows", 0), g.logPDF(contexts))
	if err != nil {
		return err
	}
	r.Report.Baseline["log_likelihood"], r.Report.Baseline["log_likelihood_se"], _ = fit.FiniteMean(regression)
	gain := make([]float64, len(regression))
	for i := range gain {
		gain[i] = l.LogPDF[i] - regression[i]
	}
	into["log_likelihood_gain"], into["log_likelihood_gain_se"], _ = fit.FiniteMean(gain)
	rows := withDensities(g.Units.Join(given, held), l.LogPDF, regression)
	out, err := NewRows(r, "densities", rows.First(0))
	if err != nil {
		return err
	}
	err = out.Append(rows)
	if err := errors.Join(err, out.Close(err == nil)); err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("densities.npy: %d held-out rows, each followed by the log density of its drawn columns given the others, under the model and under the regression, in nats: a density in the units of columns that have one, a probability for labels, integers, values that hold mass, and missing values. log_likelihood is their mean, log_likelihood_gain that of the differences. Every row has the log Z(c) of its given columns.", held.Rows()))
	return s.warn(r)
}
