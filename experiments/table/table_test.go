package table

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/data/units"
	"cmf/experiments/internal/exptest"
)

func TestMatch(t *testing.T) {
	x := exptest.BatchOf(3, 1, 2, 3, 4, 5, 6)
	named := func(names ...string) units.Form { return units.Form{Table: true, Columns: names} }
	for _, c := range []struct {
		want, form units.Form
		first      []float32
		moved      bool
		err        string
	}{
		{units.Form{}, units.Form{}, []float32{1, 2, 3}, false, ""},
		{named("a", "b", "c"), units.Form{}, []float32{1, 2, 3}, false, ""},
		{named("a", "b", "c"), named("a", "b", "c"), []float32{1, 2, 3}, false, ""},
		{named("a", "b", "c"), named("c", "a", "b"), []float32{2, 3, 1}, true, ""},
		{named("a", "b", "d"), named("a", "b", "c"), nil, false, "it lacks the columns d and it has the further columns c; its columns must be a, b, d, in any order"},
		{named("a", "b"), named("a", "b", "c"), nil, false, "it has the further columns c;"},
		{named("a", "b", "a"), named("a", "b", "c"), nil, false, `two columns are called "a"`},
	} {
		got, moved, err := Match(c.want, 3, x, c.form)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v: error %v, want %q", c.form.Columns, err, c.err)
			}
			continue
		}
		if err != nil || moved != c.moved || !slices.Equal(got.Data[:3], c.first) {
			t.Errorf("%v: %v, moved %t: %v", c.form.Columns, got, moved, err)
		}
	}
	if _, _, err := Match(units.Form{}, 2, x, units.Form{}); err == nil || !strings.Contains(err.Error(), "it has 3 columns; it must have 2") {
		t.Errorf("three columns for two: %v", err)
	}
}

func TestDeviations(t *testing.T) {
	mean, sd, err := Deviations(exptest.BatchOf(2, 1, 0, 3, 30), units.Form{})
	if err != nil || mean[0] != 2 || mean[1] != 15 || math.Abs(sd[0]-math.Sqrt2) > 1e-12 {
		t.Errorf("means %v, deviations %v: %v", mean, sd, err)
	}
	Equalise(sd)
	if want := math.Sqrt((2 + 450) / 2); math.Abs(sd[0]-want) > 1e-9 || sd[1] != sd[0] {
		t.Errorf("one scale %v, want %g", sd, want)
	}
	if _, _, err := Deviations(exptest.BatchOf(2, 1, 4, 3, 4), units.Form{Columns: []string{"a", "b"}}); err == nil || !strings.Contains(err.Error(), "column 2 (b) is 4 in all 2 rows") {
		t.Errorf("a constant column: %v", err)
	}
}
