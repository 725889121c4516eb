package table

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"cmf/data/table"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Study is the law of a table, learned by CMFGen, judged and drawn from.
type Study struct {
	Core     *config.Core
	Bank     config.Bank
	Mixing   int
	Count    int     // rows to generate
	Spread   float64 // of the first hinges; 0 for one that suits the dimension
	Export   config.ExportUnits
	Features int // hidden features of the given columns, if there are any

	Name  string // of the file
	Set   *Set
	Model *fit.Model

	Draw      *fit.Draw    // the first generated points
	Generated *table.Table // their rows
}

// Learn learns the table. It reports whether training was completed.
func (s *Study) Learn(ctx context.Context, r *run.Run) (finished bool, err error) {
	s.describe(r)
	passes, least := 600, 400
	switch {
	case s.Set.Earlier:
		passes, least = 200, 200
	case s.Set.Given != nil:
		passes, least = 1500, 400
		if err := s.suitGiven(r); err != nil {
			return false, err
		}
	case s.Set.Margins.Normal():
		passes, least = 1500, 400
		if err := s.suitScores(r); err != nil {
			return false, err
		}
	}
	if err := r.LimitSteps(s.Core, s.Set.Train.Rows(), passes, least); err != nil {
		return false, err
	}
	problem, err := s.problem(r)
	if err != nil {
		return false, err
	}
	if s.Model, err = fit.Fit(ctx, r, s.Core, problem); err != nil || !s.Model.Finished {
		return false, err
	}
	if s.Set.Margins.Normal() {
		return true, s.correct(ctx, r)
	}
	return true, nil
}

// describe says what was read and in which units it is learned.
func (s *Study) describe(r *run.Run) {
	t := s.Set
	d := len(t.Train.Columns)
	r.Report.Data = fmt.Sprintf("%s, %d rows to learn from, %d to choose by, %d held out, %d columns, d = %d", s.Name, t.Train.Rows(), t.Validation.Rows(), t.Held.Rows(), d, t.Margins.Learned())
	r.Progress.Log.Info("data", "set", r.Report.Data)
	r.Page.Summary = fmt.Sprintf("CMFGen on %s: one convex potential gives the noise, the map to the data and their density.", s.Name)
	if t.Given != nil {
		r.Report.Data = fmt.Sprintf("%s, given %s (%d coordinates)", r.Report.Data, strings.Join(t.Given.Units.Names(), ", "), t.Given.Contexts.Cols)
		r.Page.Summary = fmt.Sprintf("CMFGen on %s: potentials that are convex in the drawn columns, one for each value of the given ones, give noise, map and density.", s.Name)
	}
	if t.Margins.Normal() {
		r.Note("Columns are learned as normal scores (CMF_MARGINS): every column by itself is standard normal there, and the model learns how they depend on each other. Values that hold mass, such as zeros and missing values, are intervals of scores; labels are corners of a simplex. Samples, densities and judgements are in the units of the file.")
	} else {
		r.Note("The method does not know units: it learns columns less their means, divided by their standard deviations or, with CMF_SCALE=common, by one scale for all. Samples and densities are in the units of the file; distances whose names end in _standard are in units of learning.")
	}
	r.Inferred(s.Name, t.Notes)
	for _, warning := range t.Warnings {
		r.Warn("%s: %s", filepath.Base(s.Name), warning)
	}
}

// suitScores sets what the user has not set to what suits normal scores: on seven tables of
// 178 to 3201 rows, units of two pieces at a lower rate had the highest likelihoods.
func (s *Study) suitScores(r *run.Run) error {
	if err := run.Suit(r, "CMF_UNIT", &s.Core.Unit, layers.Maximum); err != nil {
		return err
	}
	return run.Suit(r, "CMF_LR", &s.Core.LR, .01)
}

// manyContexts is the number of coordinates of the given columns beyond which most may not
// matter: then weights of contexts are sparse, and hinges in the plane are not sharp. With two
// given columns that all matter, sparse weights cost 0.2 nats.
const manyContexts = 8

