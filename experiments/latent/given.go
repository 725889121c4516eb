package latent

import (
	"context"
	"slices"

	"cmf/experiments/fit"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Classes are the classes of pictures, as contexts: each row has a 1 at its class and else 0.
type Classes struct {
	Train blas32.General // of the pictures of Set.Train
	Held  blas32.General // of those of Held
	Asked blas32.General // of those to generate
}

// OneHot are labels from 0 to classes−1 as contexts.
func OneHot(labels []uint8, classes int) blas32.General {
	c := batch.New(len(labels), classes)
	for i, k := range labels {
		batch.Row(c, i)[k] = 1
	}
	return c
}

// draw draws the pictures of the study: of the classes asked for, if it has classes.
func (s *Study) draw(ctx context.Context, m *fit.Model, stream string) (*fit.Draw, error) {
	rng := random.New(s.Core.Seed, stream, 0)
	if s.Given.Train.Cols == 0 {
		return m.Draw(ctx, s.Count, s.Mixing, rng)
	}
	given, err := m.Given(ctx, s.Given.Asked, random.New(s.Core.Seed, stream+", particles", 0))
	if err != nil {
		return nil, err
	}
	draw, err := given.Draw(ctx, s.Count, s.Mixing, rng)
	if err == nil {
		delete(draw.Checks, "r_hat") // chains of different classes differ in their laws
	}
	return draw, err
}

// pairs are the rows of Held between which walks go, two for each: of one class, if there
// are classes.
func (s *Study) pairs() (rows []int) {
	if s.Given.Train.Cols == 0 {
		for i := range 2 * walks {
			rows = append(rows, i)
		}
		return rows
	}
	for class := range s.Given.Held.Cols {
		var of []int
		for i := 0; i < s.Held.Rows && len(of) < 2; i++ {
			if batch.Row(s.Given.Held, i)[class] == 1 {
				of = append(of, i)
			}
		}
		if len(of) == 2 {
			rows = append(rows, of...)
		}
	}
	return rows
}

// at is the model given the classes of the listed held-out pictures, each for as many rows
// as times says, or the model itself if there are no classes.
func (s *Study) at(ctx context.Context, held []int, times int) (*fit.Model, error) {
	if s.Given.Train.Cols == 0 {
		return s.Model, nil
	}
	rows := make([]int, 0, len(held)*times)
	for _, i := range held {
		rows = append(rows, slices.Repeat([]int{i}, times)...)
	}
	return s.Model.Given(ctx, batch.Gathered(s.Given.Held, rows), random.New(s.Core.Seed, "walks", 0))
}

// sameNoise are the pictures of every class, side by side, from the same noise: the first
// draws of it, one in each row.
func (s *Study) sameNoise(ctx context.Context) (blas32.General, error) {
	classes := s.Given.Train.Cols
	n := min(walks, s.Draw.Gibbs.Rows)
	y, contexts := batch.New(n*classes, s.Draw.Gibbs.Cols), batch.New(n*classes, classes)
	for i := range y.Rows {
		copy(batch.Row(y, i), batch.Row(s.Draw.Gibbs, i/classes))
		batch.Row(contexts, i)[i%classes] = 1
	}
	m, err := s.Model.Given(ctx, contexts, random.New(s.Core.Seed, "walks", 0))
	if err != nil {
		return y, err
	}
	x, _, err := m.Map(ctx, y)
	return x, err
}
