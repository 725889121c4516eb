package table

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"

	"cmf/data/table"
	"cmf/experiments/metric"
	"cmf/experiments/metric/tabular"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Judge compares generated rows with held-out ones, beside those of the Gaussian fit, the
// Gaussian copula, independent columns, and rows to learn from.
func (s *Study) Judge(ctx context.Context, r *run.Run) error {
	if s.Set.Given != nil {
		return s.judgeGiven(ctx, r)
	}
	// More rows than these change the scores by less than a hundredth. All are in random order.
	const most, mostToLearn = 20_000, 100_000
	n := min(s.Generated.Rows(), most)
	held, train := s.Set.Held.First(most), s.Set.Train.First(mostToLearn)
	r.Progress.Log.Info("judging", "held-out rows", held.Rows())
	rng := func(purpose string) *random.Stream { return random.New(s.Core.Seed, purpose, 0) }
	gaussian, err := s.Set.Margins.Decode(s.Set.Law.Sample(n, rng("Gaussian fit")), rng("rows of the Gaussian fit"))
	if err != nil {
		return err
	}
	copula, err := tabular.Copula(train, nil, n, rng("copula"))
	if err != nil {
		return err
	}
	independent, err := tabular.Independent(train, nil, n, rng("independent columns"))
	if err != nil {
		return err
	}
	laws := []judgedLaw{
		{tabular.Sample{Name: "model"}, s.Generated.First(n), r.Report.Metrics},
		{tabular.Sample{Name: "Gaussian fit"}, gaussian, r.Report.Baseline},
		{tabular.Sample{Name: "Gaussian copula"}, copula, report.Numbers{}},
		{tabular.Sample{Name: "independent columns"}, independent, report.Numbers{}},
		{tabular.Sample{Name: "rows to learn from"}, train.First(n), r.Report.Floor},
	}
	if !s.Set.Margins.Normal() {
		if err := s.judgePoints(ctx, r); err != nil {
			return err
		}
	}
	if err := s.judge(ctx, r, tabular.Data{Train: train, Held: held, Bounds: s.bounds()}, laws); err != nil {
		return err
	}
	for k, name := range map[int]string{2: "copula", 3: "independent"} {
		r.Report.Beside = append(r.Report.Beside, report.Column{Name: name, Title: laws[k].sample.Name, Metrics: laws[k].into})
	}
	return nil
}

// judgedLaw is rows of a law, and where their scores go.
type judgedLaw struct {
	sample tabular.Sample
	rows   *table.Table
	into   report.Numbers
}

// judge scores the rows of laws, the first of which are those of the model.
func (s *Study) judge(ctx context.Context, r *run.Run, data tabular.Data, laws []judgedLaw) (err error) {
	data.Target = s.Set.Train.Name(s.Set.Target)
	var samples []tabular.Sample
	for k := range laws {
		l := &laws[k]
		if l.sample.Scores, err = tabular.Judge(ctx, data, l.rows, random.New(s.Core.Seed, "judgement", 0)); err != nil {
			return err
		}
		maps.Copy(l.into, l.sample.Scores.Numbers(""))
		samples = append(samples, l.sample)
	}
	for _, name := range []string{"nearest_row", "nearest_row_5", "copies"} {
		delete(r.Report.Floor, name) // a row to learn from is its own neighbour
	}
	s.say(r, samples)
	return nil
}

// judgePoints adds distances between rows as points, those of smooth real columns: in the
// units of the file, less the means, and with names that end in _standard in those of learning.
func (s *Study) judgePoints(ctx context.Context, r *run.Run) error {
	const most = 2048
	n := min(s.Set.Test.Rows, s.Set.Points.Rows, s.Draw.Points.Rows, most)
	gaussian := s.Set.Law.Sample(n, random.New(s.Core.Seed, "Gaussian fit", 0))
	own := func(z blas32.General) blas32.General { x, _ := s.Set.Margins.Scaled(z); return x }
	units := map[string]func(blas32.General) blas32.General{"_standard": func(z blas32.General) blas32.General { return z }, "": own}
	if _, ok := s.Set.Margins.Scaled(batch.New(0, gaussian.Cols)); !ok {
		delete(units, "")
		r.Note("No distances in the units of the file: those of some columns are too large or too small beside 1. Distances whose names end in _standard are in deviations of the columns.")
	}
	for _, l := range []struct {
		z    blas32.General
		into report.Numbers
	}{{s.Draw.Points, r.Report.Metrics}, {gaussian, r.Report.Baseline}, {s.Set.Points, r.Report.Floor}} {
		for suffix, units := range units {
			numbers, err := metric.Compare(ctx, units(batch.First(l.z, n)), units(batch.First(s.Set.Test, n)))
			if err != nil {
				return err
			}
			for name, v := range numbers {
				l.into[name+suffix] = v
			}
		}
	}
	return nil
}

