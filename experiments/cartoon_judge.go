package experiments

import (
	"fmt"

	"cmf/data"
	"cmf/solvers"

	"gonum.org/v1/gonum/blas/blas32"
)

// judgeCartoons measures model, Gaussian fit and the data's own floor against
// held-out pictures.
func judgeCartoons(r *Run, set *data.Pictures, model, gaussian blas32.General, seed uint64) error {
	n := model.Rows
	test, train := spread(set.Test, n), spread(set.Train, n)
	for _, m := range []struct {
		x, remembered blas32.General
		into          Numbers
	}{{model, model, r.Report.Metrics}, {gaussian, gaussian, r.Report.Baseline}, {train, test, r.Report.Floor}} {
		var err error
		if m.into["energy_distance"], err = EnergyDistance(m.x, test); err != nil {
			return err
		}
		own, others, err := NearestNeighbourShares(m.x, test)
		if err != nil {
			return err
		}
		m.into["nn_accuracy"] = (own + others) / 2
		m.into["nn_share_generated"], m.into["nn_share_data"] = own, others
		// The same directions for all three.
		if m.into["sliced_w2"], err = SlicedW2(m.x, test, 256, solvers.NewStream(seed, "sliced W2", 0).Rand); err != nil {
			return err
		}
		// Training pictures are their own nearest ones.
		distances, _, err := NearestDistance(m.remembered, set.Train)
		if err != nil {
			return err
		}
		var mean float64
		for _, v := range distances {
			mean += v / float64(len(distances))
		}
		m.into["nearest_training_distance"] = mean
	}
	r.Report.Notes = append(r.Report.Notes, "The baseline is a Gaussian of full covariance fitted to the same transformed pixels; the floor compares training with held-out pictures. All numbers are in pixels.")
	r.Page.Headline = []Headline{
		{Metric: "energy_distance", Label: "Energy distance", Goal: Lower},
		{Metric: "sliced_w2", Label: "Sliced W₂", Goal: Lower},
		{Metric: "nn_accuracy", Label: "1-NN two-sample accuracy", Goal: Nearer, Target: .5},
		{Metric: "nn_share_generated", Label: "— share of generated with a generated neighbour", Goal: Nearer, Target: .5},
		{Metric: "nn_share_data", Label: "— share of data with a data neighbour", Goal: Nearer, Target: .5},
		{Metric: "nearest_training_distance", Label: "Distance to the nearest training picture", Goal: Nearer, Target: r.Report.Floor["nearest_training_distance"]},
	}
	return nil
}

// cartoonTiles lays pictures of that side out in a grid.
func cartoonTiles(side int) func(title string, x blas32.General) Tiles {
	return func(title string, x blas32.General) Tiles {
		return Tiles{Title: title, Pixels: rows(x, 0, min(64, x.Rows)), Height: side, Width: side, Columns: 8, Scale: 2}
	}
}

// drawCartoons draws data, Gibbs samples, generated pictures and the Gaussian fit
// side by side.
func drawCartoons(r *Run, set *data.Pictures, gibbs, faces, gaussian blas32.General) error {
	tiles := cartoonTiles(set.Side)
	name := "Cartoon Set"
	if set.StandIn {
		name = "stand-in faces"
	}
	err := DrawTiles(r.path("grid.png"),
		tiles("data: "+name, spread(set.Test, 64)),
		tiles("Gibbs samples", greyed(gibbs)),
		tiles("generated", faces),
		tiles("Gaussian fit", gaussian))
	if err != nil {
		return err
	}
	r.LeadFigure("grid.png", "Held-out pictures ("+name+"); samples y of the Gibbs factor 𝔓_w, each value in units of its deviation; generated pictures ∇w*(y); samples of a Gaussian fit.")
	r.Page.Summary = fmt.Sprintf("CMFGen on %s at %d×%d×3: one convex potential gives the noise and the map to pictures.", name, set.Side, set.Side)
	return nil
}
