package tabular

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

var missing = math.NaN()

func stream(index uint64) *random.Stream { return random.New(7, "test", index) }

func numbers(name string, values ...float64) table.Column {
	return table.Column{Name: name, Kind: table.Real, Decimals: -1, Values: values}
}

func words(name string, labels []string, values ...float64) table.Column {
	return table.Column{Name: name, Kind: table.Category, Labels: labels, Values: values}
}

func tableOf(columns ...table.Column) *table.Table { return &table.Table{Columns: columns} }

// column makes n values by of.
func column(n int, of func(i int) float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = of(i)
	}
	return values
}

// mixed is a table of all kinds: a ~ N(0, 1), b correlated with a by .8, c a count that is 0
// for 40 % of rows and missing for 10 %, d one of three words that goes with a, e a boolean,
// f a day, and g, which is constant.
func mixed(n int, shift float64, index uint64) *table.Table {
	rng := stream(index)
	a := column(n, func(int) float64 { return shift + rng.NormFloat64() })
	return tableOf(
		numbers("a", a...),
		numbers("b", column(n, func(i int) float64 { return .8*a[i] + .6*rng.NormFloat64() })...),
		table.Column{Name: "c", Kind: table.Integer, Values: column(n, func(int) float64 {
			switch u := rng.Float64(); {
			case u < .1:
				return missing
			case u < .5:
				return 0
			}
			return float64(1 + rng.IntN(40))
		})},
		words("d", []string{"low", "middle", "high"}, column(n, func(i int) float64 {
			return min(2, max(0, math.Round(1+a[i]+.3*rng.NormFloat64())))
		})...),
		table.Column{Name: "e", Kind: table.Boolean, Labels: []string{"no", "yes"}, Values: column(n, func(int) float64 { return float64(rng.IntN(4) / 3) })},
		table.Column{Name: "f", Kind: table.Time, Values: column(n, func(int) float64 { return float64(rng.IntN(3000)) })},
		numbers("g", column(n, func(int) float64 { return 5 })...),
	)
}

func judge(t *testing.T, d Data, generated *table.Table) Scores {
	t.Helper()
	s, err := Judge(t.Context(), d, generated, stream(99))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.6g, want %.6g ± %g", what, got, want, tolerance)
	}
}

func TestColumnsByHand(t *testing.T) {
	colours := []string{"red", "green", "blue"}
	for _, c := range []struct {
		what                   string
		train, held, generated table.Column
		weights                []float64
		values, missing        float64
	}{
		// Distribution functions at 1, 2, 3, 4: ¼ 2/4 ¾ 1 and 0 ¼ ¼ 1.
		{"numbers", numbers("v", 1, 2), numbers("v", 1, 2, 3, 4), numbers("v", 2, 4, 4, 4), nil, .5, 0},
		// An atom at 0 of half against all.
		{"atoms", numbers("v", 1, 2), numbers("v", 0, 0, 1, 2), numbers("v", 0, 0, 0), nil, .5, 0},
		// Weights turn 1, 2, 3, 4 into the law of 2, 4, 4, 4.
		{"weights", numbers("v", 1, 2), numbers("v", 1, 2, 3, 4), numbers("v", 2, 4, 4, 4), []float64{0, 1, 0, 3}, 0, 0},
		{"missing", numbers("v", 1, 2), numbers("v", 1, 1, 1, missing), numbers("v", 1, missing, missing, missing), nil, 0, .5},
		{"all missing", numbers("v", 1, missing), numbers("v", 1, 2), numbers("v", missing, missing), nil, 0, 1},
		// Shares ½ ¼ ¼ against ¼ ¼ ½.
		{"words", words("v", colours, 0, 1, 2), words("v", colours, 0, 0, 1, 2), words("v", colours, 0, 1, 2, 2), nil, .25, 0},
		// An unknown word for a quarter.
		{"unknown words", words("v", colours, 0, 1, 2), words("v", colours, 0, 0, 1, 2), words("v", colours, 0, 0, 1, 7), nil, .25, 0},
		// No training row is green or blue, so that they count as one.
		{"rare words", words("v", colours, 0, 0, 0), words("v", colours, 0, 1, 1), words("v", colours, 0, 2, 2), nil, 0, 0},
	} {
		s := judge(t, Data{Train: tableOf(c.train), Held: tableOf(c.held), Weights: c.weights}, tableOf(c.generated))
		want := ColumnScore{Name: "v", Kind: c.train.Kind, Values: c.values, Missing: c.missing, Distance: max(c.values, c.missing)}
		got := s.Columns[0]
		near(t, c.what, got.Values, want.Values, 1e-12)
		near(t, c.what+", missing", got.Missing, want.Missing, 1e-12)
		near(t, c.what+", distance", s.Distance.Worst, want.Distance, 1e-12)
	}
}

