package margins

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"cmf/data/table"
	"cmf/solvers/random"
)

// Options say how columns are learned.
type Options struct {
	Hints map[string]Hint // by the names of columns

	// Weights of the rows, nil for equal ones.
	Weights []float64

	// Normal maps all columns to normal scores and Plain none that is smooth and
	// real. Otherwise all are, unless all columns are smooth and real.
	Normal, Plain bool
}

// Hint is what a user says of a column.
type Hint struct {
	Low, High *float64 // bounds
	Circular  bool     // from Low to High
}

// A value holds mass if a share of atomShare of the rows has it, or one of aloneShare where the
// values next to it, two on each side, are atomAlone times as rare: such as −999 for a value that
// was not measured, or a limit of an instrument.
const (
	atomShare, atomRows   = .03, 3
	aloneShare, aloneRows = .003, 12
	atomAlone             = 10
)

// Fit finds the laws of the columns of a table by its rows. rng spreads rounded
// values. The notes say what was found.
func Fit(t *table.Table, o Options, rng *random.Stream) (m *Margins, notes Notes, err error) {
	m = &Margins{Format: t.Format}
	for j := range t.Columns {
		c := t.Columns[j]
		c.Values = nil
		m.Columns = append(m.Columns, Column{Column: c})
	}
	f := &fitting{all: t, t: t, m: m, o: o, rng: rng, facts: make([]facts, len(t.Columns))}
	for j := range m.Columns {
		f.facts[j] = factsOf(&t.Columns[j], o.Weights)
		if err := f.facts[j].span(); err != nil {
			return nil, Notes{}, fmt.Errorf("column %q: %w", t.Name(j), err)
		}
		f.constant(j)
	}
	f.t = some(t)
	f.lookups()
	f.linear()
	plain := o.Plain || !o.Normal && f.smooth()
	for j := range m.Columns {
		if err := f.learn(j, plain); err != nil {
			return nil, Notes{}, fmt.Errorf("column %q: %w", t.Name(j), err)
		}
	}
	return m, f.notes, m.Check(m.Learned())
}

// fitting is the work of Fit.
type fitting struct {
	all   *table.Table
	t     *table.Table // the rows that are seen
	m     *Margins
	o     Options
	rng   *random.Stream
	facts []facts
	notes Notes
}

func (f *fitting) note(format string, args ...any) {
	f.notes.Found = append(f.notes.Found, fmt.Sprintf(format, args...))
}

// Notes say in sentences what was found about columns.
type Notes struct {
	Found    []string
	Warnings []string // of what may be faults of the data
}

// enoughRows are rows that give the law of a column of numbers closely: of
// longer tables every k-th row is seen.
const enoughRows = 200_000

func stride(rows int) int { return (rows + enoughRows - 1) / enoughRows }

// some are the rows that are seen.
func some(t *table.Table) *table.Table {
	by := stride(t.Rows())
	if by <= 1 {
		return t
	}
	var rows []int
	for i := 0; i < t.Rows(); i += by {
		rows = append(rows, i)
	}
	return t.Rowed(rows)
}

// facts are what the rows say of a column.
type facts struct {
	values    []weighted // without missing ones, ascending
	total     float64    // weight of the rows that were seen
	null      float64    // weight of missing values
	distinct  []weighted // values and their weights, ascending
	low, high int        // the rows of the least and the largest value, of all rows
}

type weighted struct{ v, w float64 }

