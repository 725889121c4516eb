package experiments

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"cmf/data"
	"cmf/data/table"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// planar is a law of points in the plane, with what is needed to judge samples of it.
type planar struct {
	name    string
	train   blas32.General // in the units of learning
	held    []heldPair
	support func(x, y float64) bool // in the units of the data; nil if unknown

	// A point z in the units of learning is center + scale·z in the data's.
	center [2]float64
	scale  float64
}

// heldPair is two independent samples of the law of the same size, in the units of the data:
// models are judged by the first, and the floor is the distance between both.
type heldPair struct{ truth, other blas32.General }

// loadPlane draws from the set, or reads the file, of CMF_DATASET.
func loadPlane(r *run.Run, c *Toy2DConfig) (*planar, error) {
	if table.IsFile(c.Dataset) {
		t, notes, err := table.Read(c.Dataset, table.Options{})
		if err != nil {
			return nil, err
		}
		r.Inferred(c.Dataset, notes)
		points, err := t.Batch()
		if err != nil {
			return nil, err
		}
		return planeOf(points, c)
	}
	set, err := data.Toy(c.Dataset)
	if err != nil {
		return nil, fmt.Errorf("%w, or a table (.csv, .tsv, .txt, .npy, .npz, .parquet, .arrow, .feather)", err)
	}
	draw := func(purpose string, index, n int) blas32.General {
		return set.Sample(random.New(c.Seed, purpose, uint64(index)), n)
	}
	p := &planar{name: set.Name(), train: draw("points", 0, c.Points), support: set.InSupport, scale: 1}
	for k := range c.Repeats {
		p.held = append(p.held, heldPair{draw("held out", k, c.Samples), draw("floor", k, c.Samples)})
	}
	return p, nil
}

// planeOf holds out up to half of a file's points, in random order. It centres the others and
// scales them to a mean variance of 1 per coordinate, because the method does not know units.
func planeOf(points blas32.General, c *Toy2DConfig) (*planar, error) {
	const least = 400
	if points.Cols != 2 || points.Rows < least {
		return nil, fmt.Errorf("its shape is (%d, %d); it must be (n, 2) with n at least %d", points.Rows, points.Cols, least)
	}
	if mean := batch.Means(points); !batch.AllFinite(mean) {
		for i := range points.Rows {
			if x := batch.Row(points, i); !batch.AllFinite([]float64{float64(x[0]), float64(x[1])}) {
				return nil, fmt.Errorf("row %d is (%g, %g); it must be finite", i+1, x[0], x[1])
			}
		}
	}
	order := random.New(c.Seed, "held out", 0).Perm(points.Rows)
	take := func(n int) blas32.General {
		out := batch.New(n, 2)
		for i, j := range order[:n] {
			copy(batch.Row(out, i), batch.Row(points, j))
		}
		order = order[n:]
		return out
	}
	n := min(c.Samples, points.Rows/4)
	p := &planar{name: filepath.Base(c.Dataset)}
	for range min(c.Repeats, points.Rows/(4*n)) {
		p.held = append(p.held, heldPair{take(n), take(n)})
	}
	rest := take(len(order))
	mean, cov := batch.Moments(rest)
	p.center, p.scale = [2]float64{mean[0], mean[1]}, math.Sqrt((cov.At(0, 0)+cov.At(1, 1))/2)
	if !(p.scale >= 1e-30 && p.scale <= 1e30) {
		if p.scale == 0 {
			return nil, errors.New("its points do not vary: they are one point, repeated")
		}
		return nil, fmt.Errorf("its points have the standard deviation %g; it must be from 1e-30 to 1e30", p.scale)
	}
	p.train = p.learning(rest)
	return p, nil
}

// samples is the number of points of a judged sample.
func (p *planar) samples() int { return p.held[0].truth.Rows }

// learning converts a copy of points from the units of the data to those of learning.
func (p *planar) learning(x blas32.General) blas32.General {
	out := batch.New(x.Rows, 2)
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			out.Data[2*i+j] = float32((float64(v) - p.center[j]) / p.scale)
		}
	}
	return out
}

// original converts a copy of points from the units of learning to those of the data.
func (p *planar) original(x blas32.General) blas32.General {
	out := batch.New(x.Rows, 2)
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			out.Data[2*i+j] = float32(p.center[j] + p.scale*float64(v))
		}
	}
	return out
}

// offSupport is the share of points off the support.
func (p *planar) offSupport(x blas32.General) float64 {
	off := 0
	for i := range x.Rows {
		if at := batch.Row(x, i); !p.support(float64(at[0]), float64(at[1])) {
			off++
		}
	}
	return float64(off) / float64(x.Rows)
}
