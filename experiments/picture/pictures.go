package picture

import (
	"context"
	"fmt"
	"maps"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/metric"
	"cmf/experiments/ranks"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/stat"
)

// figure5 is the content of Figure 5 for pictures, in pixels except for the Gibbs samples.
type figure5 struct {
	name, kind                       string
	tiles                            func(title string, pixels blas32.General) figure.Tiles
	held, gibbs, generated, gaussian blas32.General
}

// draw draws the grids side by side.
func (g figure5) draw(r *run.Run) error {
	title, noise, summary := "Gibbs samples", "samples y of the Gibbs factor 𝔓_w", "one convex potential gives the noise and the map"
	if r.Report.Config["CMF_SOURCE"] == string(config.SourceGaussian) {
		title, noise, summary = "noise", "noise y ~ N(0, I)", "a convex potential gives the map from N(0, I)"
	}
	err := figure.DrawTiles(r.Path("grid.png"),
		g.tiles("data: "+g.name, Spread(g.held, 64)),
		g.tiles(title, greyed(g.gibbs)),
		g.tiles("generated", g.generated),
		g.tiles("Gaussian fit", g.gaussian))
	if err != nil {
		return err
	}
	r.LeadFigure("grid.png", fmt.Sprintf("Held-out %s (%s); %s, each value in units of its standard deviation; generated %[1]s ∇w*(y); samples of a Gaussian fit.", g.kind, g.name, noise))
	r.Page.Summary = fmt.Sprintf("CMFGen on %s: %s to %s.", g.name, summary, g.kind)
	return nil
}

// sample is pictures of a law that are measured.
type sample struct {
	pictures   blas32.General
	remembered blas32.General // those whose distance to training pictures is measured
	into       report.Numbers
}

// measure measures samples in several ways, and their distance to the pictures of train. Ranks
// share the work.
func measure(ctx context.Context, g *ranks.Group, samples []sample, train blas32.General, ways ...func(x blas32.General) (report.Numbers, error)) error {
	n := len(samples)
	all, err := ranks.Dealt(g, n*len(ways), func(k int) (report.Numbers, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return ways[k/n](samples[k%n].pictures)
	})
	if err != nil {
		return err
	}
	for k, numbers := range all {
		maps.Copy(samples[k%n].into, numbers)
	}
	for _, s := range samples {
		if s.into["nearest_training_distance"], err = meanNearest(ctx, g, s.remembered, train); err != nil {
			return err
		}
	}
	return nil
}

// energyTo measures pictures against equally many held-out ones, both in pixels.
func energyTo(held blas32.General) func(x blas32.General) (report.Numbers, error) {
	return func(x blas32.General) (report.Numbers, error) {
		v, err := metric.EnergyDistance(x, held)
		return report.Numbers{"energy_distance": v}, err
	}
}

// neighboursIn is energyTo for the kinds of nearest neighbours.
func neighboursIn(held blas32.General) func(x blas32.General) (report.Numbers, error) {
	return func(x blas32.General) (report.Numbers, error) {
		own, others, err := metric.NearestNeighbourShares(x, held)
		return report.Numbers{"nn_accuracy": (own + others) / 2, "nn_share_generated": own, "nn_share_data": others}, err
	}
}

// meanNearest is the mean distance of pictures to the nearest picture of train.
func meanNearest(ctx context.Context, g *ranks.Group, x, train blas32.General) (float64, error) {
	var distances []float64
	err := g.Spread(x.Rows, nil, func(from, to int, _ *random.Stream) (err error) {
		distances, _, err = metric.NearestDistance(ctx, batch.Rows(x, from, to), train)
		return err
	})
	if err != nil {
		return 0, err
	}
	return stat.Mean(g.Joined64(x.Rows, distances), nil), nil
}