// problem is the problem for Fit: a network that suits the dimension.
func (s *Study) problem(r *run.Run) (fit.Problem, error) {
	c, z := s.Core, s.Set.Points
	d := z.Cols
	if n := s.Set.Train.Rows(); c.Potential == layers.NetworkQuadratics && c.Pieces > n {
		return fit.Problem{}, fmt.Errorf("CMF_PIECES=%d: there are %d rows to learn from; there must be one for each quadratic", c.Pieces, n)
	}
	shape := layers.Architecture{Dim: d, Hidden: c.Hidden, Unit: c.Unit, Full: d > 1}
	// In few dimensions the data may have separate parts, which needs sharp hinges and
	// little fixed curvature. In many dimensions a hinge sees a blurred projection, and the
	// quadratic must find directions with little variance.
	start := layers.Start{Law: s.Set.Law, Share: .1, Fixed: .05, Spread: 20, Balanced: true}
	if g := s.Set.Given; g != nil {
		shape.Context, shape.ContextHidden, start.Given = g.Contexts.Cols, s.Features, g.Law
	}
	hidden, tolerance := config.Widths{64, 64}, 1e-3
	switch {
	case d > 20:
		hidden, tolerance = config.Widths{256}, 5e-3
		start.Share, start.Spread = .8, 6
	case d > 2:
		hidden, start.Share, start.Spread = config.Widths{128, 128}, .8, 6
	}
	if g := s.Set.Given; g != nil && g.Contexts.Cols > manyContexts && d <= 2 { // hinges would have to follow them all
		start.Share, start.Spread = .5, 6
	}
	if s.Set.Margins.Normal() { // what is left to learn is faint
		start.Share, start.Spread = .8, 6
	}
	if s.Set.few() && !s.Set.Earlier { // hinges would fit single rows
		start.Share = .97
	}
	if shape.Hidden == nil {
		shape.Hidden = hidden
		if err := r.Resolve("CMF_HIDDEN", hidden); err != nil {
			return fit.Problem{}, err
		}
	}
	if s.Spread > 0 {
		start.Spread = s.Spread
	}
	w, err := c.Network(shape, layers.Architecture{})
	if err != nil {
		return fit.Problem{}, err
	}
	const patience = 8
	choice := fit.Validation{X: s.Set.Choice}
	if s.Set.Given != nil {
		most := 512 // each has a log Z(c) of its own
		if c.Potential == layers.NetworkQuadratics {
			most = 128 // of which each takes hundreds of solves
		}
		choice.X, choice.Contexts = batch.First(choice.X, most), batch.First(s.Set.Given.Choice, most)
	}
	if !r.Given("CMF_STEPS") {
		choice.Patience = patience
	}
	p := fit.Problem{
		Potential:    w,
		Start:        start,
		Train:        z,
		Units:        s.Set.Margins,
		Form:         units.Form{Table: true, Columns: s.Set.Train.Names()},
		Particles:    s.Bank.Particles,
		Langevin:     s.Bank.Langevin,
		Tolerance:    tolerance,
		Decay:        1 - 15/float64(max(c.Steps, 150)),
		Precondition: true,
		Export:       s.Export,
		Validation:   choice,
	}
	if g := s.Set.Given; g != nil {
		p.Contexts, p.ContextUnits, p.Precondition = g.Contexts, g.Units, false
		if g.Contexts.Cols > manyContexts {
			p.Hooks = append(p.Hooks, sparse(w.Params(), c.Batch, s.Set.Train.Rows()))
		}
	}
	return p, nil
}

// warn says in what the model is poor.
func (s *Study) warn(r *run.Run) error {
	baseline := "a Gaussian in units of learning"
	if s.Set.Given != nil {
		baseline = "a linear regression with Gaussian residuals"
	}
	r.JudgeLikelihood(baseline)
	if !s.Set.Margins.Normal() && s.Set.Given == nil {
		missed, err := metric.MissedParts(s.Set.Points, s.Draw.Points)
		if err != nil {
			return err
		}
		for _, p := range missed {
			r.Warn("%s Its values are in units of learning.", p.String(s.Set.Train.Name(p.Column)))
		}
	}
	return nil
}

