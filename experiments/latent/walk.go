package latent

import (
	"context"
	"math"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas/blas32"
)

const (
	walks = 8 // pairs of pictures, or principal directions
	stops = 9 // pictures on the way
)

// drawWalks draws the way between pairs of held-out pictures, and the principal directions of
// the noise.
//
// A picture x has the noise y = ∇w(x). Between y₀ and y₁ lie the pictures
// ∇w*((1−t)·y₀ + t·y₁). From the source to the law of the pictures this is one Monge map,
// so that noise in between is likely noise.
func (s *Study) drawWalks(ctx context.Context, r *run.Run, tiles func(title string, pixels blas32.General) figure.Tiles) error {
	if s.Held.Rows < 2*walks {
		return nil
	}
	rows := s.pairs()
	pairs := len(rows) / 2
	m, err := s.at(ctx, rows, 1)
	if err != nil {
		return err
	}
	noise, _, err := m.Back(ctx, batch.Gathered(s.Held, rows))
	if err != nil {
		return err
	}
	way := batch.New(pairs*stops, noise.Cols)
	var firsts []int
	for p := range pairs {
		firsts = append(firsts, rows[2*p])
		for k := range stops {
			t := float32(k) / (stops - 1)
			to := batch.Row(way, p*stops+k)
			for j := range to {
				to[j] = (1-t)*batch.Row(noise, 2*p)[j] + t*batch.Row(noise, 2*p+1)[j]
			}
		}
	}
	if m, err = s.at(ctx, firsts, stops); err != nil {
		return err
	}
	between, _, err := m.Map(ctx, way)
	if err != nil {
		return err
	}
	a := tiles("from a held-out picture to another", between)
	a.Pixels, a.Columns = between, stops // not the first 64 alone
	if s.Given.Train.Cols > 0 {
		return s.drawWalksGiven(ctx, r, a, tiles)
	}
	law, err := exact.FitGaussian(s.Draw.Gibbs, 0)
	if err != nil {
		return err
	}
	d := noise.Cols
	along := batch.New(min(walks, d)*stops, d)
	for p := range min(walks, d) {
		axis := d - 1 - p // eigenvalues ascend
		for k := range stops {
			t := (4*float64(k)/(stops-1) - 2) * math.Sqrt(law.Values[axis])
			for j, to := 0, batch.Row(along, p*stops+k); j < d; j++ {
				to[j] = float32(law.Mean[j] + t*law.Vectors.At(j, axis))
			}
		}
	}
	directions, _, err := s.Model.Map(ctx, along)
	if err != nil {
		return err
	}
	b := tiles("along the noise's principal directions", directions)
	b.Pixels, b.Columns = directions, stops
	if err := figure.DrawTiles(r.Path("walk.png"), a, b); err != nil {
		return err
	}
	source := "the Gibbs factor"
	if s.Core.Source == config.SourceGaussian {
		source = "N(0, I)"
	}
	r.AddFigure("walk.png", "Left: pictures ∇w*((1−t)y₀ + ty₁) between the noises y = ∇w(x) of two held-out pictures, which are first and last, as the autoencoder has them. Right: ∇w*(y) along the principal directions of "+source+", from −2 to 2 standard deviations.")
	return nil
}

// drawWalksGiven draws the ways between pictures of a class, beside the pictures of every
// class that come from the same noise.
func (s *Study) drawWalksGiven(ctx context.Context, r *run.Run, a figure.Tiles, tiles func(title string, pixels blas32.General) figure.Tiles) error {
	same, err := s.sameNoise(ctx)
	if err != nil {
		return err
	}
	b := tiles("the same noise, given each class", same)
	b.Pixels, b.Columns = same, s.Given.Train.Cols
	if err := figure.DrawTiles(r.Path("walk.png"), a, b); err != nil {
		return err
	}
	r.AddFigure("walk.png", "Left: pictures ∇w*((1−t)y₀ + ty₁; c) between the noises y = ∇w(x; c) of two held-out pictures of the class c, which are first and last, as the autoencoder has them. Right: ∇w*(y; c) for each class c, from the same noise y in each row.")
	return nil
}