// gonum's statistic against the definition, with ties.
func TestKolmogorovSmirnovOfTies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 4), func(k int) float64 { return float64(k) }), 2, 8)
		x, y := values.Draw(t, "x"), values.Draw(t, "y")
		weights := column(len(y), func(int) float64 { return float64(rapid.IntRange(1, 5).Draw(t, "weight")) })
		below := func(x, w []float64, at float64) (share float64) {
			var total float64
			for i, v := range x {
				if total += w[i]; v <= at {
					share += w[i]
				}
			}
			return share / total
		}
		var want float64
		ones := column(len(x), func(int) float64 { return 1 })
		for at := range 5 {
			want = max(want, math.Abs(below(x, ones, float64(at))-below(y, weights, float64(at))))
		}
		s, err := Judge(context.Background(), Data{Train: tableOf(numbers("v", 0, 1)), Held: tableOf(numbers("v", y...)), Weights: weights}, tableOf(numbers("v", x...)), stream(1))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Columns[0].Values; math.Abs(got-want) > 1e-12 {
			t.Fatalf("%v against %v: %g, want %g", x, y, got, want)
		}
	})
}

func TestCorrelationOfPairs(t *testing.T) {
	const n = 8000
	s := judge(t, Data{Train: mixed(n, 0, 1), Held: mixed(n, 0, 2)}, must(Independent(mixed(n, 0, 1), nil, n, stream(3))))
	// Spearman's ρ of a normal law of correlation r is 6/π·asin(r/2).
	pair := s.Pairs[0]
	near(t, "difference of the correlation of a and b", pair.Correlation, 6/math.Pi*math.Asin(.4), .03)
	if s.Correlation.Where != "a × b" || s.Correlation.Worst != pair.Correlation {
		t.Errorf("the worst correlation is %+v, want that of a × b", s.Correlation)
	}
	for _, p := range s.Pairs {
		if words := p.A == "d" || p.B == "d" || p.A == "e" || p.B == "e"; words != math.IsNaN(p.Correlation) {
			t.Errorf("correlation of %s × %s: %g", p.A, p.B, p.Correlation)
		}
		if p.B == "g" && (p.Correlation > 0 || p.Information > 0) {
			t.Errorf("a constant column has the association %+v", p)
		}
	}
}

