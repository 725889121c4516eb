package experiments

import (
	"fmt"
	"math"
	"path/filepath"

	"cmf/data/units"
	"cmf/experiments/picture"
	"cmf/experiments/table"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// pointSet is the law of a folder's pictures, split, in logits of their pixels.
type pointSet struct {
	name  string
	units units.Units
	form  units.Form

	// The rows are in random order. The law has smoothing noise.
	train, held blas32.General
	law         *exact.Gaussian // fitted to train
}

// loadSet splits the pictures x of CMF_DATA_FILE.
func (c *SamplesConfig) loadSet(x blas32.General, form units.Form) (_ *pointSet, err error) {
	n, d := x.Rows, x.Cols
	if least := max(200, 2*d); n < least || d < 1 || d > table.MaxDim {
		return nil, fmt.Errorf("it has %d rows of %d coordinates; needed are at least max(200, 2·coordinates) = %d rows, and 1 to %d coordinates", n, d, least, table.MaxDim)
	}
	u := units.Pixels{Alpha: c.Alpha}
	s := &pointSet{name: filepath.Base(c.DataFile), form: form, units: u}
	if x, err = u.Dequantised(x, random.New(c.Seed, "dequantisation", 0)); err != nil {
		return nil, err
	}
	picture.AddNoise(x, c.Noise, random.New(c.Seed, "smoothing", 0))
	order := random.New(c.Seed, "held out", 0).Perm(n)
	held := max(32, int(math.Round(c.Holdout*float64(n))))
	s.held, s.train = batch.Gathered(x, order[:held]), batch.Gathered(x, order[held:])
	if err := table.CheckRank(s.train, s.form); err != nil {
		return nil, err
	}
	s.law, err = exact.FitGaussian(s.train, 0)
	return s, err
}
