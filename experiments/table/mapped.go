package table

import (
	"context"

	"cmf/data/margins"
	"cmf/data/table"
	"cmf/data/units"
	"cmf/experiments/fit"
	"cmf/experiments/report"
)

// MapRows maps the rows of t, which has the columns of the source of m, a map between tables;
// see SourceMargins. The images have the format of t, and its types where that has them.
// checks tell how the solves went, if it takes any.
func MapRows(ctx context.Context, m *fit.Model, t *table.Table) (images *table.Table, checks report.Numbers, err error) {
	from, err := SourceMargins(m)
	if err != nil {
		return nil, nil, err
	}
	to, err := units.OfColumns(m.Units(), m.Form())
	if err != nil {
		return nil, nil, err
	}
	z, err := from.Encode(t, nil)
	if err != nil {
		return nil, nil, err
	}
	image, checks, err := m.Transport(ctx, z, false)
	if err != nil {
		return nil, nil, err
	}
	if images, err = to.Decode(image, nil); err != nil {
		return nil, nil, err
	}
	if images.Format = t.Format; t.Format.Name != to.Format.Name {
		for j := range images.Columns {
			images.Columns[j].Stored = ""
		}
	}
	return images, checks, nil
}

// SourceMargins are the units of the source of a map between tables.
func SourceMargins(m *fit.Model) (*margins.Margins, error) {
	p := m.Source()
	return units.OfColumns(p.Units, p.Form)
}
