package margins

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

var nan = math.NaN()

// mixed has a column of each kind.
func mixed(n int) *table.Table {
	rng := random.New(1, "table", 0)
	t := &table.Table{Columns: []table.Column{
		{Name: "real", Kind: table.Real, Decimals: -1},
		{Name: "rain", Kind: table.Real, Decimals: 3},
		{Name: "age", Kind: table.Integer},
		{Name: "children", Kind: table.Integer},
		{Name: "city", Kind: table.Category, Labels: []string{"Rome", "Oslo", "Bonn"}},
		{Name: "member", Kind: table.Boolean, Labels: []string{"no", "yes"}},
		{Name: "score", Kind: table.Real, Decimals: -1},
		{Name: "wind", Kind: table.Integer},
		{Name: "year", Kind: table.Integer},
		{Name: "country", Kind: table.Category, Labels: []string{"Italy", "Norway", "Germany"}},
		{Name: "sum", Kind: table.Real, Decimals: -1},
	}}
	t = t.Like(n)
	for i := range n {
		e := rng.NormFloat64()
		rain, score := 0., math.NaN()
		if rng.Float64() < .3 {
			rain = math.Ceil(1000*rng.ExpFloat64()) / 1000
		}
		if rng.Float64() < .8 {
			score = 1 / (1 + math.Exp(-e))
		}
		city := float64(rng.IntN(3))
		for j, v := range []float64{
			e, rain, 18 + math.Floor(60*rng.Float64()), float64(rng.IntN(4)), city, float64(rng.IntN(2)),
			score, float64(rng.IntN(360)), 2020, city, 3*e - 2*rain + 1,
		} {
			t.Columns[j].Values[i] = v
		}
	}
	return t
}

func fitted(t *testing.T, data *table.Table, o Options) (*Margins, Notes) {
	t.Helper()
	m, notes, err := Fit(data, o, random.New(1, "margins", 0))
	if err != nil {
		t.Fatal(err)
	}
	return m, notes
}

func circle() Options {
	zero, turn := 0., 360.
	return Options{Hints: map[string]Hint{"wind": {Low: &zero, High: &turn, Circular: true}}}
}

// Every row comes back as it was, through the text of a checkpoint, and what
// others determine is not learned.
func TestRowsComeBack(t *testing.T) {
	data := mixed(600)
	m, notes := fitted(t, data, circle())
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	m = new(Margins)
	if err := json.Unmarshal(text, m); err != nil {
		t.Fatal(err)
	}
	const learned = 10 // two of them of the circle, two of the labels
	if err := m.Check(learned); err != nil {
		t.Fatal(err)
	}
	z, err := m.Encode(data, random.New(1, "encoding", 0))
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Decode(z, nil)
	if err != nil {
		t.Fatal(err)
	}
	for j, c := range data.Columns {
		for i, v := range c.Values {
			if w := back.Columns[j].Values[i]; math.Abs(v-w) > 2e-5*(1+math.Abs(v)) || math.IsNaN(v) != math.IsNaN(w) {
				t.Fatalf("column %s, row %d: %g comes back as %g", c.Name, i, v, w)
			}
		}
	}
	for _, want := range []string{`"rain" is 0 in`, `"year" is 2020 in all`, `"country" follows from column "city"`, `"sum" is a linear combination of ["real" "rain"]`} {
		if !slices.ContainsFunc(notes.Found, func(n string) bool { return strings.Contains(n, want) }) {
			t.Errorf("no note with %q among %q", want, notes)
		}
	}
}

