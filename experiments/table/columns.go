package table

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cmf/data/units"
	"cmf/solvers/batch"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas/blas32"
)

// Match returns the points x of the form f with their columns in the order of the columns
// of want, d in number. Columns are matched by name if both have names, otherwise by their
// place; moved says that their order was another one. Columns that are missing, too many,
// or named twice are an error that names them.
func Match(want units.Form, d int, x blas32.General, f units.Form) (matched blas32.General, moved bool, err error) {
	if want.Columns == nil || f.Columns == nil {
		if x.Cols != d {
			return x, false, fmt.Errorf("it has %d columns; it must have %d", x.Cols, d)
		}
		return x, false, nil
	}
	for _, names := range [][]string{want.Columns, f.Columns} {
		for j, name := range names {
			if slices.Contains(names[:j], name) {
				return x, false, fmt.Errorf("two columns are called %q; give each its own name", name)
			}
		}
	}
	var wrong []string
	for _, side := range []struct {
		says      string
		has, lack []string
	}{{"it lacks the columns", want.Columns, f.Columns}, {"it has the further columns", f.Columns, want.Columns}} {
		rest := slices.DeleteFunc(slices.Clone(side.has), func(name string) bool { return slices.Contains(side.lack, name) })
		if len(rest) > 0 {
			wrong = append(wrong, fmt.Sprintf("%s %s", side.says, strings.Join(rest, ", ")))
		}
	}
	if wrong != nil {
		return x, false, fmt.Errorf("%s; its columns must be %s, in any order", strings.Join(wrong, " and "), strings.Join(want.Columns, ", "))
	}
	if slices.Equal(want.Columns, f.Columns) {
		return x, false, nil
	}
	matched = batch.New(x.Rows, d)
	for j, name := range want.Columns {
		from := slices.Index(f.Columns, name)
		for i := range x.Rows {
			batch.Row(matched, i)[j] = batch.Row(x, i)[from]
		}
	}
	return matched, true, nil
}

// Deviations are the means and the standard deviations of the columns of x, (n, d). A
// column that does not vary, or too little for float32, is an error that names it.
func Deviations(x blas32.General, f units.Form) (mean, sd []float64, err error) {
	mean, cov := batch.Moments(x)
	sd = make([]float64, x.Cols)
	for j := range sd {
		sd[j] = math.Sqrt(cov.At(j, j))
		// A column whose deviation is below a thousand roundings of its mean has too few steps.
		const rounding = 0x1p-24
		switch at := fmt.Sprintf("column %d (%s)", j+1, f.Name(j)); {
		case !(sd[j] > 0):
			return nil, nil, fmt.Errorf("%s is %g in all %d rows to learn from; leave it out", at, mean[j], x.Rows)
		case math.IsInf(sd[j], 0) || sd[j] > 1e30 || sd[j] < 1e-30:
			return nil, nil, fmt.Errorf("%s has the standard deviation %g; give it in units in which that is near 1", at, sd[j])
		case sd[j] < 1000*rounding*math.Abs(mean[j]):
			return nil, nil, fmt.Errorf("%s varies by %g about %g, which float32 can hardly resolve; subtract a constant from it", at, sd[j], mean[j])
		}
	}
	return mean, sd, nil
}

// Equalise replaces each deviation by the root mean square of all.
func Equalise(sd []float64) {
	var square float64
	for _, v := range sd {
		square += v * v / float64(len(sd))
	}
	for j := range sd {
		sd[j] = math.Sqrt(square)
	}
}

// CheckRank refuses columns that are linear combinations of others up to rounding, because
// points on a plane have no density. x is in the units of learning.
func CheckRank(x blas32.General, f units.Form) error {
	mean := batch.MeanVariance(x)
	ridge := 1e-5 * mean // above the rounding of the covariance
	law, err := exact.FitGaussian(x, ridge)
	if err != nil || law.Values[0] > 1.1*ridge {
		return err
	}
	var names []string
	for j := range law.Dim() {
		if math.Abs(law.Vectors.At(j, 0)) > .1 {
			names = append(names, fmt.Sprintf("%d (%s)", j+1, f.Name(j)))
		}
	}
	if len(names) == 1 {
		return fmt.Errorf("column %s varies much less than the others; use CMF_SCALE=each, which divides each column by its own standard deviation", names[0])
	}
	return fmt.Errorf("the columns %s depend on each other linearly: a combination of them has less than 1e-6 of the variance of a column; leave one out", strings.Join(names, ", "))
}
