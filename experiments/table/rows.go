package table

import (
	"errors"
	"fmt"

	"cmf/data/table"
	"cmf/experiments/run"
)

// Rows writes a table in the format of the file that was learned, and as NAME.npy, in which
// labels are indices and missing values NaN.
type Rows struct {
	files []*table.Writer
}

// NewRows begins the files NAME.npy and NAME with the extension of the format of like.
func NewRows(r *run.Run, name string, like *table.Table) (*Rows, error) {
	w := new(Rows)
	numbers := numbered(like)
	for _, t := range []*table.Table{like, numbers} {
		if t == numbers && like.Format.Name == numbers.Format.Name {
			break
		}
		file := name + t.Format.Extension()
		out, err := table.Create(r.Path(file), t)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", file, err), w.Close(false))
		}
		w.files = append(w.files, out)
	}
	return w, nil
}

// numbered is t as an array of numbers.
func numbered(t *table.Table) *table.Table {
	out := &table.Table{Format: table.Format{Name: "npy"}}
	for _, c := range t.Columns {
		out.Columns = append(out.Columns, table.Column{Kind: table.Real, Decimals: -1, Values: c.Values})
	}
	return out
}

// Append writes the rows of t.
func (w *Rows) Append(t *table.Table) error {
	for k, f := range w.files {
		part := t
		if k > 0 {
			part = numbered(t)
		}
		if err := f.Append(part); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the files; they appear only if they are whole.
func (w *Rows) Close(whole bool) (err error) {
	for _, f := range w.files {
		if whole {
			err = errors.Join(err, f.Close())
		} else {
			err = errors.Join(err, f.Abort())
		}
	}
	return err
}

// SaveRows writes the rows of t as Rows does.
func SaveRows(r *run.Run, name string, t *table.Table) error {
	w, err := NewRows(r, name, t.First(0))
	if err != nil {
		return err
	}
	err = w.Append(t)
	return errors.Join(err, w.Close(err == nil))
}
