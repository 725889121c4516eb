package experiments

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cmf/data"
	"cmf/data/images"
	"cmf/data/units"
	"cmf/experiments/picture"
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

// maxDim limits d: the preconditioner and a trained quadratic each need d² numbers.
const maxDim = 1024

// loadPoints reads a file .npy or .csv, or a folder of PNG files. The form says which of
// these the points are.
func loadPoints(path string) (x blas32.General, f units.Form, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return x, f, err
	}
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case info.IsDir():
		x, f.Height, f.Width, err = images.ReadPNGs(path)
	case ext == ".npy":
		x, err = data.ReadNPY(path)
	case ext == ".csv":
		f.Table = true
		if x, err = data.ReadCSV(path); err == nil {
			f.Columns, err = readHeader(path, x.Cols)
		}
	default:
		return x, f, errors.New("give a file .npy or .csv, or a folder of PNG files")
	}
	if err != nil {
		return x, f, err
	}
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			if v-v != 0 {
				return x, f, fmt.Errorf("row %d, column %d is %g (counted from 1); it must be finite", i+1, j+1, v)
			}
		}
	}
	return x, f, nil
}

// readHeader returns the names of a table's columns, or nil if its first line consists of
// numbers.
func readHeader(path string, columns int) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comment, r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = '#', -1, true, true
	names, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("the header of %s: %w", path, err)
	}
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	for k, name := range names {
		names[k] = strings.TrimSpace(name)
		if _, err := strconv.ParseFloat(names[k], 32); err == nil || errors.Is(err, strconv.ErrRange) {
			return nil, nil
		}
	}
	if len(names) != columns {
		return nil, fmt.Errorf("%s: its header names %d columns, but its rows have %d; they must agree", path, len(names), columns)
	}
	return names, nil
}

// loadSet reads, splits and standardises CMF_DATA_FILE.
func (c *SamplesConfig) loadSet() (*pointSet, error) {
	x, form, err := loadPoints(c.DataFile)
	if err != nil {
		return nil, err
	}
	n, d := x.Rows, x.Cols
	if least := max(200, 2*d); n < least || d < 1 || d > maxDim {
		return nil, fmt.Errorf("it has %d rows of %d coordinates; needed are at least max(200, 2·coordinates) = %d rows, and 1 to %d coordinates", n, d, least, maxDim)
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
	if err := s.checkRank(); err != nil {
		return nil, err
	}
	s.law, err = exact.FitGaussian(s.train, 0)
	return s, err
}

// standardise subtracts the mean of the training points and divides every coordinate by its
// standard deviation, or all by the root mean square of these.
func (s *pointSet) standardise(scale string) error {
	d := s.train.Cols
	mean, cov := batch.Moments(s.train)
	u := units.Affine{Center: mean, Scale: make([]float64, d)}
	var square float64
	for j := range d {
		sd := math.Sqrt(cov.At(j, j))
		// A column whose deviation is below a thousand roundings of its mean has too few steps.
		const rounding = 0x1p-24
		switch at := fmt.Sprintf("column %d (%s)", j+1, s.form.Name(j)); {
		case !(sd > 0):
			return fmt.Errorf("%s is %g in all %d rows to learn from; leave it out", at, mean[j], s.train.Rows)
		case math.IsInf(sd, 0) || sd > 1e30 || sd < 1e-30:
			return fmt.Errorf("%s has the standard deviation %g; give it in units in which that is near 1", at, sd)
		case sd < 1000*rounding*math.Abs(mean[j]):
			return fmt.Errorf("%s varies by %g about %g, which float32 can hardly resolve; subtract a constant from it", at, sd, mean[j])
		}
		u.Scale[j] = sd
		square += sd * sd / float64(d)
	}
	if scale == "common" {
		for j := range d {
			u.Scale[j] = math.Sqrt(square)
		}
	}
	s.units = u
	var err error
	if s.train, err = s.units.Learning(s.train); err == nil {
		s.held, err = s.units.Learning(s.held)
	}
	return err
}

// checkRank refuses columns that are linear combinations of others up to rounding, because
// points on a plane have no density.
func (s *pointSet) checkRank() error {
	mean := batch.MeanVariance(s.train)
	ridge := 1e-5 * mean // above the rounding of the covariance
	law, err := exact.FitGaussian(s.train, ridge)
	if err != nil || law.Values[0] > 1.1*ridge {
		return err
	}
	var names []string
	for j := range law.Dim() {
		if math.Abs(law.Vectors.At(j, 0)) > .1 {
			names = append(names, fmt.Sprintf("%d (%s)", j+1, s.form.Name(j)))
		}
	}
	if len(names) == 1 {
		return fmt.Errorf("column %s varies much less than the others; use CMF_SCALE=each, which divides each column by its own standard deviation", names[0])
	}
	return fmt.Errorf("the columns %s depend on each other linearly: a combination of them has less than 1e-6 of the variance of a column; leave one out", strings.Join(names, ", "))
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
