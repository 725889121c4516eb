package picture

import (
	"context"
	"fmt"

	"cmf/data/images"
	"cmf/experiments/figure"
	"cmf/experiments/metric"
	"cmf/experiments/ranks"
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
	// The nearest training picture of a training picture is itself.
	samples := []sample{{model, model, r.Report.Metrics}, {gaussian, gaussian, r.Report.Baseline}, {train, test, r.Report.Floor}}
	if err := judgePictures(ctx, r, samples, test, set.Train, seed); err != nil {
		return err
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
	err := judgePictures(ctx, r, []sample{{pictures, pictures, c.Metrics}}, Spread(held, pictures.Rows), train, seed)
	r.Report.Beside = append(r.Report.Beside, c)
	return err
}

// judgePictures measures samples against held-out pictures, and how near those that might be
// remembered are to the pictures of train.
func judgePictures(ctx context.Context, r *run.Run, samples []sample, held, train blas32.General, seed uint64) error {
	return measure(ctx, ranks.New(r.World), samples, train, energyTo(held), neighboursIn(held), func(x blas32.General) (report.Numbers, error) {
		v, err := metric.SlicedW2(x, held, 256, random.New(seed, "sliced W2", 0)) // all laws use the same directions
		return report.Numbers{"sliced_w2": v}, err
	})
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
