package picture

import (
	"context"
	"fmt"
	"math"

	"cmf/data"
	"cmf/experiments/figure"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// NoiseStudy compares the Gibbs factor with N(0, I) as noise models for pictures.
type NoiseStudy struct {
	Gibbs  blas32.General // y ~ 𝔓_w, (n, d)
	Data   blas32.General // a sample of ρ in the model's units, (m, d)
	Pixels func(x blas32.General) (blas32.General, error)
	Tiles  func(title string, pixels blas32.General) figure.Tiles
	Seed   uint64
}

// Report saves gibbs.npy, moves and scales both noises to the data's mean and total
// variance, measures how far each is from the data, and draws both.
func (s NoiseStudy) Report(ctx context.Context, r *run.Run) error {
	if err := data.WriteNPY(r.Path("gibbs.npy"), s.Gibbs); err != nil {
		return fmt.Errorf("gibbs.npy: %w", err)
	}
	// Each half of the data is every other row, so that both halves are alike.
	n := min(s.Gibbs.Rows, s.Data.Rows/2)
	both := Spread(s.Data, 2*n)
	reference, other := batch.EveryOther(both, 0), batch.EveryOther(both, 1)
	white := batch.New(n, s.Data.Cols)
	random.New(s.Seed, "white noise", 0).Normals(white.Data)
	gibbs := matched(batch.Rows(s.Gibbs, 0, n), reference)
	white = matched(white, reference)
	for _, m := range []struct {
		x    blas32.General
		into report.Numbers
	}{{gibbs, r.Report.Metrics}, {white, r.Report.Baseline}, {other, r.Report.Floor}} {
		err := ctx.Err()
		if err != nil {
			return err
		}
		if m.into["noise_energy_distance"], err = metric.EnergyDistance(m.x, reference); err != nil {
			return err
		}
	}
	r.Page.Headline = append(r.Page.Headline, report.Headline{
		Metric: "noise_energy_distance", Goal: report.Lower,
		Label: "Noise with the data's mean and total variance: energy distance to the data (baseline: N(0, I))",
	})
	var grids []figure.Tiles
	for _, g := range []struct {
		title string
		x     blas32.General
	}{{"data", reference}, {"Gibbs factor", gibbs}, {"N(0, I)", white}} {
		p, err := s.Pixels(batch.Rows(g.x, 0, min(64, n)))
		if err != nil {
			return err
		}
		grids = append(grids, s.Tiles(g.title, p))
	}
	if err := figure.DrawTiles(r.Path("noise.png"), grids...); err != nil {
		return err
	}
	r.AddFigure("noise.png", "Data in the model's units; the Gibbs factor 𝔓_w and N(0, I), each moved and scaled to the data's mean and total variance, as pictures.")
	return nil
}

// matched is x shifted to the mean of data and scaled to its total variance.
func matched(x, data blas32.General) blas32.General {
	from, to := batch.Means(x), batch.Means(data)
	scale := math.Sqrt(batch.TotalVariance(data, to) / batch.TotalVariance(x, from))
	out := batch.New(x.Rows, x.Cols)
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			batch.Row(out, i)[j] = float32(to[j] + scale*(float64(v)-from[j]))
		}
	}
	return out
}
