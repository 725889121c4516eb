package experiments

import (
	"context"
	"fmt"
	"math"

	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/ranks"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Toy2DConfig configures the experiment toy2d.
type Toy2DConfig struct {
	config.Core
	config.Bank
	config.Generation
	Dataset  string  `default:"moons" desc:"circles, moons, s-curve, 8gaussians, pinwheel, spirals, swissroll, checkerboard, rings, two-densities, or a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather) of two columns"`
	Baseline string  `default:"fit" oneof:"fit,icnn" desc:"baseline: fit (a Gaussian fitted to the points) or icnn (the same network with noise N(0, I), trained as long)"`
	Points   int     `default:"100000" range:"100..10000000" desc:"points of a named set to learn from"`
	Spread   float64 `default:"30" range:"1..100" desc:"sharpness of the first hinges: standard deviation of each pre-activation over the data"`
	Samples  int     `default:"2048" range:"64..4096" desc:"points to generate and to judge in each repeat"`
	Repeats  int     `default:"3" range:"1..20" desc:"pairs of samples over which metrics are averaged; fewer if a file has too few points"`
}

// Validate checks the loss.
func (c *Toy2DConfig) Validate() error { return fit.CheckLoss(&c.Core, false) }

// Adapt sets the defaults that suit the network: quadratics start near the data.
func (c *Toy2DConfig) Adapt(env config.Environment) {
	c.Core.Adapt(env)
	if config.Quadratics(env) {
		c.Steps, c.Mixing = min(c.Steps, 1000), min(c.Mixing, 100)
	}
}

// Toy2D is Figure 4's experiment: CMFGen on points in the plane, compared with a Gaussian fit,
// or a network with Gaussian noise, and with the floor.
var Toy2D = run.Definition[Toy2DConfig]{
	Name: "toy2d",
	Presets: map[string]func(*Toy2DConfig){
		"quick": func(c *Toy2DConfig) {
			c.Steps, c.LR, c.Hidden, c.Samples, c.Repeats, c.Mixing = 600, .1, config.Widths{64, 64}, 1024, 1, 100
		},
		"default": func(c *Toy2DConfig) {
			c.Steps, c.Hidden, c.LR, c.Particles = 4000, config.Widths{64, 64, 64}, 5e-2, 8192
		},
		"paper": func(c *Toy2DConfig) {
			c.Steps, c.Batch, c.Hidden, c.LR = 50000, 1024, config.Widths{64, 64, 64, 64}, 2e-2
		},
	},
	Do: doToy2D,
}

func doToy2D(ctx context.Context, r *run.Run, c *Toy2DConfig) error {
	p, err := loadPlane(r, c)
	if err != nil {
		return fmt.Errorf("CMF_DATASET=%s: %w", c.Dataset, err)
	}
	r.Report.Data = fmt.Sprintf("%s, %d points to learn from, %d × %d held out", p.name, p.train.Rows, 2*len(p.held), p.samples())
	law, err := exact.FitGaussian(p.train, 0)
	if err != nil {
		return fmt.Errorf("CMF_DATASET=%s: its points must not lie on a line: %w", c.Dataset, err)
	}
	film := figure.NewFilm(figure.BoxOf([]figure.Scene{{Clouds: []figure.Cloud{{Points: p.learning(p.held[0].truth)}}}}), p.learning(p.held[0].truth))
	model, draw, err := p.learn(ctx, r, c, law, "", film)
	if err != nil || model == nil {
		return err
	}
	if err := r.SaveSamples(p.original(draw.Points)); err != nil {
		return err
	}
	other := figure.Scene{Title: "Gaussian fit", Clouds: []figure.Cloud{{Name: "generated", Points: law.Sample(p.samples()*len(p.held), random.New(c.Seed, "Gaussian fit", 0))}}}
	if c.Baseline == "icnn" {
		_, drawn, err := p.learn(ctx, r, c, law, "baseline", nil)
		if err != nil || drawn == nil {
			return err
		}
		other = figure.Scene{Title: "from N(0, I)", Clouds: []figure.Cloud{{Name: "generated", Points: drawn.Points}}}
	}
	r.Progress.Log.Info("judging", "pairs of samples", len(p.held), "points", p.samples())
	if err := p.judge(ctx, r, draw.Points, other.Clouds[0].Points); err != nil {
		return err
	}
	draw.Report(r)
	for _, name := range []string{"w2", "energy_distance"} {
		b := run.Bound{Metric: name, Label: map[string]string{"w2": "distance W2", "energy_distance": "energy distance"}[name]}
		if c.Baseline == "fit" {
			b.Baseline, b.Margin = "the Gaussian fit", 3*math.Abs(r.Report.Floor[name])
		}
		r.Judge(b)
	}
	missed, err := metric.MissedParts(p.held[0].truth, p.original(draw.Points))
	if err != nil {
		return err
	}
	for _, part := range missed {
		r.Warn("%s", part.String([]string{"x", "y"}[part.Column]))
	}
	other.Clouds[0].Points = batch.Rows(other.Clouds[0].Points, 0, p.samples())
	return p.draw(ctx, r, model, draw, other, film)
}

// learn fits a network to the points and generates as many points as are judged. The fit named
// baseline has the noise N(0, I). If the fit is interrupted, it returns nil.
func (p *planar) learn(ctx context.Context, r *run.Run, c *Toy2DConfig, law *exact.Gaussian, name string, film *figure.Film) (*fit.Model, *fit.Draw, error) {
	core := c.Core
	if name == "baseline" {
		core.Source = config.SourceGaussian
	}
	// Bridges between parts of the data are as wide as τ over the length of the jump.
	w, err := c.Network(layers.Architecture{Dim: 2, Hidden: c.Hidden, Unit: c.Unit}, layers.Architecture{Pieces: 64, Tau: .004})
	if err != nil {
		return nil, nil, err
	}
	problem := fit.Problem{
		Name:      name,
		Potential: w,
		// Separate parts of the data need almost no curvature between them, so hardly any is
		// fixed, and edges need sharp hinges.
		Start:        layers.Start{Law: law, Share: .1, Fixed: .05, Spread: c.Spread, Balanced: true},
		Train:        p.train,
		Units:        units.Affine{Center: p.center[:], Scale: []float64{p.scale, p.scale}},
		Particles:    c.Particles,
		Langevin:     c.Langevin,
		Tolerance:    1e-3,
		Decay:        1 - 15/float64(max(c.Steps, 150)), // over the last fifteenth
		Precondition: true,
	}
	if c.Potential == layers.NetworkQuadratics {
		problem.Decay = 1 - 4/float64(max(c.Steps, 40)) // the masses of its pieces follow each minibatch
	}
	if film != nil {
		problem.Watch, problem.WatchEvery = p.watch(r, film), max(1, c.Steps/figure.FilmSteps)
	}
	model, err := fit.Fit(ctx, r, &core, problem)
	if err != nil || !model.Finished {
		return nil, nil, err
	}
	draw, err := model.Draw(ctx, len(p.held)*p.samples(), c.Mixing, random.New(c.Seed, "generation", 0))
	return model, draw, err
}

// watch films the bank of particles and follows the distance of the particles' images from
// the data.
func (p *planar) watch(r *run.Run, film *figure.Film) func(m *fit.Model) (report.Numbers, error) {
	return func(m *fit.Model) (report.Numbers, error) {
		film.See(m.State.Step, m.State.Bank.Y, m.State.Partners)
		r.Glimpse(film.Last(), "The particles y, and their images ∇w*(y) over the data (grey).")
		v, err := metric.SlicedW2(p.original(m.State.Partners), p.held[0].truth, 32, random.New(1, "watch", 0))
		return report.Numbers{"sliced_w2": v}, err
	}
}

// judge measures generated points, those of the baseline, and the floor; all in the units of
// the data.
func (p *planar) judge(ctx context.Context, r *run.Run, model, baseline blas32.General) error {
	n := p.samples()
	floor := batch.New(n*len(p.held), 2)
	for k, pair := range p.held {
		copy(floor.Data[2*n*k:], pair.other.Data[:2*n])
	}
	laws := []struct {
		points blas32.General
		into   report.Numbers
	}{
		{p.original(model), r.Report.Metrics},
		{p.original(baseline), r.Report.Baseline},
		{floor, r.Report.Floor},
	}
	pairs := len(p.held)
	values, err := ranks.Dealt(ranks.New(r.World), len(distances)*len(laws)*pairs, func(i int) (float64, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		d, law, k := distances[i/(len(laws)*pairs)], laws[i/pairs%len(laws)], i%pairs
		v, err := d.of(batch.Rows(law.points, k*n, (k+1)*n), p.held[k].truth)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", d.name, err)
		}
		return v, nil
	})
	if err != nil {
		return err
	}
	for i, v := range values {
		laws[i/pairs%len(laws)].into[distances[i/(len(laws)*pairs)].name] += v / float64(pairs)
	}
	for _, law := range laws {
		if p.support != nil {
			law.into["off_support"] = p.offSupport(law.points)
		}
	}
	r.Page.Headline = []report.Headline{
		{Metric: "w2", Label: fmt.Sprintf("W2, exact, between %d points", n), Goal: report.Lower},
		{Metric: "energy_distance", Label: "Energy distance", Goal: report.Lower},
		{Metric: "sliced_w2", Label: "Sliced W2", Goal: report.Lower},
		{Metric: "sinkhorn", Label: "Sinkhorn divergence", Goal: report.Lower},
		{Metric: "nn_accuracy", Label: "1-NN two-sample accuracy", Goal: report.Nearer, Target: .5},
	}
	if p.support != nil {
		r.Page.Headline = append(r.Page.Headline, report.Headline{Metric: "off_support", Label: "Share of points off the support", Goal: report.Lower})
	}
	return nil
}

// distances compare the sample x with a sample y of the same size.
var distances = []struct {
	name string
	of   func(x, y blas32.General) (float64, error)
}{
	{"w2", metric.ExactW2},
	{"energy_distance", metric.EnergyDistance},
	{"sliced_w2", func(x, y blas32.General) (float64, error) {
		return metric.SlicedW2(x, y, 256, random.New(1, "directions", 0))
	}},
	{"sinkhorn", metric.SinkhornDivergence},
	{"nn_accuracy", metric.NearestNeighbourAccuracy},
}
