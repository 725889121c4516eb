package experiments

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"cmf/data/units"
	"cmf/experiments/picture"
	"cmf/experiments/table"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// pointSet is the law of a file's points, split, in the units of learning.
type pointSet struct {
	name  string
	units units.Units
	form  units.Form

	// The rows are in random order. With pictures the law has smoothing noise.
	train, held blas32.General
	law         *exact.Gaussian // fitted to train
}

// loadSet splits and standardises the points x of CMF_DATA_FILE.
func (c *SamplesConfig) loadSet(x blas32.General, form units.Form) (_ *pointSet, err error) {
	n, d := x.Rows, x.Cols
	if least := max(200, 2*d); n < least || d < 1 || d > table.MaxDim {
		return nil, fmt.Errorf("it has %d rows of %d coordinates; needed are at least max(200, 2·coordinates) = %d rows, and 1 to %d coordinates", n, d, least, table.MaxDim)
	}
	s := &pointSet{name: filepath.Base(c.DataFile), form: form}
	if form.Picture() {
		u := units.Pixels{Alpha: c.Alpha}
		s.units = u
		if x, err = u.Dequantised(x, random.New(c.Seed, "dequantisation", 0)); err != nil {
			return nil, err
		}
		picture.AddNoise(x, c.Noise, random.New(c.Seed, "smoothing", 0))
	}
	order := random.New(c.Seed, "held out", 0).Perm(n)
	held := max(32, int(math.Round(c.Holdout*float64(n))))
	s.held, s.train = batch.Gathered(x, order[:held]), batch.Gathered(x, order[held:])
	if !form.Picture() {
		if err := s.standardise(c.Scale); err != nil {
			return nil, err
		}
	}
	if err := table.CheckRank(s.train, s.form); err != nil {
		return nil, err
	}
	s.law, err = exact.FitGaussian(s.train, 0)
	return s, err
}

// standardise subtracts the mean of the training points and divides every coordinate by its
// standard deviation, or all by the root mean square of these.
func (s *pointSet) standardise(scale string) error {
	mean, sd, err := table.Deviations(s.train, s.form)
	if err != nil {
		return err
	}
	if scale == "common" {
		table.Equalise(sd)
	}
	s.units = units.Affine{Center: mean, Scale: sd}
	if s.train, err = s.units.Learning(s.train); err == nil {
		s.held, err = s.units.Learning(s.held)
	}
	return err
}

// discrete names the columns with few different values, whose law has no density.
func (s *pointSet) discrete() (names []string) {
	if s.form.Picture() {
		return nil
	}
	for j := range s.train.Cols {
		values := batch.Column(s.train, j)
		slices.Sort(values)
		if k := len(slices.Compact(values)); k <= s.train.Rows/20 && k <= 50 {
			names = append(names, fmt.Sprintf("%s (%d values)", s.form.Name(j), k))
		}
	}
	return names
}
