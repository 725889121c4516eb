package table

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"

	"cmf/data/table/numpy"
)

// readNPY reads an array of a file of the given size.
func (r *reader) readNPY(f *os.File, size int64) (*Table, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r.format.Name = "npy"
	columns, h, err := readArray(bufio.NewReaderSize(f, 1<<18), size)
	if err != nil {
		return nil, err
	}
	r.format.Vector = len(h.Shape) == 1 && !h.Record
	t := &Table{Columns: columns, Format: r.format}
	return t, r.checkColumns(t)
}

// checkColumns gives the columns different names and leaves out those to skip.
func (r *reader) checkColumns(t *Table) error {
	names := make([]string, len(t.Columns))
	for j := range names {
		names[j] = t.Columns[j].Name
	}
	names, err := r.uniqueNames(names)
	if err != nil {
		return err
	}
	t.Format.Headless = !named(t)
	kept := t.Columns[:0]
	r.places = []int{}
	for j, c := range t.Columns {
		if c.Name = names[j]; r.o.Hints[called(c.Name, j)].Skip {
			r.leftOut = append(r.leftOut, c.Name)
			continue
		}
		kept, r.places = append(kept, c), append(r.places, j)
	}
	t.Columns = kept
	return nil
}

// readArray reads an array of at most size bytes, header and all. The header's
// claims are checked against the size before memory is taken.
func readArray(in io.Reader, size int64) ([]Column, *numpy.Header, error) {
	h, err := numpy.ReadHeader(in)
	if err != nil {
		return nil, nil, err
	}
	rows, cols, err := h.Layout(size-h.Size, maxValues)
	if err != nil {
		return nil, h, err
	}
	out := make([]npyColumn, len(h.Fields)*cols)
	for j := range out {
		out[j].Field = h.Fields[j%len(h.Fields)]
		if out[j].Kind != 'M' {
			out[j].values = make([]float64, rows)
		}
	}
	together := len(out)
	if h.Fortran && !h.Record {
		together = 1
	}
	for j := 0; j < len(out); j += together {
		if err := fill(in, out[j:j+together], rows); err != nil {
			return nil, h, err
		}
	}
	columns := make([]Column, len(out))
	for j := range out {
		columns[j] = out[j].column()
	}
	return columns, h, nil
}

// npyColumn is a column while it is read.
type npyColumn struct {
	numpy.Field
	values []float64
	texts  texts
	stamps stamps
}

// fill reads the rows of columns that lie beside each other.
func fill(in io.Reader, columns []npyColumn, rows int) error {
	width := 0
	for j := range columns {
		width += columns[j].Width
	}
	line := make([]byte, width)
	for i := range rows {
		if _, err := io.ReadFull(in, line); err != nil {
			return fmt.Errorf("row %d: %w", i+1, err)
		}
		rest := line
		for j := range columns {
			c := &columns[j]
			if err := c.put(i, rest[:c.Width]); err != nil {
				return fmt.Errorf("row %d, column %d: %w", i+1, j+1, err)
			}
			rest = rest[c.Width:]
		}
	}
	return nil
}

// put reads the value of row i.
func (c *npyColumn) put(i int, b []byte) error {
	switch c.Kind {
	case 'S', 'U':
		text, err := c.Text(b)
		if err != nil {
			return err
		}
		c.values[i] = c.texts.code(text)
	case 'M':
		at, ok, err := c.Time(b)
		if err != nil {
			return err
		}
		if ok {
			c.stamps.add(at)
		} else {
			c.stamps.missing()
		}
	default:
		c.values[i] = c.Number(b)
	}
	return nil
}

func (c *npyColumn) column() Column {
	out := Column{Name: c.Name, Values: c.values, Stored: c.Type}
	switch c.Kind {
	case 'b':
		out.Kind, out.Labels = Boolean, []string{"false", "true"}
	case 'i', 'u':
		out.Kind = Integer
	case 'f':
		out.Kind, out.Decimals = Real, -1
	case 'M':
		values, clock := c.stamps.column()
		if values == nil {
			values = []float64{}
		}
		out.Kind, out.Values, out.Clock = Time, values, &clock
	default:
		out.Kind, out.Labels = Category, c.texts.labels
	}
	return out
}

// appendValue writes the value v of a column as the field's type.
func appendValue(b []byte, f *numpy.Field, c *Column, v float64) ([]byte, error) {
	missing := math.IsNaN(v)
	switch {
	case f.Kind == 'M' && c.Clock == nil, (f.Kind == 'S' || f.Kind == 'U') && c.Labels == nil && !missing:
		return b, fmt.Errorf("values of kind %s cannot be written as %s", c.Kind, f.Type)
	case f.Kind == 'M' && missing:
		return f.AppendTime(b, c.Clock.instant(0), false), nil
	case f.Kind == 'M':
		return f.AppendTime(b, c.Clock.instant(v), true), nil
	case (f.Kind == 'S' || f.Kind == 'U') && missing:
		return f.AppendText(b, "")
	case f.Kind == 'S' || f.Kind == 'U':
		return f.AppendText(b, c.Labels[int(v)])
	case f.Kind == 'b': // the labels are those of false and true
		return f.AppendNumber(b, v)
	}
	v, err := c.stored(v)
	if err != nil {
		return b, err
	}
	return f.AppendNumber(b, v)
}