func factsOf(c *table.Column, weights []float64) (f facts) {
	by := stride(len(c.Values))
	if discrete(c.Kind) || few(c.Values) {
		by = 1 // so that no value is missed
	}
	f.values = make([]weighted, 0, len(c.Values)/max(by, 1)+1)
	f.low, f.high = -1, -1
	for i, v := range c.Values {
		w := 1.
		if weights != nil {
			w = weights[i]
		}
		if w > 0 && (f.low < 0 || v < c.Values[f.low]) && !math.IsNaN(v) {
			f.low = i
		}
		if w > 0 && (f.high < 0 || v > c.Values[f.high]) && !math.IsNaN(v) {
			f.high = i
		}
		if i%by != 0 && i != f.low && i != f.high {
			continue
		}
		f.total += w
		switch {
		case math.IsNaN(v):
			f.null += w
		case w > 0:
			f.values = append(f.values, weighted{v, w})
		}
	}
	slices.SortFunc(f.values, func(a, b weighted) int { return cmp.Compare(a.v, b.v) })
	for _, x := range f.values {
		if n := len(f.distinct); n > 0 && f.distinct[n-1].v == x.v {
			f.distinct[n-1].w += x.w
			continue
		}
		f.distinct = append(f.distinct, x)
	}
	return f
}

// few says whether a column has few different values.
func few(values []float64) bool {
	seen := map[float64]bool{}
	for _, v := range values {
		if !math.IsNaN(v) {
			seen[v] = true
		}
		if len(seen) > fewNumbers {
			return false
		}
	}
	return true
}

// share is the share of a weight among all rows.
func (f *facts) share(w float64) float64 { return w / f.total }

// isAtom says whether the k-th different value holds mass.
func (f *facts) isAtom(k int) bool {
	w := f.distinct[k].w
	if share := f.share(w); share > atomShare {
		return w > atomRows
	} else if share < aloneShare || w <= aloneRows {
		return false
	}
	for i := max(0, k-2); i < min(k+3, len(f.distinct)); i++ {
		if i != k && w < atomAlone*f.distinct[i].w {
			return false
		}
	}
	return true
}

// atoms says whether any value holds mass.
func (f *facts) atoms() bool {
	for k := range f.distinct {
		if f.isAtom(k) {
			return true
		}
	}
	return false
}

// quantile is the value below which a share of the rows with a value lies.
func (f *facts) quantile(share float64) float64 {
	n := len(f.values)
	return f.values[min(int(share*float64(n)), n-1)].v
}

// constant remembers a column of one value.
func (f *fitting) constant(j int) {
	c, facts := &f.m.Columns[j], &f.facts[j]
	switch {
	case len(facts.distinct) == 0:
		c.Constant = &Constant{Null: true}
		f.note("Column %q has no values in the rows to learn from: it is written back empty.", f.t.Name(j))
	case len(facts.distinct) == 1 && facts.null == 0:
		c.Constant = &Constant{Value: facts.distinct[0].v}
		f.note("Column %q is %s in all rows to learn from: it is left out and written back.", f.t.Name(j), c.text(facts.distinct[0].v))
	}
}

func discrete(kind table.Kind) bool { return kind == table.Category || kind == table.Boolean }

// smooth says whether all columns that are learned are real, without missing
// values, atoms, bounds and tails.
func (f *fitting) smooth() bool {
	for j := range f.m.Columns {
		c, facts := &f.m.Columns[j], &f.facts[j]
		if c.determined() {
			continue
		}
		if hint, ok := f.o.Hints[f.t.Name(j)]; ok && (hint.Circular || hint.Low != nil || hint.High != nil) {
			return false
		}
		if discrete(c.Kind) || facts.null > 0 || c.Kind == table.Integer || c.Kind == table.Time && len(facts.distinct) < len(facts.values)/2 {
			return false
		}
		if facts.repeats(c.Kind) || facts.atoms() {
			return false
		}
		if _, far := facts.tails(); far > 0 {
			return false
		}
	}
	return true
}

// tails counts the values further than ten robust deviations from the median,
// the interquartile range over 1.349 being one.
func (f *facts) tails() (scale float64, far int) {
	scale = (f.quantile(.75) - f.quantile(.25)) / 1.349
	median := f.quantile(.5)
	if scale == 0 {
		return 0, 0
	}
	for _, x := range f.values {
		if math.Abs(x.v-median) > 10*scale {
			far++
		}
	}
	return scale, far
}

