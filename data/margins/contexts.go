package margins

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/data/table"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Contexts encode the given columns of a table as the contexts of a model, which are not
// learned but learned from: no value leaves anything open.
type Contexts struct {
	Columns []Context
	Places  []int // of the columns in a whole row, from 0, ascending
	Format  table.Format
}

// Context says how one given column is encoded. A number or a time v is
//
//	s((v − Center)/Scale),  s(u) = u for |u| ≤ 3, else ±(3 + log(|u| − 2))
//
// so that linear dependences stay linear, and neither long tails nor values beyond those
// seen lead far. A point of a circle is (cos θ, sin θ). A label is a coordinate for each of
// the labels that were seen, 1 for its own and 0 for others. Where missing values were seen
// there is a coordinate more, which is 1 for them alone; all others are 0.
type Context struct {
	table.Column // without values

	Center, Scale float64 // median, and robust deviation
	Low, High     float64 // the least and the largest value that was seen, or the ends of the circle
	Circular      bool    `json:",omitempty"`
	Seen          []int   `json:",omitempty"` // labels
	Null          bool    `json:",omitempty"` // missing values were seen
}

// mostLabels limits the labels of a given column.
const mostLabels = 256

// FitContexts finds how the given columns are encoded by the rows to learn from. t has them
// alone; places are theirs in a whole row. A column that does not vary is an error.
func FitContexts(t *table.Table, places []int, hints map[string]Hint) (*Contexts, error) {
	c := &Contexts{Places: places, Format: t.Format}
	for j := range t.Columns {
		of, err := contextOf(&t.Columns[j], hints[t.Name(j)])
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", t.Name(j), err)
		}
		c.Columns = append(c.Columns, of)
	}
	return c, c.Check(c.Dim())
}

func contextOf(of *table.Column, hint Hint) (c Context, err error) {
	f := factsOf(of, nil)
	c = Context{Column: *of, Scale: 1, Null: f.null > 0, Circular: hint.Circular}
	c.Values = nil
	switch {
	case len(f.distinct) == 0:
		return c, errors.New("it has no values in the rows to learn from; leave it out of CMF_GIVEN")
	case len(f.distinct) == 1 && f.null == 0:
		text := (&Column{Column: c.Column}).text(f.distinct[0].v)
		return c, fmt.Errorf("it is %s in all rows to learn from; leave it out of CMF_GIVEN", text)
	case discrete(of.Kind) && len(f.distinct) > mostLabels:
		return c, fmt.Errorf("it has %d labels; a given column has at most %d", len(f.distinct), mostLabels)
	case discrete(of.Kind):
		for _, d := range f.distinct {
			c.Seen = append(c.Seen, int(d.v))
		}
		return c, nil
	case c.Circular:
		c.Low, c.High = *hint.Low, *hint.High
		return c, nil
	}
	c.Center, c.Low, c.High = f.quantile(.5), f.values[0].v, f.values[len(f.values)-1].v
	if c.Scale = (f.quantile(.75) - f.quantile(.25)) / 1.349; c.Scale == 0 {
		c.Scale = affineOf(&f).Scale
	}
	if len(f.distinct) == 1 { // beside missing values
		c.Scale = 1
	}
	return c, nil
}

// Dim is the number of coordinates of a context.
func (c *Contexts) Dim() (k int) {
	for j := range c.Columns {
		k += c.Columns[j].dim()
	}
	return k
}

func (c *Context) dim() int {
	k := 1
	switch {
	case discrete(c.Kind):
		k = len(c.Seen)
	case c.Circular:
		k = 2
	}
	if c.Null {
		k++
	}
	return k
}

// Check says what is wrong with contexts of k coordinates that were read from a file.
func (c *Contexts) Check(k int) error {
	if len(c.Places) != len(c.Columns) || !slices.IsSorted(c.Places) || len(c.Places) > 0 && c.Places[0] < 0 {
		return fmt.Errorf("contexts of %d columns at the places %v", len(c.Columns), c.Places)
	}
	for j := range c.Columns {
		of := &c.Columns[j]
		bad := !batch.AllFinite([]float64{of.Center, of.Scale, of.Low, of.High}) || !(of.Scale > 0) || of.Circular && !(of.High > of.Low)
		for _, label := range of.Seen {
			bad = bad || label < 0 || label >= len(of.Labels)
		}
		if bad {
			return fmt.Errorf("the context of column %q is not one of finite numbers with a positive scale, and of its labels", of.Name)
		}
	}
	if dim := c.Dim(); dim != k {
		return fmt.Errorf("contexts of %d coordinates for a potential with contexts of %d", dim, k)
	}
	return nil
}

// Encode returns the contexts of all rows, (n, k). An error names the row, counted from 1,
// and the column.
func (c *Contexts) Encode(t *table.Table) (blas32.General, error) {
	contexts := batch.New(t.Rows(), c.Dim())
	if len(t.Columns) != len(c.Columns) {
		return contexts, fmt.Errorf("contexts have %d columns; the model is given %d: %q", len(t.Columns), len(c.Columns), c.Names())
	}
	first := 0
	for j := range c.Columns {
		of := &c.Columns[j]
		for i, v := range t.Columns[j].Values {
			if !of.known(v) {
				return contexts, fmt.Errorf("row %d, column %q: %s: %w", i+1, t.Name(j), (&Column{Column: of.Column}).text(v), errUnseen)
			}
			of.encode(v, batch.Row(contexts, i)[first:first+of.dim()])
		}
		first += of.dim()
	}
	return contexts, nil
}