// Each coordinate of a column in scores is standard normal, and its values have
// the probabilities of the data under N(0, 1). All probabilities add to 1.
func TestProbabilitiesAddToOne(t *testing.T) {
	data := mixed(4000)
	m, _ := fitted(t, data, Options{Normal: true})
	wide, err := newSpline([]float64{-4, -1, 0, 4}, []float64{-5, -.8, .1, 5}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, corrected := range []bool{false, true} {
		for j := range m.Columns {
			c := &m.Columns[j]
			if c.Scores == nil {
				continue
			}
			c.Scores.Model = nil
			if corrected {
				c.Scores.Model = wide
			}
			mass := probability(t, c)
			if math.Abs(mass-1) > .01 {
				t.Errorf("column %s, corrected %t: its probabilities add to %.4f", c.Name, corrected, mass)
			}
		}
	}
}

// probability is the mass of all values of a column whose score is N(0, 1).
func probability(t *testing.T, c *Column) (mass float64) {
	t.Helper()
	rng := random.New(1, "probability", 0)
	z := make([]float32, 1)
	at := func(v float64) float64 {
		const draws = 200
		var sum float64
		for range draws {
			w, err := c.law().encode(v, z, rng, true)
			if err != nil {
				t.Fatal(err)
			}
			// The density of z, where Model(z) ~ N(0, 1).
			s, slope := float64(z[0]), 1.
			if c.Scores.Model != nil {
				s, slope = c.Scores.Model.at(s)
			}
			sum += math.Exp(w-s*s/2) / math.Sqrt(2*math.Pi) * slope / draws
		}
		return sum
	}
	for _, p := range c.Scores.Pieces {
		switch {
		case p.Null:
			mass += at(nan)
		case p.Atom != nil:
			mass += at(*p.Atom)
		default:
			low, high := p.before(), p.Spline.X[len(p.Spline.X)-1]
			if math.IsInf(low, -1) {
				low, _ = p.Spline.at(-7)
			}
			if math.IsInf(p.to, 1) {
				high, _ = p.Spline.at(7)
			}
			step := p.Step
			if step == 0 {
				step = (high - low) / 4000
			}
			for v := math.Floor(low/step) * step; v <= high+step; v += step {
				if c.Scores.pieceOf(v) != nil && c.Scores.pieceOf(v).Spline == p.Spline {
					d := at(v)
					if p.Step == 0 {
						d *= step
					}
					mass += d
				}
			}
		}
	}
	return mass
}

// Labels come back from points about their corners, have their shares again under
// a law for which the cells are corrected, and probabilities that add to one.
func TestCellsOfLabels(t *testing.T) {
	rng := random.New(1, "cells", 0)
	shares := []float64{.5, .3, .15, .05}
	labels := make([]weighted, len(shares))
	for k, s := range shares {
		labels[k] = weighted{float64(k), s}
	}
	c, err := newSimplex(labels, true)
	if err != nil {
		t.Fatal(err)
	}
	// A model whose corners are a little wider and whose shares are .4, .3, .2, .1.
	const n, wide = 20_000, .4
	model := []float64{.4, .3, .2, .1}
	density := func(z []float32) (sum float64) {
		for k, share := range model {
			var square float64
			for j, v := range z {
				e := (float64(v) - cornerRadius*float64(c.corners[k][j])) / wide
				square += e * e
			}
			sum += share * math.Exp(-square/2) / math.Pow(2*math.Pi*wide*wide, 1.5)
		}
		return sum
	}
	draws := batch.New(n, 3)
	for i := range n {
		k := 0
		for u := float64(i) / n; u >= model[k]; k++ {
			u -= model[k]
		}
		for j := range 3 {
			batch.Row(draws, i)[j] = float32(cornerRadius*float64(c.corners[k][j]) + wide*rng.NormFloat64())
		}
	}
	corrected, err := c.corrected(draws)
	if err != nil {
		t.Fatal(err)
	}
	count := make([]float64, len(shares))
	for i := range n {
		count[corrected.cell(batch.Row(draws, i))] += 1. / n
	}
	z := make([]float32, 3)
	var before, after float64
	for k := range shares {
		v := float64(k)
		if k == len(shares)-1 {
			v = nan
		}
		if math.Abs(count[k]-shares[k]) > .005 {
			t.Errorf("label %d has the share %.4f of the draws, want %.2f", k, count[k], shares[k])
		}
		for range n {
			w, err := c.encode(v, z, rng, true)
			if err != nil {
				t.Fatal(err)
			}
			if back := c.decode(z); back != v && !math.IsNaN(back+v) {
				t.Fatalf("label %g comes back as %g", v, back)
			}
			before += density(z) * math.Exp(w) / n
			w, err = corrected.encode(v, z, rng, true)
			if err != nil {
				t.Fatal(err)
			}
			after += density(z) * math.Exp(w) / n
		}
	}
	if math.Abs(before-1) > .05 || math.Abs(after-1) > .1 {
		t.Errorf("the probabilities add to %.3f, corrected to %.3f", before, after)
	}
}

// The density on a circle integrates to one for a law about the circle.
func TestProbabilityOnACircle(t *testing.T) {
	c := &Circle{Low: -180, High: 180}
	rng := random.New(1, "circle", 0)
	z := make([]float32, 2)
	var mass float64
	const n = 40_000
	for range n {
		w, err := c.encode(-180+360*rng.Float64(), z, rng, true)
		if err != nil {
			t.Fatal(err)
		}
		r, cos := math.Hypot(float64(z[0]), float64(z[1])), float64(z[0])
		e, shape := (math.Log(r)-.25)/.2, (1+.5*cos/r)/(2*math.Pi*r)
		mass += 360. / n * math.Exp(w-e*e/2) / (math.Sqrt(2*math.Pi) * .2 * r) * shape
	}
	if math.Abs(mass-1) > .03 {
		t.Errorf("the mass is %.3f", mass)
	}
}

// Scores of a column with mass at 0, bounds and tails are normal, and normal
// scores give its law back.
func TestScoresAreNormal(t *testing.T) {
	data := mixed(4000)
	m, _ := fitted(t, data, Options{Normal: true})
	z, err := m.Encode(data, random.New(2, "encoding", 0))
	if err != nil {
		t.Fatal(err)
	}
	for k := range z.Cols {
		if k >= 4 && k <= 6 { // of the labels
			continue
		}
		column := batch.Column(z, k)
		slices.Sort(column)
		var worst float64
		for i, v := range column {
			worst = max(worst, math.Abs(normalShare(float64(v))-(float64(i)+.5)/float64(len(column))))
		}
		if worst > .02 {
			t.Errorf("coordinate %d: its distribution is %.3f from the normal one", k+1, worst)
		}
	}
	draws := batch.New(4000, z.Cols)
	random.New(3, "draws", 0).Normals(draws.Data)
	back, err := m.Decode(draws, nil)
	if err != nil {
		t.Fatal(err)
	}
	for j, c := range data.Columns {
		if c.Name == "sum" || c.Name == "city" || c.Name == "country" || c.Name == "member" { // the draws have other sums and labels
			continue
		}
		for _, v := range back.Columns[j].Values {
			if (c.Name == "rain" || c.Name == "score") && (v < 0 || c.Name == "score" && v > 1) {
				t.Fatalf("column %s has %g", c.Name, v)
			}
		}
		if d := kolmogorov(c.Values, back.Columns[j].Values); d > .04 {
			t.Errorf("column %s: distance %.3f of the distributions", c.Name, d)
		}
	}
}

// A value that holds mass is found by its share or, down to few rows, because its neighbours are
// rare: −999 for what was not measured, the limit of a scale. Rounding makes no such values.
func TestValuesThatHoldMass(t *testing.T) {
	rng := random.New(1, "mass", 0)
	const rows = 5000
	measured, rounded, smooth := make([]float64, rows), make([]float64, rows), make([]float64, rows)
	for i := range rows {
		measured[i], rounded[i], smooth[i] = min(rng.NormFloat64(), 2), math.Round(50*rng.NormFloat64())/50, rng.NormFloat64()
		if i%250 == 0 { // 20 rows
			measured[i] = -999
		}
	}
	data := &table.Table{Columns: []table.Column{
		{Name: "measured", Kind: table.Real, Decimals: -1, Values: measured},
		{Name: "rounded", Kind: table.Real, Decimals: 2, Values: rounded},
		{Name: "smooth", Kind: table.Real, Decimals: -1, Values: smooth},
	}}
	m, _ := fitted(t, data, Options{})
	draws := batch.New(20000, 3)
	random.New(2, "draws", 0).Normals(draws.Data)
	back, err := m.Decode(draws, nil)
	if err != nil {
		t.Fatal(err)
	}
	var missing, limit int
	for _, v := range back.Columns[0].Values {
		switch {
		case v == -999:
			missing++
		case v == 2:
			limit++
		case v < -8 || v > 2:
			t.Fatalf("%g lies where there is nothing", v)
		}
	}
	if math.Abs(float64(missing)-.004*20000) > 4*9 || math.Abs(float64(limit)-.0228*20000) > 4*25 {
		t.Errorf("of 20000 values %d are -999 and %d the limit", missing, limit)
	}
	for _, c := range m.Columns[1:] {
		if c.Scores == nil {
			t.Fatalf("column %s has no scores", c.Name)
		}
		for _, p := range c.Scores.Pieces {
			if p.Atom != nil {
				t.Errorf("column %s: %g holds mass", c.Name, *p.Atom)
			}
		}
	}
}

// kolmogorov is the largest difference of two distribution functions, that of
// missing values before all others.
func kolmogorov(a, b []float64) (d float64) {
	below := func(x []float64, v float64) (n float64) {
		for _, u := range x {
			if math.IsNaN(u) || u <= v {
				n++
			}
		}
		return n / float64(len(x))
	}
	for _, v := range a[:200] {
		if math.IsNaN(v) {
			v = math.Inf(-1)
		}
		d = max(d, math.Abs(below(a, v)-below(b, v)))
	}
	return d
}

// Smooth real columns are centred and scaled, in float64: times of 2²⁴ and more
// keep their differences.
func TestPlainColumns(t *testing.T) {
	data := (&table.Table{Columns: []table.Column{{Name: "t", Kind: table.Real, Decimals: -1}, {Name: "x", Kind: table.Real, Decimals: -1}}}).Like(500)
	rng := random.New(1, "times", 0)
	for i := range data.Columns[0].Values {
		data.Columns[0].Values[i] = 1.7e9 + 1000*rng.NormFloat64()
		data.Columns[1].Values[i] = 2e20 * (1 + rng.NormFloat64())
	}
	m, notes := fitted(t, data, Options{})
	if m.Normal() || len(notes.Found)+len(notes.Warnings) != 0 {
		t.Errorf("columns %+v with notes %q", m.Columns, notes)
	}
	z, w, err := m.Cover(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Decode(z, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range data.Columns[0].Values {
		if math.Abs(back.Columns[0].Values[i]-v) > 1e-3 {
			t.Fatalf("time %f comes back as %f", v, back.Columns[0].Values[i])
		}
	}
	if want := -math.Log(m.Columns[0].Affine.Scale * m.Columns[1].Affine.Scale); math.Abs(w[0]-want) > 1e-9 {
		t.Errorf("log volume %g, want %g", w[0], want)
	}
	data.Columns[0].Values[7] = 9e9
	if m, notes = fitted(t, data, Options{}); !m.Normal() || len(notes.Warnings) != 1 || !strings.Contains(notes.Warnings[0], "9e+09, in row 8") {
		t.Errorf("with an outlier: normal %t, notes %q", m.Normal(), notes)
	}
}

func TestEncodeRefuses(t *testing.T) {
	data := mixed(600)
	m, _ := fitted(t, data, Options{})
	for name, c := range map[string]struct {
		change func(*table.Table)
		want   string
	}{
		"missing": {func(d *table.Table) { d.Columns[4].Values[2] = nan }, `row 3, column "city": a missing value: it was not seen`},
		"unseen":  {func(d *table.Table) { d.Columns[5].Values[0] = 2 }, `row 1, column "member": 2: it was not seen`},
		"columns": {func(d *table.Table) { d.Columns = d.Columns[1:] }, `it has 10 columns; the model has 11`},
		"names":   {func(d *table.Table) { d.Columns[0].Name = "imaginary" }, `its column 1 is called "imaginary", that of the model "real"`},
	} {
		rows := data.Rowed([]int{0, 1, 2})
		c.change(rows)
		if _, err := m.Encode(rows, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	rows := data.Rowed([]int{0, 1})
	rows.Columns[3].Values[0], rows.Columns[3].Values[1] = 9, 1.4 // taken for the nearest numbers
	z, err := m.Encode(rows, nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Decode(z, nil)
	if err != nil || back.Columns[3].Values[0] != 3 || back.Columns[3].Values[1] != 1 {
		t.Errorf("9 and 1.4 children become %v: %v", back.Columns[3].Values, err)
	}
	for name, spoil := range map[string]func(*Margins){
		"two laws":  func(m *Margins) { m.Columns[0].Affine = &Affine{0, 1} },
		"no law":    func(m *Margins) { m.Columns[0].Scores = nil },
		"pieces":    func(m *Margins) { m.Columns[0].Scores.Pieces[0].To = .5 },
		"reference": func(m *Margins) { m.Columns[10].Linear.From[0] = 8 },
		"lookup":    func(m *Margins) { m.Columns[9].Lookup.Labels[0] = 3 },
		"label":     func(m *Margins) { m.Columns[3].Labels = []string{"none"} },
		"corner":    func(m *Margins) { m.Columns[4].Simplex.Values[0] = 7 },
		"shares":    func(m *Margins) { m.Columns[4].Simplex.Shares[0] = 1 },
		"slope":     func(m *Margins) { m.Columns[0].Scores.Pieces[0].Spline.Slopes[0] = nan },
	} {
		m, _ := fitted(t, data, Options{Normal: true})
		spoil(m)
		if err := m.Check(m.Learned()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
