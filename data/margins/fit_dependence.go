package margins

import (
	"cmp"
	"math"
	"slices"

	"cmf/data/table"

	"gonum.org/v1/gonum/mat"
)

// lookups finds columns of labels that another one determines.
func (f *fitting) lookups() {
	for j := range f.m.Columns {
		c := &f.m.Columns[j]
		for from := range j {
			of := &f.m.Columns[from]
			if c.Kind != table.Category || of.Kind != table.Category || c.determined() || of.determined() ||
				f.facts[from].null > 0 || len(of.Labels) > f.all.Rows()/5 {
				continue
			}
			if l := lookup(f.all.Columns[from].Values, f.all.Columns[j].Values, len(of.Labels)); l != nil {
				l.From = from
				c.Lookup = l
				f.note("Column %q follows from column %q: it is left out and written back.", f.t.Name(j), f.t.Name(from))
			}
		}
	}
}

// lookup is the function from labels a to labels b, nil if there is none.
func lookup(a, b []float64, labels int) *Lookup {
	const unknown = -2
	l := &Lookup{Labels: make([]int, labels), Null: -1}
	for k := range l.Labels {
		l.Labels[k] = unknown
	}
	for i, v := range a {
		label := -1
		if !math.IsNaN(b[i]) {
			label = int(b[i])
		}
		switch to := &l.Labels[int(v)]; *to {
		case unknown:
			*to = label
		case label:
		default:
			return nil
		}
	}
	for k, label := range l.Labels {
		if label == unknown {
			l.Labels[k] = -1
		}
	}
	return l
}

// linear finds columns of numbers that are combinations of earlier ones, but
// for less than a millionth of their variance.
func (f *fitting) linear() {
	const near = 1e-6
	var columns []int
	for j := range f.m.Columns {
		c := &f.m.Columns[j]
		hint := f.o.Hints[f.t.Name(j)]
		if !c.determined() && !discrete(c.Kind) && f.facts[j].null == 0 && !hint.Circular {
			columns = append(columns, j)
		}
	}
	if len(columns) < 2 {
		return
	}
	z, laws := f.standardised(columns)
	n, p := z.Dims()
	var gram mat.Dense
	gram.Mul(z.T(), z)
	gram.Scale(1/float64(n), &gram)
	// Rows of the Cholesky factor of the correlations of the columns kept so far.
	var kept []int
	factor := make([][]float64, p)
	for k := range p {
		row := make([]float64, len(kept))
		rest := gram.At(k, k)
		for a, other := range kept {
			v := gram.At(k, other)
			for b := range a {
				v -= row[b] * factor[other][b]
			}
			row[a] = v / factor[other][a]
			rest -= row[a] * row[a]
		}
		if rest > near {
			factor[k] = append(row, math.Sqrt(rest))
			kept = append(kept, k)
			continue
		}
		f.combine(z, laws, columns, kept, k)
	}
}

// standardised are the columns less their means over their deviations.
func (f *fitting) standardised(columns []int) (*mat.Dense, []*Affine) {
	z := mat.NewDense(f.t.Rows(), len(columns), nil)
	laws := make([]*Affine, len(columns))
	for k, j := range columns {
		laws[k] = affineOf(&f.facts[j])
		for i := range z.RawMatrix().Rows {
			z.Set(i, k, (f.t.Columns[j].Values[i]-laws[k].Center)/laws[k].Scale)
		}
	}
	return z, laws
}

