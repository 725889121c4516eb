package study

import (
	"context"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/sweep"
	"cmf/experiments/table"
	"cmf/solvers/random"
)

// ConditionalConfig configures tables whose columns have a known law given others.
type ConditionalConfig struct {
	config.Core
	config.Bank
	Table    string `default:"scales" oneof:"scales,two-ways,twenty" desc:"columns that depend on given ones: scales (of sizes from 1e-3 to 1e5, with noise that depends), two-ways (two modes) or twenty (given columns, of which two matter)"`
	Rows     int    `default:"4000" range:"200..10000000" desc:"rows, of which a fifth is held out"`
	Features int    `default:"64" range:"0..4096" desc:"hidden features of the given columns"`
}

// Conditional learns columns given others as the experiment samples does, and reports the
// mean log density of held-out rows under the model, the regression and the truth.
var Conditional = run.Definition[ConditionalConfig]{
	Name: "conditional",
	Presets: map[string]func(*ConditionalConfig){
		"quick":   func(c *ConditionalConfig) { c.Steps, c.Hidden = 300, nil },
		"default": func(c *ConditionalConfig) { c.Steps, c.Batch, c.Langevin, c.Hidden = 2000, 256, 4, nil },
	},
	Do: func(ctx context.Context, r *run.Run, c *ConditionalConfig) error {
		truth, err := data.Conditional(c.Table)
		if err != nil {
			return err
		}
		columns := table.Config{Given: truth.Given(), Margins: table.MarginsAuto}
		set, err := columns.NewSet(truth.Sample(c.Rows, random.New(c.Seed, "rows", 0)), table.Split{Held: .2, Seed: c.Seed})
		if err != nil {
			return err
		}
		s := &table.Study{Core: &c.Core, Bank: c.Bank, Features: c.Features, Name: c.Table, Set: set}
		if finished, err := s.Learn(ctx, r); err != nil || !finished {
			return err
		}
		if err := s.Densities(ctx, r); err != nil {
			return err
		}
		exact, err := truth.LogPDF(set.Given.Units.Join(set.Given.Held, set.Held))
		if err != nil {
			return err
		}
		r.Report.Floor["log_likelihood"], r.Report.Floor["log_likelihood_se"], _ = fit.FiniteMean(exact)
		return nil
	},
}

// Conditionals learns all tables of data.Conditional.
var Conditionals = sweep.Ablation{
	Name: "conditional", Of: Conditional,
	Variants: []sweep.Variant{{Name: "learned"}},
	Sets:     data.ConditionalNames(), Over: "TABLE",
	Baseline: "linear regression with Gaussian residuals",
	Metrics: []report.Headline{
		{Metric: "log_likelihood", Label: "Log-likelihood of held-out rows given their other columns, nats", Goal: report.Higher},
		{Metric: "train_seconds", Label: "Training, in seconds"},
	},
	Presets: map[string]func(*sweep.Ablation){
		"quick": func(a *sweep.Ablation) { a.Seeds = 1 },
	},
}