func TestInformation(t *testing.T) {
	const n = 800
	all := mixed(n, 0, 1)
	all.Columns = append(all.Columns, all.Columns[0], all.Columns[2])
	r, err := weighted("rows", all, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := newAssociation(r, r, n, 10, stream(1))
	near(t, "information of equal numbers", a.information(0, 7), 1, .01)
	near(t, "information of equal counts, some missing", a.information(2, 8), 1, .01)
	near(t, "information of independent numbers", a.information(0, 5), 0, .01)
	near(t, "information of a word and a boolean", a.information(3, 4), 0, .01)
	near(t, "information about a constant", a.information(0, 6), 0, 0)
	if v := a.information(0, 3); v < .5 || v > .95 {
		t.Errorf("information of a and d is %g, want between .5 and .95", v)
	}
}

func TestForest(t *testing.T) {
	const n = 600
	rng := stream(1)
	x := column(n, func(int) float64 { return rng.NormFloat64() })
	y := column(n, func(int) float64 { return rng.NormFloat64() })
	noise := column(n, func(int) float64 { return rng.NormFloat64() })
	word := column(n, func(int) float64 { return float64(rng.IntN(6)) })
	half := func(t *table.Table, from int) *table.Table {
		var rows []int
		for i := from; i < n; i += 2 {
			rows = append(rows, i)
		}
		return t.Rowed(rows)
	}
	gap := func(v float64) float64 {
		if v > .8 {
			return missing
		}
		return v
	}
	six := []string{"a", "b", "c", "d", "e", "f"}
	for _, c := range []struct {
		what      string
		target    table.Column
		low, high float64
	}{
		{"quadrants", words("t", six, column(n, func(i int) float64 {
			return 2*math.Round(math.Abs(math.Copysign(1, x[i])-1)/2) + math.Round(math.Abs(math.Copysign(1, y[i])-1)/2)
		})...), .95, 1},
		{"a class of words that are no neighbours", words("t", six, column(n, func(i int) float64 { return float64(int(word[i]) % 2) })...), 1, 1},
		{"a class of missing values", words("t", six, column(n, func(i int) float64 { return float64(int(max(0, min(1, math.Ceil(noise[i]-.8))))) })...), .95, 1},
		{"numbers", numbers("t", column(n, func(i int) float64 { return x[i]*x[i] + word[i] })...), .8, 1},
		{"small numbers far from 0", numbers("t", column(n, func(i int) float64 { return 1e9 + 1e-3*(x[i]*x[i]+word[i]) })...), .8, 1},
		{"noise", numbers("t", column(n, func(int) float64 { return rng.NormFloat64() })...), -.2, .1},
		{"a class of noise", words("t", six, column(n, func(int) float64 { return float64(rng.IntN(2)) })...), .4, .6},
	} {
		all := tableOf(numbers("x", x...), numbers("y", y...), numbers("n", column(n, func(i int) float64 { return gap(noise[i]) })...), words("w", six, word...), c.target)
		train, held := half(all, 0), half(all, 1)
		s := judge(t, Data{Train: train, Held: held, Target: "t"}, train)
		if v := s.Utility.Real; !(v >= c.low && v <= c.high) {
			t.Errorf("%s: %.3f, want between %g and %g", c.what, v, c.low, c.high)
		}
		if s.Utility.Generated != s.Utility.Real {
			t.Errorf("%s: trained on the same rows as generated ones %.3f, as training rows %.3f", c.what, s.Utility.Generated, s.Utility.Real)
		}
	}
}

// What a forest does with values that no row of a node has, and with columns of no use.
func TestForestBetweenItsRows(t *testing.T) {
	const n = 400
	rng := stream(1)
	three := []string{"a", "b", "c"}
	x := column(n, func(int) float64 { return rng.NormFloat64() })
	word := column(n, func(i int) float64 { return float64(i % 3) })
	useless := make([]table.Column, 15)
	for k := range useless {
		useless[k] = numbers("", make([]float64, n)...)
	}
	sign := column(n, func(i int) float64 { return math.Ceil((math.Copysign(1, x[i]) + 1) / 2) })
	for _, c := range []struct {
		what      string
		real      *table.Table
		generated []int // rows
		low       float64
	}{
		{"the middle of a gap", tableOf(numbers("x", x...), words("t", three, sign...)), far(x), .9},
		{"the word of more rows", tableOf(words("w", three, word...), numbers("t", column(n, func(i int) float64 { return float64(int(word[i]) % 2) })...)), common(word), .9},
		{"one useful column of 16", tableOf(append(useless, numbers("x", x...), numbers("t", sign...))...), nil, .95},
	} {
		generated := c.real
		if c.generated != nil {
			generated = c.real.Rowed(c.generated)
		}
		if v := judge(t, Data{Train: c.real, Held: c.real, Target: "t"}, generated).Utility.Generated; v < c.low {
			t.Errorf("%s: %g, want at least %g", c.what, v, c.low)
		}
	}
}

// far are the rows whose number is beyond ±1.5.
func far(x []float64) (rows []int) {
	for i, v := range x {
		if math.Abs(v) > 1.5 {
			rows = append(rows, i)
		}
	}
	return rows
}

// common are all rows of word 0 and every fourth of word 1.
func common(word []float64) (rows []int) {
	for i, v := range word {
		if v == 0 || v == 1 && i%4 == 0 {
			rows = append(rows, i)
		}
	}
	return rows
}

// Held-out rows of wrong classes and copies of training rows count by their weights.
func TestWeightsOfUtilityAndCopies(t *testing.T) {
	train, held := mixed(600, 0, 1), mixed(600, 0, 2)
	d := Data{Train: train, Held: held, Target: "d", Weights: column(600, func(i int) float64 { return 1 - .999*float64(i%2) })}
	for i := 1; i < 600; i += 2 {
		held.Columns[3].Values[i] = 2 - math.Round(2*stream(uint64(i)).Float64())
	}
	for i := 1; i < 600; i += 4 {
		for j := range held.Columns {
			held.Columns[j].Values[i] = train.Columns[j].Values[i]
		}
	}
	s := judge(t, d, train)
	if s.Utility.Real < .78 { // .73 without weights
		t.Errorf("utility of training rows is %g", s.Utility.Real)
	}
	near(t, "copies among held-out rows", s.Nearest.CopiesHeld, .0005, .0001)
}

func TestTarget(t *testing.T) {
	all := mixed(200, 0, 1)
	many := column(200, func(i int) float64 { return float64(i % 30) })
	id := words("id", strings.Split(strings.Repeat("x,", 29)+"x", ","), many...)
	for _, c := range []struct {
		columns []table.Column
		name    string
		want    string
	}{
		{all.Columns, "", "e"},
		{all.Columns, "b", "b"},
		{append([]table.Column{id}, all.Columns[:3]...), "", "c"},
		{[]table.Column{all.Columns[0], id}, "", "a"},
		{[]table.Column{all.Columns[6], id}, "", ""}, // a constant and too many words
	} {
		one := tableOf(c.columns...)
		if s := judge(t, Data{Train: one, Held: one, Target: c.name}, one); s.Utility.Target != c.want {
			t.Errorf("the target of %q is %q, want %q", one.Names(), s.Utility.Target, c.want)
		}
	}
}

// Generated rows without the target score as chance.
func TestUtilityWithoutTarget(t *testing.T) {
	train, generated := mixed(200, 0, 1), mixed(200, 0, 2)
	for i := range generated.Columns[3].Values {
		generated.Columns[3].Values[i] = missing
	}
	s := judge(t, Data{Train: train, Held: mixed(200, 0, 3), Target: "d"}, generated)
	near(t, "utility", s.Utility.Generated, 1./3, 1e-12)
	if s.Utility.Real < .7 {
		t.Errorf("utility of training rows is %g", s.Utility.Real)
	}
}

func TestEqualLawsScoreBetter(t *testing.T) {
	d := Data{Train: mixed(1000, 0, 1), Held: mixed(1000, 0, 2)}
	equal, shifted := judge(t, d, mixed(1000, 0, 3)), judge(t, d, mixed(1000, 1, 3))
	for _, c := range []struct {
		what           string
		equal, shifted float64
		most           float64 // of equal laws
	}{
		{"columns", equal.Distance.Mean, shifted.Distance.Mean, .05},
		{"energy", equal.EnergyDistance, shifted.EnergyDistance, .01},
		{"sliced W2", equal.SlicedW2, shifted.SlicedW2, .2},
		{"nearest neighbours", equal.NNAccuracy, shifted.NNAccuracy, .55},
		{"atoms", equal.Atoms[0].Gap(), shifted.Atoms[0].Gap(), .05},
	} {
		if !(c.equal < c.shifted && c.equal < c.most) {
			t.Errorf("%s: %g for equal laws and %g for a shift; want at most %g and more", c.what, c.equal, c.shifted, c.most)
		}
	}
	near(t, "loss of utility", equal.Utility.Real-equal.Utility.Generated, 0, .08)
	if again := judge(t, d, mixed(1000, 0, 3)); !cmp.Equal(again.Numbers(""), equal.Numbers("")) {
		t.Error("the same stream gives other numbers")
	}
}

// Weights that turn held-out rows of another law into the law of the generated ones.
func TestWeightsOfHeldRows(t *testing.T) {
	train, held := mixed(2000, 0, 1), mixed(4000, 0, 2)
	tilt := column(4000, func(i int) float64 { return math.Exp(.7*held.Columns[0].Values[i] - .245) })
	d := Data{Train: train, Held: held, Target: "b"}
	generated := mixed(2000, .7, 3)
	plain := judge(t, d, generated)
	d.Weights = tilt
	right := judge(t, d, generated)
	if !(right.Distance.Mean < plain.Distance.Mean/2 && right.EnergyDistance < plain.EnergyDistance/4 && right.NNAccuracy < .53) {
		t.Errorf("with weights %+v, without %+v", right.Numbers(""), plain.Numbers(""))
	}
}

func TestCopiesAreFound(t *testing.T) {
	train := mixed(400, 0, 1)
	s := judge(t, Data{Train: train, Held: mixed(300, 0, 2)}, train.Rowed(stream(1).Perm(400)[:200]))
	n := s.Nearest
	if n.Copies != 1 || n.Row != 0 || n.CopiesHeld != 0 || !(n.Held > .1 && n.Held5 > 0) {
		t.Errorf("copies: %+v", n)
	}
	if s.NNAccuracy > .55 || s.Outside != 0 {
		t.Errorf("copies: accuracy %g, %d outside", s.NNAccuracy, s.Outside)
	}
	fresh := judge(t, Data{Train: train, Held: mixed(300, 0, 2)}, mixed(300, 0, 3)).Nearest
	near(t, "distance of fresh rows over that of held-out rows", fresh.Row/fresh.Held, 1, .1)
}

func TestRobustUnits(t *testing.T) {
	// Median 3 and quartiles as gonum gives them; then a constant, and one with quartiles 0.
	train := tableOf(
		numbers("v", 1, 2, 3, 4, 5, 6, 7, 8),
		numbers("constant", 5, 5, 5, 5, 5, 5, 5, 5),
		numbers("rare", 0, 0, 0, 0, 0, 0, 0, 8),
		numbers("gap", 0, 1, 2, 3, 4, 5, 6, missing),
		words("w", []string{"x", "y"}, 0, 1, 0, 1, 0, 1, 0, missing),
	)
	e := Robust(train)
	of := func(rows ...[]float64) [][]float32 {
		one := train.Like(len(rows))
		for i, row := range rows {
			for j, v := range row {
				one.Columns[j].Values[i] = v
			}
		}
		b, err := e.Of(one)
		if err != nil {
			t.Fatal(err)
		}
		out := make([][]float32, len(rows))
		for i := range out {
			out[i] = b.Data[i*b.Stride : i*b.Stride+b.Cols]
		}
		return out
	}
	rows := of([]float64{4, 5, 0, 3, 0}, []float64{4, 5, 0, 3, 1}, []float64{4, 5, 0, 3, missing}, []float64{4, 6, 0, 3, 0},
		[]float64{4, 5, math.Sqrt(math.Pi / 2), 3, 0}, []float64{missing, 5, missing, 3, 0}, []float64{1e300, 5, 0, 3, 0}, []float64{-1e300, 5, 0, 3, 0}, []float64{4, 5, 0, missing, 0})
	gap := func(k int) (sum float64) {
		for j, v := range rows[k] {
			sum += math.Pow(float64(v-rows[0][j]), 2)
		}
		return math.Sqrt(sum)
	}
	near(t, "distance of two words", gap(1), 1, 1e-6)
	near(t, "distance of a missing word", gap(2), 1, 1e-6)
	near(t, "distance in a constant column", gap(3), 1, 1e-6)
	near(t, "mean deviation where quartiles agree", gap(4), 1, 1e-6)
	near(t, "outlier above", gap(6), 20, .5)
	near(t, "outlier below", gap(7), 20, .5)
	near(t, "two values that no training row lacks", float64(rows[5][len(rows[5])-1]), math.Sqrt2, 1e-6)
	near(t, "continuity of the clip", clipped(10.01), 10.01, 1e-4)
	if g := gap(8); g < 1 || g > 1.5 {
		t.Errorf("distance of a missing number is %g", g)
	}
	normal := Robust(mixed(20000, 0, 1))
	near(t, "unit of N(0, 1)", normal.columns[0].scale, 1, .02)
}

func TestOutside(t *testing.T) {
	d := Data{Train: tableOf(numbers("v", 0, 1, 2), words("w", []string{"x", "y"}, 0, 1, 1)), Bounds: []Bounds{{0, math.Inf(1)}, {math.Inf(-1), math.Inf(1)}}}
	d.Held = d.Train
	s := judge(t, d, tableOf(numbers("v", -1, 5, missing, 1, -3), words("w", []string{"x", "y"}, 0, 2, missing, .5, 7)))
	if s.Outside != 4 { // all but the row of missing values
		t.Errorf("%d rows outside, want 4", s.Outside)
	}
}

func TestAtoms(t *testing.T) {
	// 300 zeros, 20 of −1, 10 of −2, which are too few, and others once.
	train := tableOf(numbers("rain", column(500, func(i int) float64 {
		switch {
		case i < 300:
			return 0
		case i < 320:
			return -1
		case i < 330:
			return -2
		}
		return float64(i)
	})...))
	s := judge(t, Data{Train: train, Held: train}, tableOf(numbers("rain", column(50, func(i int) float64 { return float64(i - 9) })...)))
	want := []Atom{{Column: "rain", Value: 0, Train: .6, Generated: .02}, {Column: "rain", Value: -1, Train: .04, Generated: .02}}
	if !cmp.Equal(s.Atoms, want) {
		t.Errorf("atoms %+v, want %+v", s.Atoms, want)
	}
}

func must(t *table.Table, err error) *table.Table {
	if err != nil {
		panic(err)
	}
	return t
}

func TestCopulaKeepsMarginsAndCorrelation(t *testing.T) {
	const n = 3000
	train := mixed(n, 0, 1)
	for name, generated := range map[string]*table.Table{
		"copula": must(Copula(train, nil, n, stream(2))), "independent": must(Independent(train, nil, n, stream(2))),
	} {
		s := judge(t, Data{Train: train, Held: train}, generated)
		// Of P(KS > 1.95·√(2/n)) ≈ .001.
		if s.Distance.Worst > 1.95*math.Sqrt(2./n) {
			t.Errorf("%s: the distance of margins is %+v", name, s.Distance)
		}
		for _, a := range s.Atoms {
			near(t, name+": share of "+a.Column, a.Generated, a.Train, 1e-9+4*math.Sqrt(a.Train*(1-a.Train)/n))
		}
		var fresh int
		held := valuesOf(train.Columns[0])
		for _, v := range generated.Columns[0].Values {
			if !held[v] {
				fresh++
			}
		}
		if fresh < n*9/10 {
			t.Errorf("%s: %d of %d real numbers are new", name, fresh, n)
		}
		for _, j := range []int{2, 3, 4, 5, 6} {
			held := valuesOf(train.Columns[j])
			for _, v := range generated.Columns[j].Values {
				if !held[v] && !math.IsNaN(v) {
					t.Fatalf("%s: %s is %g, which no training row has", name, train.Name(j), v)
				}
			}
		}
		if s.Outside != 0 || s.Nearest.Copies != 0 {
			t.Errorf("%s: %d rows outside, %g copies", name, s.Outside, s.Nearest.Copies)
		}
		if name == "copula" {
			near(t, "copula: correlation", s.Correlation.Worst, 0, .06)
			near(t, "copula: information of a and b", s.Pairs[0].Information, 0, .03)
		} else if s.Correlation.Worst < .7 || s.Pairs[0].Information < .15 {
			t.Errorf("independent columns are off by %+v only", s.Pairs[0])
		}
	}
}

func valuesOf(c table.Column) map[float64]bool {
	held := make(map[float64]bool)
	for _, v := range c.Values {
		held[v] = true
	}
	return held
}

func TestBaselinesFollowWeights(t *testing.T) {
	train := mixed(4000, 0, 1)
	weights := column(4000, func(i int) float64 { return math.Exp(train.Columns[0].Values[i] - .5) })
	for name, of := range map[string]func(*table.Table, []float64, int, *random.Stream) (*table.Table, error){"copula": Copula, "independent": Independent} {
		a := must(of(train, weights, 4000, stream(1))).Columns[0].Values
		near(t, name+": mean", stat.Mean(a, nil), 1, .1)
	}
}

// Rows on which a and b agree weigh more, so that their correlation is higher.
func TestCopulaOfWeightedCorrelation(t *testing.T) {
	train := mixed(3000, 0, 1)
	a, b := train.Columns[0].Values, train.Columns[1].Values
	weights := column(3000, func(i int) float64 { return 1 - .95*math.Round(max(0, -math.Copysign(1, a[i]*b[i]))) })
	got := must(Copula(train, weights, 3000, stream(1)))
	near(t, "correlation", stat.Correlation(got.Columns[0].Values, got.Columns[1].Values, nil), stat.Correlation(a, b, weights), .03)
	near(t, "weighted correlation less the plain one", stat.Correlation(a, b, weights)-stat.Correlation(a, b, nil), .07, .02)
}

// Normal scores are N(0, 1) whatever the column.
func TestScoresAreNormal(t *testing.T) {
	r, err := weighted("rows", mixed(4000, 0, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	var margins []margin
	for j := range r.Columns {
		margins = append(margins, newMargin(r, j))
	}
	z := scores(r, margins, stream(1))
	for j := range r.Columns {
		var values []float64
		for i := range r.Rows() {
			values = append(values, z.At(i, j))
		}
		near(t, "mean of the scores of "+r.Name(j), stat.Mean(values, nil), 0, .06)
		near(t, "deviation of the scores of "+r.Name(j), stat.StdDev(values, nil), 1, .05)
	}
}

func TestQuantilesOfMargin(t *testing.T) {
	r, err := weighted("rows", tableOf(numbers("v", 4, missing, 0, 1, 1, 2, 8, 8, 9, 10)), nil)
	if err != nil {
		t.Fatal(err)
	}
	m := newMargin(r, 0)
	for _, c := range []struct{ u, want float64 }{
		{.05, missing}, {.1001, 0}, {.1999, .5}, {.25, 1}, {.39, 1}, {.4001, 1.5}, {.45, 2}, {.4999, 3}, {.55, 4}, {.5999, 6}, {.7, 8}, {.8001, 8.5}, {.85, 9}, {.9001, 9.5}, {.9999, 10},
	} {
		if got := m.quantile(c.u); !(math.Abs(got-c.want) < .01) && !math.IsNaN(got+c.want) {
			t.Errorf("quantile at %g is %g, want %g", c.u, got, c.want)
		}
	}
	if math.IsNaN(m.quantile(.5)) || !math.IsNaN(m.quantile(.01)) {
		t.Error("missing values do not have their interval")
	}
}

// Tables at the edge of what can be judged.
func TestSmallTables(t *testing.T) {
	all := mixed(60, 0, 1)
	nothing := numbers("nothing", column(60, func(int) float64 { return missing })...)
	unnamed := numbers("", column(60, func(i int) float64 { return float64(i) })...)
	for what, one := range map[string]*table.Table{
		"two rows":         all.Rowed([]int{0, 1}),
		"five rows":        all.Rowed([]int{0, 1, 2, 3, 4}),
		"one number":       tableOf(all.Columns[0]),
		"one word":         tableOf(all.Columns[3]),
		"a constant":       tableOf(all.Columns[6]),
		"missing values":   tableOf(nothing),
		"missing and more": tableOf(nothing, all.Columns[0], all.Columns[3], nothing),
		"unnamed":          tableOf(unnamed, unnamed, all.Columns[4]),
	} {
		for name, of := range map[string]func(*table.Table, []float64, int, *random.Stream) (*table.Table, error){"copula": Copula, "independent": Independent} {
			generated, err := of(one, nil, 50, stream(1))
			if err != nil {
				t.Errorf("%s of %s: %v", name, what, err)
				continue
			}
			s := judge(t, Data{Train: one, Held: one}, generated)
			if s.Distance.Worst > .7 || math.IsNaN(s.EnergyDistance) {
				t.Errorf("%s of %s: %+v", name, what, s.Numbers(""))
			}
			for number, v := range s.Numbers("model_") {
				if math.IsNaN(v) || math.IsInf(v, 0) || !strings.HasPrefix(number, "model_") {
					t.Errorf("%s of %s: %s is %g", name, what, number, v)
				}
			}
		}
	}
	if _, err := Copula(all.Rowed([]int{3}), nil, 3, stream(1)); err != nil {
		t.Errorf("copula of one row: %v", err)
	}
}

func TestWideTables(t *testing.T) {
	const d = 60
	wide := func(index uint64) *table.Table {
		rng := stream(index)
		one := tableOf()
		for range d {
			one.Columns = append(one.Columns, numbers("", column(40, func(int) float64 { return rng.NormFloat64() })...))
		}
		return one
	}
	// More columns than rows: the correlation matrix is singular.
	s := judge(t, Data{Train: wide(1), Held: wide(2)}, must(Copula(wide(1), nil, 40, stream(3))))
	if len(s.Pairs) != mostPairs || len(s.Columns) != d {
		t.Errorf("%d pairs of %d columns", len(s.Pairs), len(s.Columns))
	}
}

func TestBadTables(t *testing.T) {
	good := mixed(20, 0, 1)
	changed := func(change func(t *table.Table)) *table.Table {
		one := good.Rowed(stream(1).Perm(20))
		change(one)
		return one
	}
	for _, c := range []struct {
		what      string
		d         Data
		generated *table.Table
		want      string
	}{
		{"another name", Data{Train: good, Held: good}, changed(func(t *table.Table) { t.Columns[1].Name = "z" }), `the generated rows: column 2 is "z", that of the training rows "b"`},
		{"another kind", Data{Train: good, Held: changed(func(t *table.Table) { t.Columns[2].Kind = table.Real })}, good, `the held-out rows: column "c" is of kind "real", that of the training rows of kind "integer"`},
		{"other labels", Data{Train: good, Held: good}, changed(func(t *table.Table) { t.Columns[3].Labels = []string{"high", "middle", "low"} }), `column "d" has other labels`},
		{"fewer columns", Data{Train: good, Held: good}, changed(func(t *table.Table) { t.Columns = t.Columns[:3] }), "the generated rows have 3 columns, the training rows 7"},
		{"no columns", Data{Train: tableOf(), Held: good}, good, "the training rows: a table without columns"},
		{"no table", Data{Train: good}, good, "the held-out rows: a table without columns"},
		{"an unknown kind", Data{Train: changed(func(t *table.Table) { t.Columns[0].Kind = "text" }), Held: good}, good, `column "a" is of kind "text"; known are`},
		{"a short column", Data{Train: good, Held: good}, changed(func(t *table.Table) { t.Columns[1].Values = t.Columns[1].Values[:5] }), `column "b" has 5 values, the first column 20`},
		{"an infinite value", Data{Train: good, Held: good}, changed(func(t *table.Table) { t.Columns[1].Values[4] = math.Inf(1) }), `the generated rows: column "b", row 5: +Inf`},
		{"an unknown label", Data{Train: changed(func(t *table.Table) { t.Columns[3].Values[4] = 3 }), Held: good}, good, `column "d", row 5: 3 is not the number of one of its 3 labels`},
		{"one row", Data{Train: good, Held: good}, good.Rowed([]int{1}), "the generated rows: 1 row(s)"},
		{"few weights", Data{Train: good, Held: good, Weights: []float64{1}}, good, "the held-out rows: 1 weights for 20 rows"},
		{"a negative weight", Data{Train: good, Held: good, TrainWeights: column(20, func(i int) float64 { return float64(1 - i) })}, good, "the training rows: the weight of row 3 is -1"},
		{"weights of 0", Data{Train: good, Held: good, Weights: column(20, func(i int) float64 { return float64(i / 19) })}, good, "the held-out rows: 1 row(s)"},
		{"few bounds", Data{Train: good, Held: good, Bounds: make([]Bounds, 3)}, good, "3 bounds for 7 columns"},
		{"no such target", Data{Train: good, Held: good, Target: "z"}, good, `the target "z" is none of the columns ["a" "b"`},
	} {
		if _, err := Judge(t.Context(), c.d, c.generated, stream(1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", c.what, err, c.want)
		}
	}
	if _, err := Copula(tableOf(numbers("v")), nil, 3, stream(1)); err == nil || !strings.Contains(err.Error(), "none has a positive weight") {
		t.Errorf("copula of no rows: %v", err)
	}
	if _, err := Copula(good, nil, -1, stream(1)); err == nil || !strings.Contains(err.Error(), "-1 rows to draw") {
		t.Errorf("copula of −1 rows: %v", err)
	}
	if _, err := Independent(good, []float64{1}, 3, stream(1)); err == nil || !strings.Contains(err.Error(), "1 weights for 20 rows") {
		t.Errorf("independent columns with one weight: %v", err)
	}
	if _, err := Robust(good).Of(changed(func(t *table.Table) { t.Columns[1].Name = "z" })); err == nil || !strings.Contains(err.Error(), `column "b"`) {
		t.Errorf("embedding of other columns: %v", err)
	}
}

func TestEndOfContext(t *testing.T) {
	all := mixed(100, 0, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Judge(ctx, Data{Train: all, Held: all}, all, stream(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

func TestByColumn(t *testing.T) {
	all := mixed(50, 0, 1)
	s := judge(t, Data{Train: all, Held: all}, all)
	head, rows := ByColumn(Sample{"model", s}, Sample{"copula", s})
	if !cmp.Equal(head, []string{"column", "kind", "model", "copula"}) || len(rows) != 7 || !cmp.Equal(rows[3], []string{"d", "category", "0.000", "0.000"}) {
		t.Errorf("%q, %q", head, rows)
	}
}
