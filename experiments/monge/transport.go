package monge

import (
	"context"
	"fmt"
	"maps"

	"cmf/data/margins"
	tables "cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/experiments/table"
	"cmf/layers"
)

// Config configures the experiment transport.
type Config struct {
	config.Core
	config.Export
	table.Reading
	SourceFile string  `split_words:"true" needed:"a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather)" desc:"points of the source: a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather) of n rows and d columns"`
	TargetFile string  `split_words:"true" needed:"a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather)" desc:"points of the target: a table with the same columns; they are matched by name if both have names"`
	Points     string  `desc:"further rows of the source to map, into mapped.npy and a table in their own format: a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather); none if empty"`
	Holdout    float64 `default:"0.2" range:"0.01..0.5" desc:"share of the rows of each file that is held out for judging"`
	Scale      string  `default:"common" oneof:"common,each" desc:"the cost of the plan: common (the squared distance, in the units of the files) or each (in standard deviations: every column divided by its own)"`
	Side       string  `default:"source" oneof:"source,target" desc:"the points of which the potential is a function: source (its gradient is the map, its conjugate's gradient the inverse) or target (the other way round)"`
	Spread     float64 `default:"0" range:"0|0.5..100" desc:"sharpness of the first hinges: standard deviation of each pre-activation over the data; 0 for a value that depends on the dimension"`
	Share      float64 `default:"0" range:"0..1" desc:"part of the first potential's curvature that its quadratic provides; 0 for a value that depends on the dimension"`
}

// Fixed names the variables of the source of noise, which is a file here.
func (c *Config) Fixed() []string { return []string{"CMF_SOURCE", "CMF_SAMPLER"} }

// Validate checks the loss.
func (c *Config) Validate() error { return fit.CheckGivenLoss(&c.Core) }

// Transport learns the Monge map between the points of two files, from the source to the
// target and optimal for the squared distance, and its inverse: the gradients of a convex
// potential and of its conjugate. It judges the map by held-out rows, compared with the
// linear map between Gaussian fits, the source as it is and the floor, and maps all rows of
// the source and further ones.
var Transport = run.Definition[Config]{
	Name: "transport",
	Presets: map[string]func(*Config){
		"quick": func(c *Config) { c.Steps = 300 },
		"default": func(c *Config) {
			c.Steps, c.Batch, c.LR = 2000, 512, .1
			c.Hidden = nil // chosen by dimension
			c.Unit = layers.Maximum
		},
		"paper": func(c *Config) { c.Steps, c.Batch = 20000, 1024 },
	},
	Do: doTransport,
}

func doTransport(ctx context.Context, r *run.Run, c *Config) error {
	t, err := c.load(r)
	if err != nil {
		return err
	}
	t.describe(r, c)
	if err := c.limit(r, min(t.source.train.x.Rows, t.target.train.x.Rows)); err != nil {
		return err
	}
	problem, err := c.problem(r, t)
	if err != nil {
		return err
	}
	model, err := fit.Fit(ctx, r, &c.Core, problem)
	if err != nil || !model.Finished {
		return err
	}
	r.Progress.Log.Info("mapping", "rows of the source", t.source.x.Rows)
	mapped, checks, err := model.Transport(ctx, t.source.x, false)
	if err != nil {
		return err
	}
	maps.Copy(r.Report.Metrics, checks)
	images, err := t.target.units.Decode(mapped, nil)
	if err != nil {
		return err
	}
	if err := table.SaveRows(r, "transported", images); err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, "transported.npy and the table beside it: the image under the map of each row of CMF_SOURCE_FILE, in the order of that file and with its columns, in the units of the target.")
	if err := SaveMapped(ctx, r, model, t.points); err != nil {
		return fmt.Errorf("CMF_POINTS=%s: %w", c.Points, err)
	}
	if err := t.judge(ctx, r, model, mapped); err != nil {
		return err
	}
	return t.draw(ctx, r, model, images, mapped)
}

