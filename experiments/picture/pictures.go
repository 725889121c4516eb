package picture

import (
	"context"
	"fmt"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"

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

// comparePictures measures pictures against equally many held-out ones, both in pixels.
func comparePictures(x, held blas32.General, into report.Numbers) (err error) {
	if into["energy_distance"], err = metric.EnergyDistance(x, held); err != nil {
		return err
	}
	own, others, err := metric.NearestNeighbourShares(x, held)
	if err != nil {
		return err
	}
	into["nn_accuracy"] = (own + others) / 2
	into["nn_share_generated"], into["nn_share_data"] = own, others
	return nil
}

// meanNearest is the mean distance of pictures to the nearest picture of train.
func meanNearest(ctx context.Context, x, train blas32.General) (float64, error) {
	distances, _, err := metric.NearestDistance(ctx, x, train)
	if err != nil {
		return 0, err
	}
	return stat.Mean(distances, nil), nil
}
