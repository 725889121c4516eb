// Package margins maps between tables of mixed columns and the points in R^d
// that a model learns.
//
// Where all columns are smooth and real, they are centred and scaled. Otherwise
// every column is mapped to normal scores, Φ⁻¹(F(x)): then each coordinate is
// standard normal by itself, a Gaussian fit of the points is the Gaussian
// copula of the table, and what is left to learn is the dependence. Values that
// hold mass, such as zeros, labels and missing values, are intervals of scores.
package margins

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/data/table"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Margins are the laws of the columns of a table. They are units of learning;
// see units.Units.
type Margins struct {
	Columns []Column
	Format  table.Format
}

// Learned is d, the number of coordinates of learning.
func (m *Margins) Learned() (d int) {
	for j := range m.Columns {
		if law := m.Columns[j].law(); law != nil {
			d += law.dim()
		}
	}
	return d
}

// Names are the names of the columns.
func (m *Margins) Names() []string { return m.Like(0).Names() }

// Like is a table of n rows with the columns of m.
func (m *Margins) Like(n int) *table.Table {
	t := &table.Table{Format: m.Format}
	for _, c := range m.Columns {
		t.Columns = append(t.Columns, c.Column)
	}
	return t.Like(n)
}

// Normal says whether all coordinates have normal margins, and not the shape
// of the data's.
func (m *Margins) Normal() bool {
	for j := range m.Columns {
		if m.Columns[j].Affine != nil {
			return false
		}
	}
	return true
}

// Encode returns the coordinates of learning of all rows, (n, d). rng draws what
// values leave open; a nil stream takes the middle. An error names the row,
// counted from 1, and the column.
func (m *Margins) Encode(t *table.Table, rng *random.Stream) (blas32.General, error) {
	z, _, err := m.encode(t, rng, false)
	return z, err
}

// Cover is Encode for densities, with the log weight of each row: the density of
// row i, or its probability, is the mean of q(z_i)·e^{weight_i} over draws by
// rng, where q is the density of z.
func (m *Margins) Cover(t *table.Table, rng *random.Stream) (z blas32.General, logWeight []float64, err error) {
	return m.encode(t, rng, true)
}

func (m *Margins) encode(t *table.Table, rng *random.Stream, cover bool) (z blas32.General, logWeight []float64, err error) {
	if err := m.Matches(t); err != nil {
		return z, nil, err
	}
	n := t.Rows()
	z, logWeight = batch.New(n, m.Learned()), make([]float64, n)
	first := 0
	for j := range m.Columns {
		law := m.Columns[j].law()
		if law == nil {
			continue
		}
		for i, v := range t.Columns[j].Values {
			w, err := law.encode(v, batch.Row(z, i)[first:first+law.dim()], rng, cover)
			if err != nil {
				return z, nil, fmt.Errorf("row %d, column %q: %s: %w", i+1, t.Name(j), m.Columns[j].text(v), err)
			}
			logWeight[i] += w
		}
		first += law.dim()
	}
	return z, logWeight, nil
}

// Decode returns the rows of points z, (n, d). rng draws what other columns
// determine only nearly; nil takes the mean.
func (m *Margins) Decode(z blas32.General, rng *random.Stream) (*table.Table, error) {
	if d := m.Learned(); z.Cols != d {
		return nil, fmt.Errorf("points of %d coordinates in units of %d", z.Cols, d)
	}
	t := m.Like(z.Rows)
	first := 0
	for j := range m.Columns {
		c, values := &m.Columns[j], t.Columns[j].Values
		law := c.law()
		if law == nil {
			continue
		}
		for i := range values {
			values[i] = c.bounded(law.decode(batch.Row(z, i)[first : first+law.dim()]))
		}
		first += law.dim()
	}
	for j := range m.Columns {
		m.Columns[j].restore(t, t.Columns[j].Values, rng)
	}
	return t, nil
}

// restore fills a column that is not learned.
func (c *Column) restore(t *table.Table, values []float64, rng *random.Stream) {
	for i := range values {
		switch {
		case c.Constant != nil && c.Constant.Null:
			values[i] = math.NaN()
		case c.Constant != nil:
			values[i] = c.Constant.Value
		case c.Linear != nil:
			v := c.Linear.Offset
			for k, from := range c.Linear.From {
				v += c.Linear.Weights[k] * t.Columns[from].Values[i]
			}
			if rng != nil && c.Linear.Spread > 0 {
				v += c.Linear.Spread * rng.NormFloat64()
			}
			values[i] = c.bounded(v)
		case c.Lookup != nil:
			label := c.Lookup.Null
			if v := t.Columns[c.Lookup.From].Values[i]; !math.IsNaN(v) {
				label = c.Lookup.Labels[int(v)]
			}
			values[i] = math.NaN()
			if label >= 0 {
				values[i] = float64(label)
			}
		}
	}
}