// limit ends the default run on few rows after a number of passes over them, because held-out
// rows are met less well with more. A batch has at most all rows of the source.
func (c *Config) limit(r *run.Run, rows int) error {
	if c.Batch > rows {
		if r.Given("CMF_BATCH") {
			return fmt.Errorf("CMF_BATCH=%d: there are only %d rows to learn from; allowed are 2 to %[2]d", c.Batch, rows)
		}
		c.Batch = rows
		if err := r.Resolve("CMF_BATCH", rows); err != nil {
			return err
		}
	}
	const passes, least = 100, 100
	return r.LimitSteps(&c.Core, rows, passes, least)
}

// problem is the problem for Fit: a network that suits the dimension.
func (c *Config) problem(r *run.Run, t *pair) (fit.Problem, error) {
	d := len(t.learned)
	shape := layers.Architecture{Dim: d, Hidden: c.Hidden, Unit: c.Unit, Full: d > 1}
	start := layers.Start{Law: t.target.shrunk, Source: t.source.shrunk, Share: .1, Fixed: .05, Spread: 12, Balanced: true}
	hidden, tolerance := config.Widths{64, 64}, 1e-3
	if d > 2 { // a hinge sees a blurred projection, and the quadratic finds the directions
		hidden, tolerance = config.Widths{128, 128, 128}, 5e-3
		start.Share, start.Spread = .3, 6
		start.RootRate = min(1, 1024/float64(d*d)) // at one rate for all, its d² entries step too far together
		if min(t.source.train.x.Rows, t.target.train.x.Rows) < 2*d*d {
			start.Share = .97 // from so few rows, hardly more than the linear map can be learned
		}
	}
	if shape.Hidden == nil {
		shape.Hidden = hidden
		if err := r.Resolve("CMF_HIDDEN", hidden); err != nil {
			return fit.Problem{}, err
		}
	}
	if c.Spread > 0 {
		start.Spread = c.Spread
	}
	if c.Share > 0 {
		start.Share = c.Share
	}
	w, err := c.Network(shape, layers.Architecture{})
	if err != nil {
		return fit.Problem{}, err
	}
	return fit.Problem{
		Potential:    w,
		Start:        start,
		Train:        t.target.train.x,
		Units:        t.target.units,
		Form:         t.target.form(),
		From:         t.source.train.x,
		Validation:   fit.Validation{X: t.target.validation.x, Y: t.source.validation.x},
		FromUnits:    t.source.units,
		FromForm:     t.source.form(),
		OnSource:     c.Side == "source",
		Tolerance:    tolerance,
		Decay:        1 - 15/float64(max(c.Steps, 150)),
		Precondition: true,
		Export:       c.ONNX,
	}, nil
}

// Further are rows of the source that are to be mapped.
type Further struct {
	Rows *tables.Table // nil for none
}

// ReadFurther reads rows of a source with the columns m, and says what was inferred about
// their file. Further columns are ignored. The error does not name the variable.
func ReadFurther(r *run.Run, path string, reading *table.Reading, m *margins.Margins) (f Further, err error) {
	if err := checkFile(path); err != nil {
		return f, err
	}
	rows, notes, err := reading.ReadLike(path, m)
	if err != nil {
		return f, err
	}
	aligned, ignored, err := m.Align(rows)
	if err != nil {
		return f, err
	}
	// What cannot be mapped is told before learning.
	if _, err := m.Encode(aligned, nil); err != nil {
		return f, err
	}
	r.Inferred(path, notes)
	if ignored != nil {
		r.Note("Columns of CMF_POINTS that the source does not have are ignored: %q.", ignored)
	}
	return Further{aligned}, nil
}

// SaveMapped maps rows and writes mapped.npy, and a table beside it in the format of their
// file. Without rows it does nothing.
func SaveMapped(ctx context.Context, r *run.Run, m *fit.Model, f Further) error {
	if f.Rows == nil {
		return nil
	}
	images, checks, err := table.MapRows(ctx, m, f.Rows)
	if err != nil {
		return err
	}
	for name, v := range checks {
		r.Report.Metrics["mapped_"+name] = v
	}
	r.Report.Notes = append(r.Report.Notes, "mapped.npy and the table beside it: the image under the map of each row of CMF_POINTS, in the units of the target.")
	return table.SaveRows(r, "mapped", images)
}
