package experiments

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/monge"
	"cmf/experiments/run"
	"cmf/experiments/table"
	"cmf/layers/autoencoder"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// GenerateConfig configures the command generate.
type GenerateConfig struct {
	config.Command
	config.Random
	config.Generation
	Checkpoint string `needed:"the checkpoint.safetensors of a run" desc:"checkpoint.safetensors of a run: the model to draw from"`
	Classes    string `desc:"classes to draw in turn, such as 3 or 3,7, from a model of pictures given their label; all if empty"`
	Count      int    `default:"10000" range:"0..10000000" desc:"points to generate; 0 for none"`
	Contexts   string `file:"a table with a column for each given one of the model" desc:"rows of the given columns of a model of columns given others (CMF_GIVEN of its run), for each of which CMF_COUNT draws of the others are made, by default as many as come to 100000 in all, at least 100 and at most 10000: a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather)"`
	Points     string `desc:"points at which to evaluate density and gradient, in the units of the data, or rows of the source to map by a model of the experiment transport: a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather) or a folder of PNG pictures; none if empty"`
}

// Siblings are variables of the runs that leave checkpoints.
func (*GenerateConfig) Siblings() []string {
	return []string{"CMF_DATA_FILE", "CMF_COLUMNS", "CMF_HEADER", "CMF_SOURCE_FILE", "CMF_TARGET_FILE", "CMF_DATASET"}
}

// Generate draws from the model of a checkpoint and evaluates it at given points; by the
// model of a map between two tables it maps given points.
// The same seed, count, mixing and threads give the same bits.
var Generate = run.Definition[GenerateConfig]{
	Name:   "generate",
	Shared: true,
	Do:     doGenerate,
}

func doGenerate(ctx context.Context, r *run.Run, c *GenerateConfig) error {
	m, err := fit.OpenModel(r, c.Checkpoint)
	if err != nil {
		return err
	}
	d := m.Evaluator.Dim()
	r.Report.Data = fmt.Sprintf("the model of %s, of the experiment %s, d = %d, after %d steps", c.Checkpoint, m.Origin.Experiment, d, m.State.Step)
	r.Page.Summary = "Points and densities of a saved model."
	if m.Origin.From != nil {
		return mapPoints(ctx, r, m, c)
	}
	if m.Origin.Units == nil {
		r.Note("The checkpoint names no units: points and densities are in those in which the model was learned.")
	}
	generate, evaluate := generateAlike, evaluate
	if c.Classes != "" && (m.Evaluator.Contexts() == 0 || m.Form().Height == 0) {
		return fmt.Errorf("CMF_CLASSES=%s: the model of %s was not learned from pictures given their label (CMF_GIVEN=label)", c.Classes, c.Checkpoint)
	}
	if c.Contexts != "" && m.Origin.ContextUnits == nil {
		return fmt.Errorf("CMF_CONTEXTS=%s: no columns of a table are given to the model of CMF_CHECKPOINT; learn the table again with CMF_GIVEN=COLUMN, or leave CMF_CONTEXTS out", c.Contexts)
	}
	switch {
	case m.Origin.ContextUnits != nil:
		generate, evaluate = generateGiven, evaluateGiven
	case m.Evaluator.Contexts() > 0 && m.Form().Height > 0:
		if err := c.checkClasses(m.Evaluator.Contexts()); err != nil {
			return err
		}
		generate, evaluate = generateClasses, evaluateClass
	case m.Evaluator.Contexts() > 0:
		return fmt.Errorf("CMF_CHECKPOINT=%s: the model of the experiment %s is given contexts that are no columns of a table; draw from it by fit.LoadModel and Model.Given", c.Checkpoint, m.Origin.Experiment)
	case m.Margins() != nil:
		generate, evaluate = generateRows, evaluateRows
	}
	if c.Count > 0 {
		if err := generate(ctx, r, m, c); err != nil {
			return err
		}
	}
	if c.Points == "" {
		return nil
	}
	if err := evaluate(ctx, r, m, c); err != nil {
		return fmt.Errorf("CMF_POINTS=%s: %w", c.Points, err)
	}
	return nil
}