// correct gives the model the margins of the data, by draws of its own.
func (s *Study) correct(ctx context.Context, r *run.Run) error {
	const draws = 16_384
	r.Progress.Log.Info("margins", "draws", draws)
	rng := random.New(s.Core.Seed, "margins of the model", 0)
	of := s.Model
	if g := s.Set.Given; g != nil {
		rows := make([]int, draws)
		for i := range rows {
			rows[i] = rng.IntN(g.Contexts.Rows)
		}
		var err error
		if of, err = s.Model.Given(ctx, batch.Gathered(g.Contexts, rows), rng); err != nil {
			return err
		}
	}
	draw, err := of.Draw(ctx, draws, s.Mixing, rng)
	if err != nil {
		return err
	}
	return s.Model.Correct(draw.Points)
}

// Generate writes the generated rows and keeps the first ones.
func (s *Study) Generate(ctx context.Context, r *run.Run) (err error) {
	if s.Set.Given != nil {
		return s.generateGiven(ctx, r)
	}
	n := max(s.Count, min(s.Set.Held.Rows(), s.Set.Train.Rows()))
	r.Progress.Log.Info("generating", "rows", n)
	s.Generated, s.Draw, err = drawRows(ctx, r, s.Model, rowDraw{draws: n, written: s.Count, mixing: s.Mixing, seed: s.Core.Seed})
	return err
}

// Densities writes the held-out rows with their log densities, and reports the mean.
func (s *Study) Densities(ctx context.Context, r *run.Run) error {
	if s.Set.Given != nil {
		return s.densitiesGiven(ctx, r)
	}
	d := s.Set.Test.Cols
	// A log det takes d³ operations; this limit keeps the total to seconds.
	n := min(s.Set.Held.Rows(), max(64, int(1e11/math.Pow(float64(d), 3))), 20_000)
	held := s.Set.Held.First(n)
	r.Progress.Log.Info("densities", "held-out rows", n)
	seed := s.Core.Seed
	l, err := RowDensity(ctx, s.Model, table.Stacked(held, s.Generated.First(n)), random.New(seed, "annealing", 0))
	if err != nil {
		return err
	}
	generated := l.LogPDF[n:]
	l.LogPDF = l.LogPDF[:n]
	l.Report(r.Report.Metrics)
	r.Report.Metrics["density_distance"] = metric.Kolmogorov(l.LogPDF, generated)
	gaussian, err := RowDensityOf(s.Set.Margins, held, random.New(seed, "Gaussian fit's rows", 0), func(z blas32.General) ([]float64, error) { return s.Set.Law.LogPDF(z) })
	if err != nil {
		return err
	}
	r.Report.Baseline["log_likelihood"], r.Report.Baseline["log_likelihood_se"], _ = fit.FiniteMean(gaussian)
	if err := SaveRows(r, "densities", withDensities(held, l.LogPDF, gaussian)); err != nil {
		return err
	}
	if err := s.warn(r); err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("densities.npy: %d held-out rows, each followed by its log density under the model and under the Gaussian fit, in nats: a density in the units of columns that have one, a probability for labels, integers, values that hold mass, and missing values. log_likelihood is their mean. density_distance is the Kolmogorov–Smirnov distance of these densities to those of as many generated rows: 0 but for noise where each region that holds some share of the model also holds that share of the data.", n))
	return nil
}

// withDensities is t with columns of log densities.
func withDensities(t *table.Table, model, gaussian []float64) *table.Table {
	out := &table.Table{Columns: slices.Clone(t.Columns), Format: t.Format}
	for k, values := range [][]float64{model, gaussian} {
		name := []string{"log_density", "log_density_gaussian"}[k]
		out.Columns = append(out.Columns, table.Column{Name: name, Kind: table.Real, Decimals: -1, Values: values})
	}
	return out
}
