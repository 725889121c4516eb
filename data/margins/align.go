package margins

import (
	"fmt"
	"math"
	"slices"

	"cmf/data/table"
)

// Hints say how a file is to be read whose rows belong to these margins.
func (m *Margins) Hints() table.Hints {
	hints := table.Hints{}
	for j, name := range m.Names() {
		hints[name] = table.Hint{Kind: m.Columns[j].Kind}
	}
	return hints
}

// Align returns the columns of t that m has, in the order of m and with its
// labels and clocks; others are ignored. Columns without names are matched by
// their order. A missing column is an error, and so is a label that m does not
// know.
func (m *Margins) Align(t *table.Table) (aligned *table.Table, ignored []string, err error) {
	named := slices.ContainsFunc(t.Columns, func(c table.Column) bool { return c.Name != "" })
	if named && slices.ContainsFunc(m.Columns, func(c Column) bool { return c.Name == "" }) {
		named = false
	}
	if !named && len(t.Columns) != len(m.Columns) {
		return nil, nil, fmt.Errorf("it has %d columns, but the model has %d: %q", len(t.Columns), len(m.Columns), m.Names())
	}
	aligned = &table.Table{Format: t.Format}
	used := make([]bool, len(t.Columns))
	var lacking []string
	for j := range m.Columns {
		from := j
		if named {
			from = slices.Index(t.Names(), m.Columns[j].Name)
		}
		if from < 0 {
			lacking = append(lacking, m.Columns[j].Name)
			continue
		}
		used[from] = true
		c, err := m.Columns[j].align(&t.Columns[from])
		if err != nil {
			return nil, nil, fmt.Errorf("column %q: %w", t.Name(from), err)
		}
		aligned.Columns = append(aligned.Columns, c)
	}
	if lacking != nil {
		return nil, nil, fmt.Errorf("it lacks the columns %q; the model has %q", lacking, m.Names())
	}
	for j, is := range used {
		if !is {
			ignored = append(ignored, t.Name(j))
		}
	}
	return aligned, ignored, nil
}

// align is the column of a file in terms of c.
func (c *Column) align(of *table.Column) (table.Column, error) {
	out := c.Column
	out.Values = slices.Clone(of.Values)
	switch {
	case discrete(c.Kind):
		if of.Labels == nil && slices.ContainsFunc(of.Values, func(v float64) bool { return !math.IsNaN(v) }) {
			return out, fmt.Errorf("it holds numbers; the model has the labels %q", some3(c.Labels))
		}
		for i, v := range of.Values {
			if math.IsNaN(v) {
				continue
			}
			label := slices.Index(c.Labels, of.Labels[int(v)])
			if label < 0 {
				return out, fmt.Errorf("row %d: the model does not know the label %q; it has %q", i+1, of.Labels[int(v)], some3(c.Labels))
			}
			out.Values[i] = float64(label)
		}
	case c.Kind == table.Time:
		if of.Clock == nil || of.Clock.Unit != c.Clock.Unit {
			return out, fmt.Errorf("its times are not in the model's unit, %q", c.Clock.Unit)
		}
		for i := range out.Values {
			out.Values[i] += float64(of.Clock.Origin - c.Clock.Origin)
		}
	case of.Labels != nil:
		return out, fmt.Errorf("it holds texts such as %q; the model has numbers", some3(of.Labels))
	}
	return out, nil
}

// some3 are the first labels.
func some3(labels []string) []string { return labels[:min(len(labels), 3)] }