// mapPoints maps the points of CMF_POINTS, rows of the source of a model that has learned
// the map between two tables.
func mapPoints(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig) error {
	r.Page.Summary = "Points mapped by a saved model."
	const can = "the model maps rows of its source, a table, to its target; it has no noise from which points are generated, and no density"
	switch {
	case r.Given("CMF_COUNT") && c.Count > 0:
		return fmt.Errorf("CMF_COUNT=%d: %s; allowed is 0, with rows of the source as CMF_POINTS", c.Count, can)
	case c.Points == "":
		return fmt.Errorf("CMF_POINTS=: %s; name a file of rows of the source", can)
	}
	source, err := table.SourceMargins(m)
	if err != nil {
		return err
	}
	points, err := monge.ReadFurther(r, c.Points, new(table.Reading), source)
	if err == nil {
		err = monge.SaveMapped(ctx, r, m, points)
	}
	if err != nil {
		return fmt.Errorf("CMF_POINTS=%s: %w", c.Points, err)
	}
	r.Note("No points are generated and no densities are evaluated: %s.", can)
	return nil
}

// generateAlike is generate where all points have one law.
func generateAlike(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig) error {
	return generate(ctx, r, m, c, true)
}

// generate writes points and the Gibbs samples y that ∇w* maps to them. alike says that all
// chains have one law, so that they can be compared.
func generate(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig, alike bool) error {
	draw, err := m.Draw(ctx, c.Count, c.Mixing, random.New(c.Seed, "generation", 0))
	if err != nil {
		return err
	}
	if !alike {
		delete(draw.Checks, "r_hat")
	}
	draw.Report(r)
	form := m.Form()
	x, err := m.InData(draw.Points, random.New(c.Seed, "remainder", 0))
	if err != nil {
		return err
	}
	if err := r.SaveRows("samples", form, form.Columns, x); err != nil {
		return err
	}
	if err := r.SaveRows("gibbs", units.Form{}, nil, draw.Gibbs); err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, "samples.npy: points ∇w*(y) in the units of the data; gibbs.npy: the y of each point, in the model's units.")
	switch m.Evaluator.Dim() {
	case 1:
		if err := figure.DrawHistogram(r.Path("points.png"), figure.Axes{X: form.Name(0), Y: "density"}, batch.Column(x, 0), 0); err != nil {
			return err
		}
		r.AddFigure("points.png", "Histogram of generated points.")
		return nil
	case 2:
		return drawPlane(ctx, r, m, draw, figure.Cloud{Name: "generated", Points: draw.Points})
	}
	// The points are in the data's units already.
	return drawPoints(r, units.Affine{}, form, figure.Cloud{Name: "generated", Points: x})
}

// generateRows writes rows of the model of a table and their Gibbs samples.
func generateRows(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig) error {
	rows, draw, err := table.Sample(ctx, r, m, c.Count, c.Mixing, c.Seed)
	if err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, "samples.npy and the table beside it: generated rows; gibbs.npy: the y of each, in the model's units.")
	if u := m.Margins(); !u.Normal() && u.Learned() == 2 {
		return drawPlane(ctx, r, m, draw, figure.Cloud{Name: "generated", Points: draw.Points})
	}
	if len(rows.Columns) == 1 {
		if err := figure.DrawHistogram(r.Path("points.png"), figure.Axes{X: m.Form().Name(0), Y: "density"}, batch.Column(table.Shown(rows, rows, shownPoints), 0), 0); err != nil {
			return err
		}
		r.AddFigure("points.png", "Histogram of generated values.")
		return nil
	}
	return drawPairs(r, table.ShownNames(rows), labelNumbers(rows), figure.Cloud{Name: "generated", Points: table.Shown(rows, rows, shownPoints)})
}

