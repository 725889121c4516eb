package margins

import (
	"cmp"
	"math"
	"slices"

	"cmf/data/table"
)

// Each of few different numbers is an atom: of fewIntegers, or of fewNumbers at
// most, each in ten rows on average.
const (
	fewIntegers = 40
	fewNumbers  = 200
)

// repeats says whether each different number is an atom.
func (f *facts) repeats(kind table.Kind) bool {
	n := len(f.distinct)
	return kind == table.Integer && n <= fewIntegers || n <= min(fewNumbers, len(f.values)/10)
}

// scores maps a column to normal scores.
func (f *fitting) scores(j int) error {
	c, facts := &f.m.Columns[j], &f.facts[j]
	labels := len(facts.distinct)
	if facts.null > 0 {
		labels++
	}
	if discrete(c.Kind) && labels <= mostCorners {
		return f.simplex(j)
	}
	b := &builder{c: c, facts: facts, f: f, step: stepOf(c, facts)}
	if facts.null > 0 {
		b.add(Piece{Null: true}, facts.null)
	}
	switch {
	case discrete(c.Kind):
		for _, label := range f.ordered(j) {
			b.atom(label)
		}
	case facts.repeats(c.Kind):
		for _, d := range facts.distinct {
			b.atom(d)
		}
	default:
		f.bounds(j)
		if err := b.numbers(); err != nil {
			return err
		}
	}
	b.pieces[len(b.pieces)-1].To = 1
	c.Scores = &Scores{Pieces: b.pieces, Labels: discrete(c.Kind)}
	return c.Scores.prepare()
}

// simplex maps a column of labels to the corners of a simplex.
func (f *fitting) simplex(j int) (err error) {
	facts := &f.facts[j]
	labels := slices.Clone(facts.distinct)
	if facts.null > 0 {
		labels = append(labels, weighted{float64(len(f.m.Columns[j].Labels)), facts.null})
	}
	f.m.Columns[j].Simplex, err = newSimplex(labels, facts.null > 0)
	return err
}

// builder cuts the values of a column into pieces.
type builder struct {
	c      *Column
	facts  *facts
	f      *fitting
	step   float64
	pieces []Piece
	share  float64
}

func (b *builder) add(p Piece, weight float64) {
	b.share += b.facts.share(weight)
	p.To = b.share
	b.pieces = append(b.pieces, p)
}

func (b *builder) atom(d weighted) { b.add(Piece{Atom: &d.v}, d.w) }

// numbers adds atoms, and stretches between them.
func (b *builder) numbers() error {
	var between []weighted
	flush := func(next float64) error {
		defer func() { between = nil }()
		return b.stretch(between, next)
	}
	for k, d := range b.facts.distinct {
		if !b.facts.isAtom(k) {
			between = append(between, d)
			continue
		}
		if err := flush(d.v); err != nil {
			return err
		}
		b.f.note("Column %q is %s in %.3g %% of the rows: that value holds mass.", b.c.Name, b.c.text(d.v), 100*b.facts.share(d.w))
		b.atom(d)
	}
	return flush(math.Inf(1))
}

// stretch adds values without atoms; next is the atom after them, or +∞.
func (b *builder) stretch(values []weighted, next float64) error {
	if len(values) == 0 {
		return nil
	}
	if len(values) < 4 {
		for _, d := range values {
			b.atom(d)
		}
		return nil
	}
	var weight float64
	for _, d := range values {
		weight += d.w
	}
	from := b.share
	to := from + b.facts.share(weight)
	last := b.share > 1-1e-12-b.facts.share(weight)
	sorted := b.spread(values)
	s, x := knots(sorted, from, to, last)
	// A stretch beside an atom ends there at a finite score.
	if from > 0 {
		first := sorted[0].v - (sorted[1].v-sorted[0].v)/2
		if k := len(b.pieces); b.pieces[k-1].Atom != nil {
			first = max(first, *b.pieces[k-1].Atom)
		}
		if b.c.Low != nil {
			first = max(first, *b.c.Low)
		}
		s, x = slices.Insert(s, 0, normalScore(from)), slices.Insert(x, 0, first)
	}
	if !last {
		n := len(sorted)
		s, x = append(s, normalScore(to)), append(x, min(next, sorted[n-1].v+(sorted[n-1].v-sorted[n-2].v)/2))
	}
	s, x = increasing(s, x)
	low, high := b.c.Low, b.c.High
	if from > 0 || low != nil && !(*low < x[0]) {
		low = nil
	}
	if !last || high != nil && !(*high > x[len(x)-1]) {
		high = nil
	}
	if len(s) < 2 {
		for _, d := range values {
			b.atom(d)
		}
		return nil
	}
	spline, err := newSpline(s, x, low, high)
	if err != nil {
		return err
	}
	b.add(Piece{Spline: spline, Step: b.step}, weight)
	return nil
}

// spread are the values in ascending order; rounded ones are spread over their
// step.
func (b *builder) spread(values []weighted) []weighted {
	if b.step == 0 {
		return values
	}
	const most = 100 // copies of a value
	var out []weighted
	for _, d := range values {
		copies := min(max(int(d.w), 1), most)
		for range copies {
			out = append(out, weighted{d.v + b.step*(b.f.rng.Float64()-.5), d.w / float64(copies)})
		}
	}
	slices.SortFunc(out, func(a, b weighted) int { return cmp.Compare(a.v, b.v) })
	return out
}

// knots are the ends of groups of neighbouring values: their mean scores and
// mean values. Groups are equal within the bulk, about 3·n^(1/3) of them, and
// get smaller towards the tails, where single values remain.
func knots(sorted []weighted, from, to float64, last bool) (s, x []float64) {
	var total float64
	for _, v := range sorted {
		total += v.w
	}
	n := len(sorted)
	largest := max(1, n/min(max(int(2*math.Cbrt(float64(n))), 4), 100))
	var before float64
	for k := 0; k < n; {
		size := 1
		if from == 0 || k >= largest { // towards the lower tail, if it is one
			size = max(size, k/2)
		} else {
			size = largest
		}
		if last {
			size = min(size, max(1, (n-k)/3))
		}
		size = min(size, largest, n-k)
		var weight, mean float64
		for _, v := range sorted[k : k+size] {
			weight += v.w
			mean += v.w * v.v
		}
		s = append(s, normalScore(from+(to-from)*(before+weight/2)/total))
		x = append(x, mean/weight)
		before += weight
		k += size
	}
	return s, x
}

// bounds finds bounds that the values suggest: 0 where none is negative or none
// is positive, 1 or 100 where they fill the range from 0 to there.
func (f *fitting) bounds(j int) {
	c, facts := &f.m.Columns[j], &f.facts[j]
	if _, given := f.o.Hints[f.t.Name(j)]; given || c.Kind == table.Time {
		return
	}
	zero := 0.
	low, high := facts.values[0].v, facts.values[len(facts.values)-1].v
	switch {
	case low >= 0:
		c.Low = &zero
		for _, most := range []float64{1, 100} {
			if high <= most && high >= .97*most && low <= .1*most {
				c.High = &most
				f.note("The values of column %q are taken to lie between 0 and %g; CMF_COLUMNS sets other bounds.", f.t.Name(j), most)
			}
		}
		if c.High == nil && facts.quantile(.5) > 0 && low < facts.quantile(.5)/4 {
			f.note("Column %q has no negative values: none is generated; CMF_COLUMNS sets other bounds.", f.t.Name(j))
		}
	case high <= 0:
		c.High = &zero
		f.note("Column %q has no positive values: none is generated; CMF_COLUMNS sets other bounds.", f.t.Name(j))
	}
}