// bounded rounds v to what the column can hold.
func (c *Column) bounded(v float64) float64 {
	if c.Kind == table.Integer {
		v = math.Round(v)
	}
	if c.Kind == table.Real && c.Decimals > 0 {
		if to := math.Pow10(c.Decimals); math.Abs(v) < 1e15/to {
			v = math.Round(v*to)/to + 0 // no −0
		}
	}
	if c.Low != nil {
		v = math.Max(v, *c.Low) // keeps NaN
	}
	if c.High != nil {
		v = math.Min(v, *c.High)
	}
	return v
}

// text is the text of a value in messages.
func (c *Column) text(v float64) string {
	switch {
	case math.IsNaN(v):
		return "a missing value"
	case c.Labels != nil && v >= 0 && int(v) < len(c.Labels):
		return fmt.Sprintf("%q", c.Labels[int(v)])
	}
	return fmt.Sprintf("%g", v)
}

// Matches says how the columns of t differ from those of m.
func (m *Margins) Matches(t *table.Table) error {
	if len(t.Columns) != len(m.Columns) {
		return fmt.Errorf("it has %d columns; the model has %d: %q", len(t.Columns), len(m.Columns), m.Names())
	}
	for j, c := range m.Columns {
		if name := t.Columns[j].Name; name != c.Name && name != "" && c.Name != "" {
			return fmt.Errorf("its column %d is called %q, that of the model %q; give them in the order %q", j+1, name, c.Name, m.Names())
		}
	}
	return nil
}

// Dim implements units.Units.
func (m *Margins) Dim(int) int { return len(m.Columns) }

// Check implements units.Units. It completes units that were read from a file.
func (m *Margins) Check(d int) error {
	for j := range m.Columns {
		c := &m.Columns[j]
		laws := 0
		for _, set := range []bool{c.Affine != nil, c.Scores != nil, c.Simplex != nil, c.Circle != nil, c.Constant != nil, c.Linear != nil, c.Lookup != nil} {
			if set {
				laws++
			}
		}
		err := c.references(m.Columns)
		switch law := c.law(); {
		case laws != 1:
			err = fmt.Errorf("it has %d laws; it must have one", laws)
		case law != nil && err == nil:
			err = law.prepare()
		}
		if err != nil {
			return fmt.Errorf("column %d (%q): %w", j+1, c.Name, err)
		}
	}
	if learned := m.Learned(); learned != d {
		return fmt.Errorf("units of %d coordinates for points of %d", learned, d)
	}
	return nil
}

// references makes sure that a column is determined by learned ones alone.
func (c *Column) references(columns []Column) error {
	var from []int
	switch {
	case c.Linear != nil:
		if len(c.Linear.From) != len(c.Linear.Weights) || !batch.AllFinite(c.Linear.Weights) || !batch.AllFinite([]float64{c.Linear.Offset, c.Linear.Spread}) {
			return errors.New("its combination of other columns is not one of finite numbers")
		}
		from = c.Linear.From
	case c.Lookup != nil:
		from = []int{c.Lookup.From}
	}
	for _, j := range from {
		if j < 0 || j >= len(columns) || columns[j].law() == nil {
			return fmt.Errorf("it depends on column %d, which is not learned", j+1)
		}
	}
	if c.Lookup != nil {
		if of := len(columns[c.Lookup.From].Labels); len(c.Lookup.Labels) != of {
			return fmt.Errorf("it follows %d labels of %d", len(c.Lookup.Labels), of)
		}
		for _, label := range append([]int{c.Lookup.Null}, c.Lookup.Labels...) {
			if label < -1 || label >= len(c.Labels) {
				return fmt.Errorf("it follows label %d of %d", label, len(c.Labels))
			}
		}
	}
	if c.Simplex != nil {
		for k, v := range c.Simplex.Values {
			if null := c.Simplex.Null && k == len(c.Simplex.Values)-1; !null && !(v >= 0 && v < float64(len(c.Labels)) && v == math.Trunc(v)) {
				return fmt.Errorf("it has label %g of %d", v, len(c.Labels))
			}
		}
	}
	for k := range c.atoms() {
		if v := c.Scores.Pieces[k].Atom; c.Labels != nil && v != nil && (*v < 0 || *v >= float64(len(c.Labels)) || *v != math.Trunc(*v)) {
			return fmt.Errorf("it has label %g of %d", *v, len(c.Labels))
		}
	}
	return nil
}

func (c *Column) atoms() []Piece {
	if c.Scores == nil {
		return nil
	}
	return c.Scores.Pieces
}

