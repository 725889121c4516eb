package table

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/data/table"
)

// tableOf has columns of one row each.
func tableOf(names string, values ...float64) *table.Table {
	t := &table.Table{}
	for j, v := range values {
		c := table.Column{Kind: table.Real, Values: []float64{v}}
		if names != "" {
			c.Name = strings.Fields(names)[j]
		}
		t.Columns = append(t.Columns, c)
	}
	return t
}

func TestMatch(t *testing.T) {
	times := tableOf("a b c", 1, 2, 3)
	times.Columns[1].Kind, times.Columns[1].Clock = table.Time, &table.Clock{Unit: "s", Origin: 100}
	later := tableOf("b c a", 5, 3, 1)
	later.Columns[0].Kind, later.Columns[0].Clock = table.Time, &table.Clock{Unit: "s", Origin: 90}
	days := tableOf("b c a", 5, 3, 1)
	days.Columns[0].Kind, days.Columns[0].Clock = table.Time, &table.Clock{Unit: "day"}
	for _, c := range []struct {
		want, is *table.Table
		first    []float64
		moved    bool
		err      string
	}{
		{tableOf("", 0, 0, 0), tableOf("", 1, 2, 3), []float64{1, 2, 3}, false, ""},
		{tableOf("a b c", 0, 0, 0), tableOf("", 1, 2, 3), []float64{1, 2, 3}, false, ""},
		{tableOf("", 0, 0, 0), tableOf("c a b", 1, 2, 3), []float64{1, 2, 3}, false, ""},
		{tableOf("a b c", 0, 0, 0), tableOf("a b c", 1, 2, 3), []float64{1, 2, 3}, false, ""},
		{tableOf("a b c", 0, 0, 0), tableOf("c a b", 1, 2, 3), []float64{2, 3, 1}, true, ""},
		{tableOf("a b d", 0, 0, 0), tableOf("a b c", 1, 2, 3), nil, false, "it lacks the columns d and it has the further columns c; its columns must be a, b, d, in any order"},
		{tableOf("a b", 0, 0), tableOf("a b c", 1, 2, 3), nil, false, "it has the further columns c;"},
		{tableOf("", 0, 0), tableOf("", 1, 2, 3), nil, false, "it has 3 columns; it must have 2"},
		{times, later, []float64{1, -5, 3}, true, ""},
		{times, days, nil, false, `column "b": its times are in units of day here and of s there`},
		{times, tableOf("a b c", 1, 2, 3), nil, false, `column "b": it is of kind real here and of kind time there`},
	} {
		got, moved, err := Match(c.want, c.is)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v: error %v, want %q", c.is.Names(), err, c.err)
			}
			continue
		}
		var first []float64
		for _, column := range got.Columns {
			first = append(first, column.Values[0])
		}
		if err != nil || moved != c.moved || !slices.Equal(first, c.first) || !slices.Equal(got.Names(), c.want.Names()) {
			t.Errorf("%v: %v of %v, moved %t: %v", c.is.Names(), first, got.Names(), moved, err)
		}
	}
}

func TestDeviations(t *testing.T) {
	of := func(a, b []float64) *table.Table {
		return &table.Table{Columns: []table.Column{{Name: "a", Values: a}, {Name: "b", Values: b}}}
	}
	mean, sd, err := Deviations(of([]float64{1, 3}, []float64{0, 30}))
	if err != nil || mean[0] != 2 || mean[1] != 15 || math.Abs(sd[0]-math.Sqrt2) > 1e-12 {
		t.Errorf("means %v, deviations %v: %v", mean, sd, err)
	}
	Equalise(sd)
	if want := math.Sqrt((2 + 450) / 2); math.Abs(sd[0]-want) > 1e-9 || sd[1] != sd[0] {
		t.Errorf("one scale %v, want %g", sd, want)
	}
	if _, sd, err := Deviations(of([]float64{1e9 + 1, 1e9 + 3}, []float64{0, 30})); err != nil || math.Abs(sd[0]-math.Sqrt2) > 1e-6 {
		t.Errorf("far from 0: deviations %v: %v", sd, err)
	}
	for want, b := range map[string][]float64{
		`column "b" is 4 in all 2 rows to learn from; leave it out by CMF_COLUMNS=b:skip`: {4, 4},
		`column "b" has the standard deviation`:                                           {0, 1e200},
		"which float64 can hardly resolve":                                                {1e15, 1e15 + 1},
	} {
		if _, _, err := Deviations(of([]float64{1, 3}, b)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", b, err, want)
		}
	}
}
