package margins

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/data/table"
)

// clinical are given columns of each kind, with one drawn column at place 1.
func clinical() *table.Table {
	nan := math.NaN()
	return &table.Table{Format: table.Format{Name: "csv"}, Columns: []table.Column{
		{Name: "age", Kind: table.Integer, Values: []float64{20, 30, 40, 50, 60, 1000}},
		{Name: "y", Kind: table.Real, Values: []float64{1, 2, 3, 4, 5, 6}},
		{Name: "city", Kind: table.Category, Labels: []string{"Rome", "Oslo", "Bonn"}, Values: []float64{0, 1, nan, 1, 0, 0}},
		{Name: "dose", Kind: table.Real, Values: []float64{nan, 1, 2, 3, nan, 5}},
		{Name: "wind", Kind: table.Real, Values: []float64{0, 90, 180, 270, 10, 20}},
		{Name: "visit", Kind: table.Time, Clock: &table.Clock{Unit: "day", Origin: 19000}, Values: []float64{0, 1, 2, 3, 4, 5}},
	}}
}

func contexts(t *testing.T) (*Contexts, *table.Table, *table.Table) {
	t.Helper()
	whole := clinical()
	places := []int{0, 2, 3, 4, 5}
	given, drawn := SplitAt(places, whole)
	low, high := 0., 360.
	c, err := FitContexts(given, places, map[string]Hint{"wind": {Low: &low, High: &high, Circular: true}})
	if err != nil {
		t.Fatal(err)
	}
	return c, given, drawn
}

func TestContexts(t *testing.T) {
	c, given, drawn := contexts(t)
	x, err := c.Encode(given)
	if err != nil {
		t.Fatal(err)
	}
	// age; Rome, Oslo and a missing city; dose and a missing one; cos and sin; visit
	if x.Cols != 1+3+2+2+1 || c.Dim() != x.Cols {
		t.Fatalf("contexts of %d coordinates", x.Cols)
	}
	row := func(i int) []float32 { return x.Data[i*x.Stride:][:x.Cols] }
	if got := row(0)[1:6]; !slices.Equal(got, []float32{1, 0, 0, 0, 1}) {
		t.Errorf("Rome and a missing dose are %v", got)
	}
	if got := row(2)[1:4]; !slices.Equal(got, []float32{0, 0, 1}) {
		t.Errorf("a missing city is %v", got)
	}
	if got := row(1)[6:8]; math.Abs(float64(got[0])) > 1e-6 || got[1] != 1 {
		t.Errorf("90 degrees are %v", got)
	}
	// The median age is 50, the quartiles 30 and 60: an age of 1000 is 42.7 deviations away.
	if got, want := float64(row(5)[0]), 3+math.Log(950/(30/1.349)-2); math.Abs(got-want) > 1e-5 {
		t.Errorf("an age of 1000 is %g, want %g", got, want)
	}
	if a, b := row(1)[0]-row(0)[0], row(3)[0]-row(2)[0]; math.Abs(float64(a-b)) > 1e-6 {
		t.Errorf("ages are not equally far: %g and %g", a, b)
	}
	if whole := c.Join(given, drawn); !slices.Equal(whole.Names(), clinical().Names()) {
		t.Errorf("whole rows have the columns %q", whole.Names())
	}
	if names := c.Whole(&Margins{Columns: []Column{{Column: drawn.Columns[0]}}}).Names(); !slices.Equal(names, clinical().Names()) {
		t.Errorf("the margins of whole rows have the columns %q", names)
	}
}

func TestContextsOutside(t *testing.T) {
	c, given, _ := contexts(t)
	at := given.Rowed([]int{0, 1, 2})
	at.Columns[0].Values[1], at.Columns[4].Values[2] = 2000, 9
	notes := c.Outside(at)
	if len(notes) != 2 || !strings.Contains(notes[0], `Column "age" of the contexts is 2000 in row 2, beyond what the model has learned from, 20 to 1000`) ||
		!strings.Contains(notes[1], `"visit" of the contexts is 2022-01-17 00:00:00 in row 3`) {
		t.Errorf("notes %q", notes)
	}
	at.Columns[0].Values[1], at.Columns[4].Values[2] = -5, given.Columns[4].Values[2]
	if notes := c.Outside(at); len(notes) != 1 || !strings.Contains(notes[0], `"age" of the contexts is -5 in row 2`) {
		t.Errorf("notes %q of a value below all", notes)
	}
	if notes := c.Outside(given); notes != nil {
		t.Errorf("of the rows to learn from: notes %q", notes)
	}
}

func TestContextsRefuse(t *testing.T) {
	c, given, _ := contexts(t)
	for want, change := range map[string]func(*table.Table){
		`row 2, column "age": a missing value: it was not seen in learning`: func(t *table.Table) { t.Columns[0].Values[1] = math.NaN() },
		`row 3, column "city": "Bonn": it was not seen in learning`:         func(t *table.Table) { t.Columns[1].Values[2] = 2 },
		`contexts have 4 columns; the model is given 5`:                     func(t *table.Table) { t.Columns = t.Columns[:4] },
	} {
		at := given.Rowed([]int{0, 1, 2, 3, 4, 5})
		change(at)
		if _, err := c.Encode(at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
	if rows := c.Known(&table.Table{Columns: []table.Column{
		{Values: []float64{30, math.NaN(), 30}}, {Values: []float64{0, 0, 2}}, {Values: []float64{1, 1, 1}}, {Values: []float64{1, 1, 1}}, {Values: []float64{1, 1, 1}},
	}}); !slices.Equal(rows, []int{0}) {
		t.Errorf("known rows %v", rows)
	}
	same := &table.Table{Columns: []table.Column{{Name: "a", Kind: table.Real, Values: []float64{3, 3, 3}}}}
	if _, err := FitContexts(same, []int{0}, nil); err == nil || !strings.Contains(err.Error(), `column "a": it is 3 in all rows to learn from; leave it out of CMF_GIVEN`) {
		t.Errorf("a constant column: %v", err)
	}
	// A file in another order, with a column more, and labels in another order.
	other := &table.Table{Columns: []table.Column{
		given.Columns[4], {Name: "z", Kind: table.Real, Values: make([]float64, 6)}, given.Columns[3], given.Columns[2],
		{Name: "city", Kind: table.Category, Labels: []string{"Oslo", "Rome"}, Values: []float64{1, 0, math.NaN(), 0, 1, 1}}, given.Columns[0],
	}}
	aligned, ignored, err := c.Align(other)
	if err != nil || !slices.Equal(ignored, []string{"z"}) {
		t.Fatalf("ignored %q: %v", ignored, err)
	}
	a, errA := c.Encode(aligned)
	b, errB := c.Encode(given)
	if errA != nil || errB != nil || !slices.Equal(a.Data, b.Data) {
		t.Errorf("contexts of a file in another order differ: %v %v", errA, errB)
	}
}