// known says whether v can be encoded.
func (c *Context) known(v float64) bool {
	switch {
	case math.IsNaN(v):
		return c.Null
	case discrete(c.Kind):
		return slices.Contains(c.Seen, int(v))
	}
	return true
}

// encode writes the coordinates of a known value.
func (c *Context) encode(v float64, to []float32) {
	clear(to)
	switch {
	case math.IsNaN(v):
		to[len(to)-1] = 1
	case discrete(c.Kind):
		to[slices.Index(c.Seen, int(v))] = 1
	case c.Circular:
		sin, cos := math.Sincos(2 * math.Pi * (v - c.Low) / (c.High - c.Low))
		to[0], to[1] = float32(cos), float32(sin)
	default:
		to[0] = float32(tamed((v - c.Center) / c.Scale))
	}
}

// tamed is s(u); see Context.
func tamed(u float64) float64 {
	const linear = 3
	if math.Abs(u) <= linear {
		return u
	}
	return math.Copysign(linear+math.Log1p(math.Abs(u)-linear), u)
}

// Known are the rows of t, counted from 0, that Encode can encode.
func (c *Contexts) Known(t *table.Table) (rows []int) {
	return knownRows(t, len(c.Columns), func(j int, v float64) bool { return c.Columns[j].known(v) })
}

// Outside says for each column in which rows of t its value is beyond those seen.
func (c *Contexts) Outside(t *table.Table) (notes []string) {
	for j := range c.Columns {
		of := &c.Columns[j]
		if of.Seen != nil || of.Circular {
			continue
		}
		var rows []int
		for i, v := range t.Columns[j].Values {
			if v < of.Low || v > of.High {
				rows = append(rows, i)
			}
		}
		if rows == nil {
			continue
		}
		const shown = 5
		list := ""
		for k, i := range rows[:min(len(rows), shown)] {
			if k > 0 {
				list += ", "
			}
			list += fmt.Sprintf("%s in row %d", of.shown(t.Columns[j].Values[i]), i+1)
		}
		if more := len(rows) - shown; more > 0 {
			list += fmt.Sprintf(" and in %d rows more", more)
		}
		notes = append(notes, fmt.Sprintf("Column %q of the contexts is %s, beyond what the model has learned from, %s to %s: what is drawn there is extrapolated.", t.Name(j), list, of.shown(of.Low), of.shown(of.High)))
	}
	return notes
}

// shown is the text of a number or a time.
func (c *Context) shown(v float64) string {
	if c.Clock != nil {
		return c.Clock.Time(v).Format("2006-01-02 15:04:05")
	}
	return fmt.Sprintf("%.6g", v)
}

// columns are the given columns as those of margins, whose laws they do not have.
func (c *Contexts) columns() (columns []Column) {
	for _, of := range c.Columns {
		columns = append(columns, Column{Column: of.Column})
	}
	return columns
}

// Names are the names of the given columns.
func (c *Contexts) Names() []string { return (&Margins{Columns: c.columns()}).Names() }

// Hints say how a file of contexts is to be read.
func (c *Contexts) Hints() table.Hints { return (&Margins{Columns: c.columns()}).Hints() }

// Align is Margins.Align for a file of contexts. Numbers keep the places and the types of the
// file.
func (c *Contexts) Align(t *table.Table) (aligned *table.Table, ignored []string, err error) {
	if aligned, ignored, err = (&Margins{Columns: c.columns(), Format: c.Format}).Align(t); err != nil {
		return nil, nil, err
	}
	for k := range aligned.Columns {
		to := &aligned.Columns[k]
		from := slices.Index(t.Names(), to.Name)
		if from < 0 {
			from = k
		}
		if of := &t.Columns[from]; of.Kind == to.Kind && !discrete(to.Kind) && to.Clock == nil {
			to.Decimals, to.Stored, to.Null = of.Decimals, of.Stored, of.Null
		}
	}
	return aligned, ignored, nil
}

// Whole are the margins, fit for reading alone, of whole rows: given columns and those of m.
func (c *Contexts) Whole(m *Margins) *Margins {
	whole := &Margins{Columns: slices.Clone(m.Columns), Format: m.Format}
	for k, of := range c.columns() {
		whole.Columns = slices.Insert(whole.Columns, min(c.Places[k], len(whole.Columns)), of)
	}
	return whole
}

// Split cuts whole rows into the given columns and the others.
func (c *Contexts) Split(t *table.Table) (given, drawn *table.Table) { return SplitAt(c.Places, t) }

// SplitAt cuts the columns at the places, ascending, out of t. Columns without names are
// called by their places in t.
func SplitAt(places []int, t *table.Table) (given, drawn *table.Table) {
	given, drawn = &table.Table{Format: t.Format}, &table.Table{Format: t.Format}
	for j, c := range t.Columns {
		c.Name = t.Name(j)
		if slices.Contains(places, j) {
			given.Columns = append(given.Columns, c)
		} else {
			drawn.Columns = append(drawn.Columns, c)
		}
	}
	return given, drawn
}

// Join puts given columns back into their places beside the others.
func (c *Contexts) Join(given, drawn *table.Table) *table.Table {
	whole := &table.Table{Columns: slices.Clone(drawn.Columns), Format: drawn.Format}
	for k, place := range c.Places {
		whole.Columns = slices.Insert(whole.Columns, min(place, len(whole.Columns)), given.Columns[k])
	}
	if whole.Format.Headless { // names that Split gave
		for j := range whole.Columns {
			whole.Columns[j].Name = ""
		}
	}
	return whole
}