// bounds are those of the columns, and the least and the largest label.
func (s *Study) bounds() []tabular.Bounds {
	columns := s.Set.Margins.Columns
	if s.Set.Given != nil {
		columns = s.Set.Given.Units.Whole(s.Set.Margins).Columns
	}
	bounds := make([]tabular.Bounds, len(columns))
	for j, c := range columns {
		bounds[j] = tabular.Bounds{Low: math.Inf(-1), High: math.Inf(1)}
		if c.Low != nil {
			bounds[j].Low = *c.Low
		}
		if c.High != nil {
			bounds[j].High = *c.High
		}
	}
	return bounds
}

// say puts the judgement on the page.
func (s *Study) say(r *run.Run, samples []tabular.Sample) {
	scores := samples[0].Scores
	target := s.Set.Train.Name(s.Set.Target)
	r.Page.Headline = []report.Headline{
		{Metric: "log_likelihood", Label: "Log-likelihood of held-out rows, nats per row", Goal: report.Higher},
		{Metric: "column_distance", Label: "Distance of the distributions of a column (KS, total variation), mean", Goal: report.Lower},
		{Metric: "pair_correlation", Label: "Difference of the correlations of two columns, mean", Goal: report.Lower},
		{Metric: "pair_information", Label: "Difference of the mutual information of two columns, mean", Goal: report.Lower},
		{Metric: "utility_generated", Label: fmt.Sprintf("%s of a forest that learns %q from these rows", utilityName(s.Set.Train, s.Set.Target), target), Goal: report.Higher},
		{Metric: "energy_distance_robust", Label: "Energy distance, columns in robust units", Goal: report.Lower},
		{Metric: "nn_accuracy_robust", Label: "1-NN two-sample accuracy, columns in robust units", Goal: report.Nearer, Target: .5},
		{Metric: "nearest_row", Label: "Distance to the nearest row to learn from, median", Goal: report.Nearer, Target: scores.Nearest.Held},
	}
	baseline := "a Gaussian fitted in units of learning"
	if s.Set.Given != nil {
		baseline = "a linear regression with Gaussian residuals, in units of learning"
		r.Page.Headline[0].Label = "Log-likelihood of the drawn columns of held-out rows given the others, nats per row"
	}
	if !s.Set.Margins.Normal() && s.Set.Given == nil {
		r.Page.Headline = append(r.Page.Headline[:1:1], append([]report.Headline{
			{Metric: "energy_distance_standard", Label: "Energy distance, columns divided by their standard deviations", Goal: report.Lower},
			{Metric: "sliced_w2_standard", Label: "Sliced W2, columns divided by their standard deviations", Goal: report.Lower},
			{Metric: "w2_standard", Label: "W2, exact, columns divided by their standard deviations", Goal: report.Lower},
		}, r.Page.Headline[1:]...)...)
	}
	head, rows := tabular.ByColumn(samples...)
	r.Page.Tables = append(r.Page.Tables, report.Table{Title: "Distances of the columns to those of held-out rows", Head: head, Rows: rows})
	r.Report.Notes = append(r.Report.Notes,
		fmt.Sprintf("The baseline is %s. The worst column is %s, the worst pair by correlation %s and by information %s. Held-out rows are as far as %.3g from the nearest row to learn from (median), generated ones %.3g; of both, %.3g %% and %.3g %% are copies.",
			baseline, quotedPair(scores.Distance.Where), quotedPair(scores.Correlation.Where), quotedPair(scores.Information.Where), scores.Nearest.Held, scores.Nearest.Row, 100*scores.Nearest.CopiesHeld, 100*scores.Nearest.Copies))
	if scores.Outside > 0 {
		r.Note("%d generated rows have a value outside of its column's bounds.", scores.Outside)
	}
}

func utilityName(t *table.Table, target int) string {
	if len(t.Columns[target].Labels) > 0 {
		return "Balanced accuracy"
	}
	return "R²"
}

// quotedPair quotes the names in a column or pair.
func quotedPair(where string) string {
	if where == "" {
		return "none"
	}
	return fmt.Sprintf("%q", strings.TrimSpace(where))
}