// Data implements units.Units: the rows as float32, with labels as indices and
// NaN for missing values. Decode is exact.
func (m *Margins) Data(z blas32.General, rng *random.Stream) (blas32.General, error) {
	t, err := m.Decode(z, rng)
	if err != nil {
		return blas32.General{}, err
	}
	x := batch.New(z.Rows, len(t.Columns))
	for j, c := range t.Columns {
		for i, v := range c.Values {
			x.Data[i*x.Stride+j] = float32(v)
		}
	}
	return x, nil
}

// Learning implements units.Units; see Encode.
func (m *Margins) Learning(x blas32.General) (blas32.General, error) {
	return m.Encode(m.tabled(x), nil)
}

// LogVolume implements units.Units, in the middle of what Cover draws.
func (m *Margins) LogVolume(z, x blas32.General) ([]float64, error) {
	if x.Rows != z.Rows {
		return nil, fmt.Errorf("a density of rows takes the rows themselves: there are %d points and %d rows", z.Rows, x.Rows)
	}
	_, weights, err := m.Cover(m.tabled(x), nil)
	return weights, err
}

func (m *Margins) tabled(x blas32.General) *table.Table {
	if x.Cols != len(m.Columns) {
		return &table.Table{Columns: make([]table.Column, x.Cols)}
	}
	t := m.Like(x.Rows)
	for j := range t.Columns {
		for i := range t.Columns[j].Values {
			t.Columns[j].Values[i] = float64(batch.Row(x, i)[j])
		}
	}
	return t
}

// Draws says whether Encode draws something, so that each row stands for many
// points.
func (m *Margins) Draws() bool {
	for j := range m.Columns {
		c := &m.Columns[j]
		if c.Circle != nil || c.Simplex != nil {
			return true
		}
		for _, p := range c.atoms() {
			if p.Spline == nil || p.Step > 0 {
				return true
			}
		}
	}
	return false
}

// Corrected are the margins that give the data's own where z, (n, d), are draws
// of a model: each coordinate's distribution function takes it to scores, and
// cells hold their shares. What the coordinates have to do with each other stays
// that of the model.
func (m *Margins) Corrected(z blas32.General) (*Margins, error) {
	out := &Margins{Columns: slices.Clone(m.Columns), Format: m.Format}
	first := 0
	for j := range out.Columns {
		c := &out.Columns[j]
		law := c.law()
		if law == nil {
			continue
		}
		own := z
		own.Data, own.Cols = z.Data[first:], law.dim()
		var err error
		switch {
		case c.Scores != nil:
			c.Scores, err = c.Scores.corrected(own)
		case c.Simplex != nil:
			c.Simplex, err = c.Simplex.corrected(own)
		}
		if err != nil {
			return nil, fmt.Errorf("the margin of column %q: %w", c.Name, err)
		}
		first += law.dim()
	}
	return out, nil
}

// Scaled are the points z of columns that are centred and scaled in the units of
// the data, less the centres. ok says that float32 holds them and their squares.
func (m *Margins) Scaled(z blas32.General) (x blas32.General, ok bool) {
	const least, most = 1e-15, 1e15
	x, ok = batch.New(z.Rows, z.Cols), true
	k := 0
	for j := range m.Columns {
		if a := m.Columns[j].Affine; a != nil {
			ok = ok && a.Scale >= least && a.Scale <= most
			for i := range z.Rows {
				batch.Row(x, i)[k] = float32(a.Scale * float64(batch.Row(z, i)[k]))
			}
			k++
		}
	}
	return x, ok
}

// CommonScale gives all columns that are centred and scaled the same scale, the
// root mean square of theirs.
func (m *Margins) CommonScale() {
	var square, n float64
	for j := range m.Columns {
		if a := m.Columns[j].Affine; a != nil {
			square += a.Scale * a.Scale
			n++
		}
	}
	for j := range m.Columns {
		if a := m.Columns[j].Affine; a != nil {
			a.Scale = math.Sqrt(square / n)
		}
	}
}

// Known are the rows of t, counted from 0, that Encode can encode: they have no
// label and no missing value that the rows of Fit did not have.
func (m *Margins) Known(t *table.Table) (rows []int) {
	return knownRows(t, len(m.Columns), func(j int, v float64) bool { return m.Columns[j].known(v) })
}

// knownRows are the rows of t whose value in each of the first columns, j, is known.
func knownRows(t *table.Table, columns int, known func(j int, v float64) bool) (rows []int) {
	for i := range t.Rows() {
		all := true
		for j := range columns {
			all = all && known(j, t.Columns[j].Values[i])
		}
		if all {
			rows = append(rows, i)
		}
	}
	return rows
}

func (c *Column) known(v float64) bool {
	switch {
	case c.Scores != nil:
		return c.Scores.pieceOf(v) != nil
	case c.Simplex != nil:
		return c.Simplex.label(v) >= 0
	}
	return c.law() == nil || !math.IsNaN(v)
}
