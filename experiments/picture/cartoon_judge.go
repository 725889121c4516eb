package picture

import (
	"context"
	"fmt"

	"cmf/data/images"
	"cmf/experiments/figure"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// JudgeCartoons measures the model, the Gaussian fit and the floor against held-out
// pictures.
func JudgeCartoons(ctx context.Context, r *run.Run, set *images.Pictures, model, gaussian blas32.General, seed uint64) error {
	n := model.Rows
	test, train := Spread(set.Test, n), Spread(set.Train, n)
	for _, m := range []struct {
		x, remembered blas32.General
		into          report.Numbers
	}{{model, model, r.Report.Metrics}, {gaussian, gaussian, r.Report.Baseline}, {train, test, r.Report.Floor}} {
		// The nearest training picture of a training picture is itself.
		if err := judgePictures(ctx, m.x, m.remembered, test, set.Train, seed, m.into); err != nil {
			return err
		}
	}
	r.Report.Notes = append(r.Report.Notes, "The baseline is a Gaussian with full covariance fitted in the same space; the floor compares training with held-out pictures. All numbers are in pixels.")
	r.Page.Headline = []report.Headline{
		{Metric: "energy_distance", Label: "Energy distance", Goal: report.Lower},
		{Metric: "sliced_w2", Label: "Sliced W₂", Goal: report.Lower},
		{Metric: "nn_accuracy", Label: "1-NN two-sample accuracy", Goal: report.Nearer, Target: .5},
		{Metric: "nn_share_generated", Label: "— share of generated points whose neighbour is generated", Goal: report.Nearer, Target: .5},
		{Metric: "nn_share_data", Label: "— share of data points whose neighbour is data", Goal: report.Nearer, Target: .5},
		{Metric: "nearest_training_distance", Label: "Distance to the nearest training picture", Goal: report.Nearer, Target: r.Report.Floor["nearest_training_distance"]},
	}
	return nil
}

// JudgeBeside measures pictures of another law, after JudgeCartoons.
func JudgeBeside(ctx context.Context, r *run.Run, name, title string, pictures, held, train blas32.General, seed uint64) error {
	c := report.Column{Name: name, Title: title, Metrics: report.Numbers{}}
	err := judgePictures(ctx, pictures, pictures, Spread(held, pictures.Rows), train, seed, c.Metrics)
	r.Report.Beside = append(r.Report.Beside, c)
	return err
}

// judgePictures measures x against held-out pictures, and how near those that might be
// remembered are to the pictures of train.
func judgePictures(ctx context.Context, x, remembered, held, train blas32.General, seed uint64, into report.Numbers) error {
	if err := comparePictures(x, held, into); err != nil {
		return err
	}
	var err error
	// All laws use the same directions.
	if into["sliced_w2"], err = metric.SlicedW2(x, held, 256, random.New(seed, "sliced W2", 0)); err != nil {
		return err
	}
	into["nearest_training_distance"], err = meanNearest(ctx, remembered, train)
	return err
}

// PictureTiles arranges pictures of side × side pixels in a grid.
func PictureTiles(side int) func(title string, x blas32.General) figure.Tiles {
	return func(title string, x blas32.General) figure.Tiles {
		return figure.Tiles{Title: title, Pixels: batch.First(x, 64), Height: side, Width: side, Columns: 8, Scale: 2}
	}
}

// DrawCartoons draws the grids of Figure 5.
func DrawCartoons(r *run.Run, set *images.Pictures, gibbs, faces, gaussian blas32.General) error {
	name := "the Cartoon Set"
	if set.StandIn {
		name = "stand-in faces"
	}
	return figure5{fmt.Sprintf("%s, %d×%d×3", name, set.Side, set.Side), "pictures", PictureTiles(set.Side), set.Test, gibbs, faces, gaussian}.draw(r)
}
