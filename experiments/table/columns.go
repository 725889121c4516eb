package table

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cmf/data/table"
	"cmf/data/units"
	"cmf/solvers/batch"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// Match returns t with its columns in the order of those of want and under their names, and
// times since the same origin. Columns are matched by name if both tables have names,
// otherwise by their place; moved says that their order was another one. Columns that are
// missing or too many, and numbers for times, are an error that names them.
func Match(want, t *table.Table) (matched *table.Table, moved bool, err error) {
	named := func(t *table.Table) bool {
		return slices.ContainsFunc(t.Columns, func(c table.Column) bool { return c.Name != "" })
	}
	names, has := want.Names(), t.Names()
	if !named(want) || !named(t) {
		if len(has) != len(names) {
			return nil, false, fmt.Errorf("it has %d columns; it must have %d", len(has), len(names))
		}
		has = names
	}
	var wrong []string
	for _, side := range []struct {
		says      string
		has, lack []string
	}{{"it lacks the columns", names, has}, {"it has the further columns", has, names}} {
		rest := slices.DeleteFunc(slices.Clone(side.has), func(name string) bool { return slices.Contains(side.lack, name) })
		if len(rest) > 0 {
			wrong = append(wrong, fmt.Sprintf("%s %s", side.says, strings.Join(rest, ", ")))
		}
	}
	if wrong != nil {
		return nil, false, fmt.Errorf("%s; its columns must be %s, in any order (CMF_COLUMNS=NAME:skip leaves one out)", strings.Join(wrong, " and "), strings.Join(names, ", "))
	}
	matched = &table.Table{Format: t.Format}
	for j, name := range names {
		c := t.Columns[slices.Index(has, name)]
		c.Name = want.Columns[j].Name
		if err := sameClock(&c, &want.Columns[j]); err != nil {
			return nil, false, fmt.Errorf("column %q: %w", name, err)
		}
		matched.Columns = append(matched.Columns, c)
	}
	return matched, !slices.Equal(names, has), nil
}

// sameClock gives a column of times the origin of another one.
func sameClock(c, of *table.Column) error {
	switch {
	case (c.Kind == table.Time) != (of.Kind == table.Time):
		return fmt.Errorf("it is of kind %s here and of kind %s there", c.Kind, of.Kind)
	case c.Kind != table.Time:
		return nil
	case c.Clock.Unit != of.Clock.Unit:
		return fmt.Errorf("its times are in units of %s here and of %s there", c.Clock.Unit, of.Clock.Unit)
	}
	c.Values = slices.Clone(c.Values)
	floats.AddConst(float64(c.Clock.Origin-of.Clock.Origin), c.Values)
	c.Clock = of.Clock
	return nil
}

// Deviations are the means and the standard deviations of the columns of t, in float64. A
// column that does not vary, or too little for float64, is an error that names it.
func Deviations(t *table.Table) (mean, sd []float64, err error) {
	n, d := t.Rows(), len(t.Columns)
	x := mat.NewDense(n, d, nil)
	mean, sd = make([]float64, d), make([]float64, d)
	for j, c := range t.Columns {
		x.SetCol(j, c.Values)
		for _, v := range c.Values {
			mean[j] += v
		}
		mean[j] /= float64(n)
	}
	var cov mat.SymDense
	stat.CovarianceMatrix(&cov, x, nil)
	for j := range sd {
		sd[j] = math.Sqrt(cov.At(j, j))
		// A column whose deviation is below a thousand roundings of its mean has too few steps.
		const rounding = 0x1p-53
		switch name := t.Name(j); {
		case slices.Min(t.Columns[j].Values) == slices.Max(t.Columns[j].Values):
			return nil, nil, fmt.Errorf("column %q is %g in all %d rows to learn from; leave it out by CMF_COLUMNS=%s", name, t.Columns[j].Values[0], n, table.HintText(name, "skip"))
		case !(sd[j] <= 1e30 && sd[j] >= 1e-30):
			return nil, nil, fmt.Errorf("column %q has the standard deviation %g; give it in units in which that is between 1e-30 and 1e30", name, sd[j])
		case sd[j] < 1000*rounding*math.Abs(mean[j]):
			return nil, nil, fmt.Errorf("column %q varies by %g about %g, which float64 can hardly resolve; subtract a constant from it", name, sd[j], mean[j])
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