// combine makes column k of z a combination of those kept, by least squares.
func (f *fitting) combine(z *mat.Dense, laws []*Affine, columns, kept []int, k int) {
	n, _ := z.Dims()
	x := mat.NewDense(n, len(kept), nil)
	for a, other := range kept {
		x.SetCol(a, mat.Col(nil, other, z))
	}
	y := mat.Col(nil, k, z)
	var solution mat.VecDense
	if err := solution.SolveVec(x, mat.NewVecDense(n, y)); err != nil {
		return // learned like any other column
	}
	var fitted mat.VecDense
	fitted.MulVec(x, &solution)
	var square float64
	for i, v := range y {
		square += (v - fitted.AtVec(i)) * (v - fitted.AtVec(i)) / float64(n)
	}
	j, l := columns[k], &Linear{Offset: laws[k].Center}
	names := []string{}
	for a, other := range kept {
		w := solution.AtVec(a)
		if math.Abs(w) < 1e-7 {
			continue
		}
		scaled := neat(w * laws[k].Scale / laws[other].Scale)
		l.From, l.Weights = append(l.From, columns[other]), append(l.Weights, scaled)
		l.Offset -= scaled * laws[other].Center
		names = append(names, f.t.Name(columns[other]))
	}
	if offset := math.Round(l.Offset); math.Abs(l.Offset-offset) < 1e-7*laws[k].Scale {
		l.Offset = offset
	}
	if spread := math.Sqrt(square); spread > 1e-7 {
		l.Spread = spread * laws[k].Scale
	}
	f.m.Columns[j].Linear = l
	f.note("Column %q is a linear combination of %q, but for %.2g of its deviation: it is left out and written back.", f.t.Name(j), names, math.Sqrt(square))
}

// neat rounds a weight that is nearly a number of few digits.
func neat(w float64) float64 {
	for _, digits := range []float64{1, 1e3} {
		if r := math.Round(w*digits) / digits; r != 0 && math.Abs(w-r) < 1e-7*math.Abs(r) {
			return r
		}
	}
	return w
}

// ordered are the labels of a column with their weights, in the order of what
// the numbers of the table say about them: the mean of their leading direction.
// The labels of a table without numbers keep the order in which they occur.
func (f *fitting) ordered(j int) []weighted {
	labels := slices.Clone(f.facts[j].distinct)
	if f.m.Columns[j].Kind == table.Boolean {
		return labels
	}
	direction := f.leading(j)
	if direction == nil {
		return labels
	}
	mean, count := map[float64]float64{}, map[float64]float64{}
	for i, v := range f.t.Columns[j].Values {
		if !math.IsNaN(v) && !math.IsNaN(direction[i]) {
			mean[v] += direction[i]
			count[v]++
		}
	}
	at := func(v float64) float64 { return mean[v] / max(count[v], 1) }
	slices.SortStableFunc(labels, func(a, b weighted) int { return cmp.Compare(at(a.v), at(b.v)) })
	return labels
}

// leading is each row's coordinate along the leading direction between the
// labels of column j: that along which the mean normal ranks of the labels vary most.
func (f *fitting) leading(j int) []float64 {
	n := f.t.Rows()
	labels := f.t.Columns[j].Values
	count := make([]float64, len(f.m.Columns[j].Labels))
	for _, v := range labels {
		if !math.IsNaN(v) {
			count[int(v)]++
		}
	}
	var ranks [][]float64
	for k := range f.m.Columns {
		c := &f.m.Columns[k]
		if c.determined() || discrete(c.Kind) || len(f.facts[k].distinct) < 3 {
			continue
		}
		ranks = append(ranks, f.normalRanks(k))
	}
	if len(ranks) == 0 {
		return nil
	}
	between := mat.NewSymDense(len(ranks), nil)
	means := make([][]float64, len(ranks))
	for a, r := range ranks {
		means[a] = make([]float64, len(count))
		for i, v := range labels {
			if !math.IsNaN(v) {
				means[a][int(v)] += r[i] / count[int(v)]
			}
		}
	}
	for a := range ranks {
		for b := range a + 1 {
			var sum float64
			for l, c := range count {
				sum += c / float64(n) * means[a][l] * means[b][l]
			}
			between.SetSym(a, b, sum)
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(between, true) {
		return nil
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	out := make([]float64, n)
	for a, r := range ranks {
		v := vectors.At(a, len(ranks)-1)
		for i := range out {
			out[i] += v * r[i]
		}
	}
	return out
}

// normalRanks are the normal scores of a column's values, 0 where missing.
func (f *fitting) normalRanks(j int) []float64 {
	facts := &f.facts[j]
	scores := make(map[float64]float64, len(facts.distinct))
	var before, total float64
	for _, d := range facts.distinct {
		total += d.w
	}
	for _, d := range facts.distinct {
		scores[d.v] = normalScore((before + d.w/2) / total)
		before += d.w
	}
	out := make([]float64, f.t.Rows())
	for i, v := range f.t.Columns[j].Values {
		if !math.IsNaN(v) {
			out[i] = scores[v]
		}
	}
	return out
}