// generateGiven writes draws of a model of columns given others, for each row of CMF_CONTEXTS.
func generateGiven(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig) error {
	if c.Contexts == "" {
		if c.Points != "" && !r.Given("CMF_COUNT") {
			return nil
		}
		return fmt.Errorf("CMF_CHECKPOINT=%s: the model is given the columns %s; name in CMF_CONTEXTS a table of their values, for each row of which the others are drawn", c.Checkpoint, strings.Join(m.Origin.ContextUnits.Names(), ", "))
	}
	count := c.Count
	if !r.Given("CMF_COUNT") {
		count = 0
	}
	first, err := table.DrawGiven(ctx, r, m, c.Contexts, count, c.Mixing, c.Seed)
	if err != nil {
		return fmt.Errorf("CMF_CONTEXTS=%s: %w", c.Contexts, err)
	}
	if len(first.Columns) == 0 {
		return nil
	}
	_, drawn := m.Origin.ContextUnits.Split(first)
	if len(drawn.Columns) == 1 {
		drawn = first
	}
	return drawPairs(r, table.ShownNames(drawn), labelNumbers(drawn), figure.Cloud{Name: "drawn", Points: table.Shown(drawn, drawn, shownPoints)})
}

// evaluateGiven writes the log densities of the drawn columns of CMF_POINTS given the others.
func evaluateGiven(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig) error {
	if err := table.EvaluateGiven(ctx, r, m, c.Points, c.Seed); err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, "densities.npy: the log density of the drawn columns of each row given its other columns, in nats, and the standard error of its log Z(c); gradients.npy: ∇w(·; c) at the point of each row.")
	return nil
}

// evaluateRows writes the log densities of the rows of CMF_POINTS, and gradients.
func evaluateRows(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig) error {
	if err := table.Evaluate(ctx, r, m, c.Points, c.Seed); err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, "densities.npy: the log density of each of the given rows, in nats: a density in the units of columns that have one, a probability for labels, integers, values that hold mass, and missing values; gradients.npy: ∇w at the point of each row, which is the noise that ∇w* maps to it.")
	return nil
}

// evaluate writes log densities and gradients at the points of CMF_POINTS.
func evaluate(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig) error {
	x, read, notes, err := table.Read(c.Points)
	if err != nil {
		return err
	}
	r.Inferred(c.Points, notes)
	u, form := m.Units(), m.Form()
	switch {
	case x.Cols != u.Dim(m.Evaluator.Dim()):
		return fmt.Errorf("its rows have %d coordinates, but the model has %d", x.Cols, u.Dim(m.Evaluator.Dim()))
	case read.Height != 0 && (read.Height != form.Height || read.Width != form.Width):
		return fmt.Errorf("its pictures have %d×%d pixels, but those of the model have %d×%d", read.Width, read.Height, form.Width, form.Height)
	case read.Columns != nil && form.Columns != nil && !slices.Equal(read.Columns, form.Columns):
		return fmt.Errorf("its columns are %q, but the model's are %q; give them in that order", read.Columns, form.Columns)
	}
	l, z, err := m.DensityAt(ctx, x, random.New(c.Seed, "annealing", 0))
	if err != nil {
		return err
	}
	l.Report(r.Report.Metrics)
	gradient := batch.New(z.Rows, z.Cols)
	if err := m.Evaluator.Eval(z, nil, gradient); err != nil {
		return err
	}
	if err := r.SaveRows("densities", read, []string{"log_density"}, batch.WithColumns(batch.New(x.Rows, 0), l.LogPDF)); err != nil {
		return err
	}
	if err := r.SaveRows("gradients", units.Form{}, nil, gradient); err != nil {
		return err
	}
	if _, ok := u.(*autoencoder.Latent); ok {
		r.Note("The density is the density of latents, to which the autoencoder maps the pictures: pictures have none.")
	}
	r.Report.Notes = append(r.Report.Notes, "densities.npy: the log density at each of the given points, in nats, with respect to the units of the data; gradients.npy: ∇w at each point, which is the noise that ∇w* maps to it, in the units of gibbs.npy.")
	return nil
}
