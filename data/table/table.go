// Package table reads and writes tables as people keep them: CSV and its
// dialects, NumPy arrays, Parquet and Arrow. A table has typed columns of
// float64, in which missing values are NaN.
package table

import (
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Kind is the type of a column.
type Kind string

// The kinds of columns.
const (
	Real     Kind = "real"
	Integer  Kind = "integer"
	Boolean  Kind = "boolean"
	Category Kind = "category" // texts, as indices in Labels
	Time     Kind = "time"     // time stamps, in a Clock's units since its origin
)

// Kinds are all kinds of columns.
var Kinds = []Kind{Real, Integer, Boolean, Category, Time}

// Column is a column of a table.
type Column struct {
	Name string `json:",omitempty"` // empty where the file names no columns
	Kind Kind

	// Values has one value per row, NaN where it is missing. Values of
	// categories and booleans are indices in Labels.
	Values []float64 `json:"-"`

	// Labels are the texts of a category's values, in the order in which they
	// first occur, or those of false and true.
	Labels []string `json:",omitempty"`

	// Decimals is the number of places after the decimal point that the texts of
	// a real column have at most, or −1 where its file holds no texts, or texts
	// with exponents.
	Decimals int `json:",omitempty"`

	Clock *Clock `json:",omitempty"` // of a column of times

	// Stored is the type of the column in its file, such as int32 or <f4, which
	// writing restores; empty for text.
	Stored string `json:",omitempty"`

	// Null is the text of a missing value, as the file first has it.
	Null string `json:",omitempty"`
}

// Clock says what the values of a column of times mean: the time at Origin + v
// units.
type Clock struct {
	Layout string `json:",omitempty"` // of the texts, as for time.Parse; empty where the file holds numbers
	Unit   string // ns, us, ms, s or day
	Origin int64  // in units since 1970-01-01 00:00 UTC
	Zone   string `json:",omitempty"` // name of the time zone, as the file has it
}

// Table is a table in memory.
type Table struct {
	Columns []Column
	Format  Format
}

// Format is how a file stores a table; writing restores it.
type Format struct {
	Name string // csv, npy, npz, parquet, arrow or feather

	// Of CSV.
	Comma        string `json:",omitempty"` // what separates columns; "," where empty
	DecimalComma bool   `json:",omitempty"` // numbers are written as 1,5
	Headless     bool   `json:",omitempty"` // no line names the columns
	Gzip         bool   `json:",omitempty"` // also of npz: the arrays are compressed
	CRLF         bool   `json:",omitempty"`

	// Of NumPy.
	Vector bool   `json:",omitempty"` // the array has the shape (n,) rather than (n, 1)
	Array  string `json:",omitempty"` // name of an archive's only array
}

// Rows is the number of rows.
func (t *Table) Rows() int {
	if len(t.Columns) == 0 {
		return 0
	}
	return len(t.Columns[0].Values)
}

// Names are the names of all columns; those without one are called x1, x2, …
func (t *Table) Names() []string {
	names := make([]string, len(t.Columns))
	for j := range names {
		names[j] = t.Name(j)
	}
	return names
}

// Name is the name of column j, counted from 0.
func (t *Table) Name(j int) string {
	if name := t.Columns[j].Name; name != "" {
		return name
	}
	return fmt.Sprintf("x%d", j+1)
}

// Rowed is a copy of the rows of the given numbers, counted from 0, in their
// order.
func (t *Table) Rowed(rows []int) *Table {
	out := t.Like(len(rows))
	for j := range t.Columns {
		for i, row := range rows {
			out.Columns[j].Values[i] = t.Columns[j].Values[row]
		}
	}
	return out
}

// Like is a table of n rows of zeros with the columns and the format of t.
func (t *Table) Like(n int) *Table {
	out := &Table{Columns: slices.Clone(t.Columns), Format: t.Format}
	for j := range out.Columns {
		out.Columns[j].Values = make([]float64, n)
	}
	return out
}

// First are the first n rows, or all; they share memory with t.
func (t *Table) First(n int) *Table { return t.Slice(0, min(n, t.Rows())) }

// Batch is the plain (n, d) batch of a table of numbers without missing values,
// rounded to float32. Anything else is an error that names column and row.
func (t *Table) Batch() (blas32.General, error) {
	x := batch.New(t.Rows(), len(t.Columns))
	for j := range t.Columns {
		c := &t.Columns[j]
		at := fmt.Sprintf("column %d (%s)", j+1, t.Name(j))
		if c.Kind != Real && c.Kind != Integer {
			what := map[Kind]string{Boolean: "booleans", Category: "texts", Time: "times"}[c.Kind]
			example := ""
			if len(c.Labels) > 0 {
				example = fmt.Sprintf(", such as %q", clipped(c.Labels[0]))
			}
			return x, fmt.Errorf("%s holds %s%s; allowed here are columns of numbers", at, what, example)
		}
		for i, v := range c.Values {
			switch w := float32(v); {
			case math.IsNaN(v):
				return x, fmt.Errorf("row %d, %s is missing; all values must be there", i+1, at)
			case math.IsInf(float64(w), 0):
				return x, fmt.Errorf("row %d, %s is %g; it must be between -3.4e38 and 3.4e38", i+1, at, v)
			default:
				x.Data[i*x.Stride+j] = w
			}
		}
	}
	return x, nil
}

// Stacked is the rows of a followed by those of b, which has the same columns.
func Stacked(a, b *Table) *Table {
	out := &Table{Columns: slices.Clone(a.Columns), Format: a.Format}
	for j := range out.Columns {
		out.Columns[j].Values = slices.Concat(a.Columns[j].Values, b.Columns[j].Values)
	}
	return out
}

// Slice is the rows from low to high, counted from 0 without high; they share
// memory with t.
func (t *Table) Slice(low, high int) *Table {
	out := &Table{Columns: slices.Clone(t.Columns), Format: t.Format}
	for j := range out.Columns {
		out.Columns[j].Values = out.Columns[j].Values[low:high:high]
	}
	return out
}

// Permute puts the rows in another order: row i is the one that was at order[i].
func (t *Table) Permute(order []int) {
	was := make([]float64, len(order))
	for j := range t.Columns {
		values := t.Columns[j].Values
		copy(was, values)
		for i, row := range order {
			values[i] = was[row]
		}
	}
}
