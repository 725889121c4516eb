package target

import (
	"context"
	"fmt"
	"math"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Family is a family of energies that is learned for all contexts at once.
type Family struct{ of *data.EnergyFamily }

// NewFamily tells the report what is learned.
func NewFamily(r *run.Run, f *data.EnergyFamily) *Family {
	r.Report.Data = fmt.Sprintf("the energies %s on ℝ^%d given contexts of %d numbers", f.Name, f.Dim(), f.Contexts())
	r.Page.Summary = fmt.Sprintf("The energies %s, the potentials w(x; c) that CMFMA learns from them for all contexts c at once, and samples given some.", f.Name)
	r.Page.Headline = []report.Headline{
		{Metric: "ess", Label: "effective sample size of the importance weights, as a share, mean over contexts", Goal: report.Higher},
		{Metric: "log_z_error", Label: "error of log ∫exp(−E), nats, mean over contexts", Goal: report.Lower},
		{Metric: "residual_sd", Label: "standard deviation of the Monge–Ampère residual, nats, mean over contexts", Goal: report.Lower},
	}
	if f.Law != nil {
		r.Page.Headline = append(r.Page.Headline, report.Headline{Metric: "uvp_percent", Label: "unexplained variance of the maps given contexts, in percent, mean", Goal: report.Lower})
	}
	return &Family{f}
}

// Fit is fit.Fit of p by CMFMA, for contexts that are uniform in their box: as many as the
// particles of p make groups. Points of each are found by MALA from its box.
func (t *Family) Fit(ctx context.Context, r *run.Run, core *config.Core, p fit.Problem) (*fit.Model, error) {
	const points, evaluations = 8, 100 * 8 // of each context
	own, _, _, err := p.Shares.Split(solvers.ContextRows)
	if err != nil {
		return nil, err
	}
	contexts := t.draw((p.Particles+own)/max(own, 1), random.New(core.Seed, "contexts", 0))
	p.Train, p.Contexts = batch.New(points*contexts.Rows, t.of.Dim()), batch.New(points*contexts.Rows, contexts.Cols)
	rng := random.New(core.Seed, "exploration", 0)
	evaluated := 0
	for i := range contexts.Rows {
		e, err := t.at(batch.Row(contexts, i))
		if err != nil {
			return nil, err
		}
		found, err := Boxed{e, e.Box}.Explore(ctx, points, evaluations, rng)
		if err != nil {
			return nil, fmt.Errorf("given %.4g: %w", batch.Row(contexts, i), err)
		}
		evaluated += found.Evaluations
		batch.Copy(batch.Rows(p.Train, points*i, points*(i+1)), found.Points)
		for k := range points {
			copy(batch.Row(p.Contexts, points*i+k), batch.Row(contexts, i))
		}
		if i == 0 {
			p.Box = solvers.Box{Lower: append([]float64(nil), e.Box.Lower...), Upper: append([]float64(nil), e.Box.Upper...)}
		}
		for k := range p.Box.Lower {
			p.Box.Lower[k], p.Box.Upper[k] = min(p.Box.Lower[k], e.Box.Lower[k]), max(p.Box.Upper[k], e.Box.Upper[k])
		}
	}
	p.EnergyGiven, p.Tolerance = t.of, 1e-3
	model, err := fit.Fit(ctx, r, core, p)
	if err != nil {
		return nil, err
	}
	r.Report.Metrics["energy_evaluations"] = float64(evaluated + model.Energy.Evaluations)
	return model, nil
}

// draw is n contexts, uniform in their box.
func (t *Family) draw(n int, rng *random.Stream) blas32.General {
	c := batch.New(n, t.of.Contexts())
	for i := range n {
		for k, lower := range t.of.Range.Lower {
			batch.Row(c, i)[k] = float32(lower + (t.of.Range.Upper[k]-lower)*rng.Float64())
		}
	}
	return c
}

func (t *Family) at(c []float32) (*data.Energy, error) {
	wide := make([]float64, len(c))
	batch.Widen(wide, c)
	return t.of.At(wide)
}

// Judge measures the models given n contexts, the same for all seeds, against the energies and
// against what is known of their laws. Its numbers are means over contexts. It writes the points
// given the first.
func (t *Family) Judge(ctx context.Context, r *run.Run, c Judging, n int, m *fit.Model) error {
	contexts := t.draw(n, random.New(1, "judged contexts", 0))
	means, worst := report.Numbers{}, report.Numbers{}
	var scenes []figure.Scene
	var all blas32.General
	for i := range n {
		numbers, points, err := t.judge(ctx, c, uint64(i), batch.Rows(contexts, i, i+1), m)
		if err != nil {
			return fmt.Errorf("given %.4g: %w", batch.Row(contexts, i), err)
		}
		text := ""
		for _, name := range []string{"ess", "log_z_error", "residual_sd", "uvp_percent"} {
			v, ok := numbers[name]
			if !ok {
				continue
			}
			text += fmt.Sprintf(", %s %.3g", name, v)
			means[name] += v / float64(n)
			if name == "ess" {
				v = -v
			}
			if w, ok := worst[name]; !ok || v > w {
				worst[name] = v
			}
		}
		r.Note("Given %.4g%s.", batch.Row(contexts, i), text)
		if i == 0 {
			if err := r.SaveSamples(points); err != nil {
				return err
			}
		}
		if i < 4 && t.of.Dim() == 2 {
			e, err := t.at(batch.Row(contexts, i))
			if err != nil {
				return err
			}
			points = batch.First(points, 2000)
			scenes = append(scenes, figure.Scene{Title: fmt.Sprintf("c = %.2f", batch.Row(contexts, i)), Field: valueOf(e), Clouds: []figure.Cloud{{Name: "samples", Points: points}}})
			if i == 0 {
				all = points
			} else {
				all = batch.Stacked(all, points)
			}
		}
	}
	for name, v := range means {
		r.Report.Metrics[name], r.Report.Metrics[name+"_worst"] = v, math.Abs(worst[name])
	}
	r.Judge(run.Bound{Metric: "ess", Label: "effective sample size of the importance weights, as a share of the points,", Goal: report.Higher, Poor: .05, Useless: 10 / float64(c.Samples)})
	if len(scenes) == 0 {
		return nil
	}
	caption := "Samples of ∇w*(·; c)♯𝔓_{w(·; c)} over level sets of E(·; c), for contexts c inside of their range."
	return r.Figure(ctx, report.Figure{File: "given.png", Caption: caption}, true, func(path string) error {
		return figure.DrawScenes(path, frameOf(all), scenes...)
	})
}

// judge measures the model given the context c.
func (t *Family) judge(ctx context.Context, by Judging, i uint64, c blas32.General, m *fit.Model) (report.Numbers, blas32.General, error) {
	e, err := t.at(batch.Row(c, 0))
	if err != nil {
		return nil, blas32.General{}, err
	}
	given, err := m.Given(ctx, c, random.New(by.Seed, "given", i))
	if err != nil {
		return nil, blas32.General{}, err
	}
	draw, err := given.Draw(ctx, by.Samples, by.Chain, random.New(by.Seed, "generation", i))
	if err != nil {
		return nil, blas32.General{}, err
	}
	z, err := given.GibbsLogZ(ctx, by.Samples, random.New(by.Seed, "annealing", i))
	if err != nil {
		return nil, blas32.General{}, err
	}
	one := Energy{Boxed: Boxed{e, e.Box}}
	residual, energy, logq, err := one.residual(ctx, density.Pushforward{Potential: given.Evaluator, LogZ: z.LogZ}, draw.Points)
	if err != nil {
		return nil, draw.Points, err
	}
	weights, err := density.NewImportance(energy, logq)
	if err != nil {
		return nil, draw.Points, err
	}
	numbers := report.Numbers{"ess": weights.Size, "residual_sd": residual, "log_z_error": math.Abs(weights.LogZ - e.LogZ)}
	if t.of.Law != nil {
		at := make([]float64, c.Cols)
		batch.Widen(at, batch.Row(c, 0))
		law, err := t.of.Law(at)
		if err != nil {
			return nil, draw.Points, err
		}
		held := law.Sample(5000, random.New(by.Seed, "held out", i))
		if numbers["uvp_percent"], err = metric.PotentialUVP(given.Evaluator, law.ConjugateMoment(), held); err != nil {
			return nil, draw.Points, err
		}
	}
	return numbers, draw.Points, nil
}

// frameOf is a box about points of the plane, with a margin of a deviation.
func frameOf(x blas32.General) figure.Box {
	mean, cov := batch.Moments(x)
	lo, hi := append([]float64(nil), mean...), append([]float64(nil), mean...)
	for i := range x.Rows {
		for k, v := range batch.Row(x, i) {
			lo[k], hi[k] = min(lo[k], float64(v)), max(hi[k], float64(v))
		}
	}
	sd := func(k int) float64 { return math.Sqrt(mat.Symmetric(cov).At(k, k)) / 2 }
	return figure.Box{MinX: lo[0] - sd(0), MaxX: hi[0] + sd(0), MinY: lo[1] - sd(1), MaxY: hi[1] + sd(1)}
}
