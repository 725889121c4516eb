package units

import (
	"fmt"

	"cmf/data/margins"
	"cmf/data/table"
)

// OfColumns are units as those of a table's columns: margins.Margins, or Affine units with the
// form f, which tables had in earlier versions. Others are an error.
func OfColumns(u Units, f Form) (*margins.Margins, error) {
	switch u := u.(type) {
	case *margins.Margins:
		return u, nil
	case Affine:
		m := &margins.Margins{Format: table.Format{Name: "npy"}}
		if f.Table {
			m.Format.Name = "csv"
		}
		for j := range u.Center {
			c := table.Column{Kind: table.Real, Decimals: -1}
			if f.Columns != nil {
				c.Name = f.Columns[j]
			}
			m.Columns = append(m.Columns, margins.Column{Column: c, Affine: &margins.Affine{Center: u.Center[j], Scale: u.Scale[j]}})
		}
		return m, nil
	}
	return nil, fmt.Errorf("units of type %T are not those of a table", u)
}

// AffineOf are the units of a table's columns as Affine ones, of the columns that are learned,
// and the names of these. A column that is learned otherwise is an error.
func AffineOf(u Units, f Form) (a Affine, columns []string, err error) {
	m, err := OfColumns(u, f)
	if err != nil {
		return a, nil, err
	}
	for j, name := range m.Names() {
		switch c := &m.Columns[j]; {
		case c.Affine != nil:
			a.Center, a.Scale, columns = append(a.Center, c.Affine.Center), append(a.Scale, c.Affine.Scale), append(columns, name)
		case c.Learned():
			return a, nil, fmt.Errorf("column %q is learned by its margin, which is not affine", name)
		}
	}
	return a, columns, nil
}
