package table

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Extension is the ending of the names of files of the format.
func (f Format) Extension() string {
	switch f.Name {
	case "csv":
		ext := ".csv"
		if f.Comma == "\t" {
			ext = ".tsv"
		}
		if f.Gzip {
			ext += ".gz"
		}
		return ext
	case "":
		return ".csv"
	}
	return "." + f.Name
}

// Writer writes the rows of a table to a file, which appears only by Close, when
// it is whole. Either Close or Abort ends it.
type Writer struct {
	path string
	like *Table // without rows
	to   sink
	done bool
}

// sink writes rows in a format.
type sink interface {
	rows(t *Table, from, to int) error
	close() error // lets the file appear
	abort() error // leaves nothing
}

// Create begins to write the file path in the format of like, with its columns:
// their names, types, labels, layouts of time stamps, places behind the point and
// texts of missing values.
func Create(path string, like *Table) (*Writer, error) {
	w := &Writer{path: path, like: like.Like(0)}
	var err error = errNoColumns
	if len(like.Columns) > 0 {
		err = guarded(func() (err error) {
			switch like.Format.Name {
			case "csv", "":
				w.to, err = createCSV(path, w.like)
			case "npy":
				w.to, err = createNPY(path, w.like)
			case "npz":
				w.to, err = createNPZ(path, w.like)
			case "parquet":
				w.to, err = createParquet(path, w.like)
			case "arrow", "feather":
				w.to, err = createArrow(path, w.like)
			default:
				err = fmt.Errorf("the format %q is unknown; known are csv, npy, npz, parquet, arrow and feather", like.Format.Name)
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("write table %s: %w", path, err)
	}
	return w, nil
}

// guarded turns a panic of a format's library into an error.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%q", clipped(fmt.Sprint(p)))
		}
	}()
	return do()
}

// Append writes the rows of t, which has the columns of the writer's table. A
// value that its column cannot hold is an error that names row and column.
func (w *Writer) Append(t *Table) error {
	err := w.check(t)
	for from := 0; err == nil && from < t.Rows(); from += chunkRows {
		err = guarded(func() error { return w.to.rows(t, from, min(from+chunkRows, t.Rows())) })
	}
	if err != nil {
		return fmt.Errorf("write table %s: %w", w.path, err)
	}
	return nil
}

func (w *Writer) check(t *Table) error {
	if w.done {
		return errors.New("it is closed")
	}
	if len(t.Columns) != len(w.like.Columns) {
		return fmt.Errorf("%d columns for %d", len(t.Columns), len(w.like.Columns))
	}
	for j := range t.Columns {
		c, like := &t.Columns[j], &w.like.Columns[j]
		name := t.Name(j)
		switch {
		case c.Name != like.Name || c.Kind != like.Kind:
			return fmt.Errorf("column %d is %q of kind %s; it must be %q of kind %s", j+1, name, c.Kind, w.like.Name(j), like.Kind)
		case !slices.Equal(c.Labels, like.Labels):
			return fmt.Errorf("column %d (%s) has other labels than the table like which it is written", j+1, name)
		case len(c.Values) != t.Rows():
			return fmt.Errorf("column %d (%s) has %d rows, the first has %d", j+1, name, len(c.Values), t.Rows())
		case c.Kind == Time && (c.Clock == nil || like.Clock == nil || *c.Clock != *like.Clock):
			return fmt.Errorf("column %d (%s) has no clock or another one than the table like which it is written", j+1, name)
		}
		if err := c.check(); err != nil {
			return fmt.Errorf("column %d (%s): %w", j+1, name, err)
		}
	}
	return nil
}

// check refuses values that no format holds.
func (c *Column) check() error {
	for i, v := range c.Values {
		switch {
		case math.IsInf(v, 0):
			return fmt.Errorf("row %d is %g; it must be finite", i+1, v)
		case (c.Kind == Category || c.Kind == Boolean) && !math.IsNaN(v) && !(v >= 0 && v < float64(len(c.Labels)) && v == math.Trunc(v)):
			return fmt.Errorf("row %d is %g, which is not the index of one of its %d labels", i+1, v, len(c.Labels))
		case c.Kind == Time && math.Abs(v) > 1<<62:
			return fmt.Errorf("row %d is %g %s, which is not a time", i+1, v, c.Clock.Unit)
		}
	}
	return nil
}

// Close lets the file appear. After an error nothing is left.
func (w *Writer) Close() error {
	if w.done {
		return nil
	}
	w.done = true
	if err := guarded(w.to.close); err != nil {
		guarded(w.to.abort)
		return fmt.Errorf("write table %s: %w", w.path, err)
	}
	return nil
}

// Abort removes what was written; the file at the path is as it was.
func (w *Writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	if err := guarded(w.to.abort); err != nil {
		return fmt.Errorf("write table %s: %w", w.path, err)
	}
	return nil
}

// stored is the value v as the number that a file of numbers has for it.
func (c *Column) stored(v float64) (float64, error) {
	if math.IsNaN(v) {
		return v, nil
	}
	switch c.Kind {
	case Integer:
		return math.RoundToEven(v), nil
	case Category, Boolean:
		label := c.Labels[int(v)]
		number, err := strconv.ParseFloat(label, 64)
		if err != nil {
			return 0, fmt.Errorf("the label %q is not a value of the type %s", clipped(label), c.Stored)
		}
		return number, nil
	case Time:
		return float64(c.Clock.Origin) + math.RoundToEven(v), nil
	}
	return v, nil
}
