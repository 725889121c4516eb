package table

import (
	"fmt"
	"math"
	"slices"

	"cmf/data/table"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Shown are the first rows, at most n, as points of a figure: labels as numbers, and columns
// of numbers in the Frame of that column of the table of. Rows with missing values are left
// out.
func Shown(t, of *table.Table, n int) blas32.General {
	var rows []int
	for i := 0; i < t.Rows() && len(rows) < n; i++ {
		if !slices.ContainsFunc(t.Columns, func(c table.Column) bool { return math.IsNaN(c.Values[i]) }) {
			rows = append(rows, i)
		}
	}
	x := batch.New(len(rows), len(t.Columns))
	for j := range t.Columns {
		origin, unit := Frame(&of.Columns[j])
		for k, i := range rows {
			batch.Row(x, k)[j] = float32((t.Columns[j].Values[i] - origin) / unit)
		}
	}
	return x
}

// ShownNames are the names of the columns of Shown.
func ShownNames(of *table.Table) []string {
	names := of.Names()
	for j := range names {
		origin, unit := Frame(&of.Columns[j])
		switch {
		case origin > 0:
			names[j] = fmt.Sprintf("%s − %.10g", names[j], origin)
		case origin < 0:
			names[j] = fmt.Sprintf("%s + %.10g", names[j], -origin)
		}
		if unit != 1 {
			names[j] = fmt.Sprintf("%s, in %g", names[j], unit)
		}
	}
	return names
}

// Frame is how figures, which are of float32, show a column: its values less an origin, in a
// unit. The origin is a value near those of a column whose differences float32 would lose,
// else 0, and the unit a power of ten near values that it does not hold, else 1.
func Frame(c *table.Column) (origin, unit float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range c.Values {
		if !math.IsNaN(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	if math.IsInf(low, 1) {
		return 0, 1
	}
	size := max(math.Abs(low), math.Abs(high))
	if high-low < 1e-3*math.Abs(low) {
		origin, size = low, high-low
	}
	if size > 0 && (size < 1e-30 || size > 1e30) {
		// 10³⁰⁸ is the largest power of ten, and 10⁻³⁰⁷ the least with all its digits.
		return origin, math.Pow10(max(int(math.Floor(math.Log10(size))), -307))
	}
	return origin, 1
}