// determined says whether the column is not learned.
func (c *Column) determined() bool { return c.Constant != nil || c.Linear != nil || c.Lookup != nil }

// learn gives a column its law.
func (f *fitting) learn(j int, plain bool) error {
	c, facts := &f.m.Columns[j], &f.facts[j]
	if c.determined() {
		return nil
	}
	hint := f.o.Hints[f.t.Name(j)]
	c.Low, c.High = hint.Low, hint.High
	if hint.Circular {
		c.Circle = &Circle{Low: *hint.Low, High: *hint.High, Step: stepOf(c, facts)}
		c.Low, c.High = nil, nil
		return nil
	}
	if plain && !discrete(c.Kind) && facts.null == 0 {
		c.Affine = affineOf(facts)
		f.outliers(j)
		return nil
	}
	f.outliers(j)
	return f.scores(j)
}

// affineOf is the mean and the standard deviation. They are formed in units of a power of two
// near the largest value, where squares neither overflow nor vanish.
func affineOf(f *facts) *Affine {
	n := len(f.values)
	_, exponent := math.Frexp(math.Max(math.Abs(f.values[0].v), math.Abs(f.values[n-1].v)))
	at := func(x weighted) float64 { return math.Ldexp(x.v, -exponent) }
	var mean, square float64
	origin := at(f.values[0])
	for _, x := range f.values {
		mean += x.w / f.total * (at(x) - origin)
	}
	for _, x := range f.values {
		square += x.w / f.total * (at(x) - origin - mean) * (at(x) - origin - mean)
	}
	sd := math.Sqrt(square * float64(n) / (float64(n) - 1))
	return &Affine{Center: math.Ldexp(origin+mean, exponent), Scale: math.Ldexp(sd, exponent)}
}

// span refuses a column whose differences float64 does not hold.
func (f *facts) span() error {
	if n := len(f.values); n > 0 && math.IsInf(f.values[n-1].v-f.values[0].v, 0) {
		return fmt.Errorf("its values go from %g to %g, further than float64 reaches; divide them by a constant", f.values[0].v, f.values[n-1].v)
	}
	return nil
}

// outliers warns of values far from all others.
func (f *fitting) outliers(j int) {
	c, facts := &f.m.Columns[j], &f.facts[j]
	if discrete(c.Kind) {
		return
	}
	scale, far := facts.tails()
	n := len(facts.values)
	if far == 0 || scale == 0 {
		return
	}
	low, high, extreme := facts.values[0].v, facts.values[n-1].v, facts.high
	if median := facts.quantile(.5); median-low > high-median {
		extreme = facts.low
	}
	f.notes.Warnings = append(f.notes.Warnings, fmt.Sprintf("Column %q has %d of %d values further than ten robust deviations (%.3g) from its median %.4g; the furthest is %s, in row %d of those to learn from. "+
		"They are learned like all others: if they are faults, leave out their rows or empty their fields.",
		f.t.Name(j), far, n, scale, facts.quantile(.5), c.text(f.all.Columns[j].Values[extreme]), extreme+1))
}

// stepOf is the step of a column's values where they are rounded so that many
// agree, else 0.
func stepOf(c *Column, f *facts) float64 {
	unit := 1.
	switch {
	case c.Kind == table.Integer, c.Kind == table.Time:
	case c.Kind == table.Real && c.Decimals >= 0 && len(f.distinct) < 9*len(f.values)/10:
		unit = math.Pow10(-c.Decimals)
	default:
		return 0
	}
	var step int64 // the greatest that divides all values
	for _, x := range f.distinct {
		r := x.v / unit
		n := math.Round(r)
		if math.Abs(r-n) > 1e-6*math.Max(1, math.Abs(r)) || math.Abs(n) > 1<<53 {
			return 0
		}
		step = divisor(step, int64(math.Abs(n)))
	}
	return float64(step) * unit
}

// divisor is the greatest common divisor.
func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
