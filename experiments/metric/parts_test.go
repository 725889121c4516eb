package metric

import (
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// A mode of 4 % far away that a model smears or misses is named; one that it has is not, nor
// are the parts of data without gaps.
func TestMissedParts(t *testing.T) {
	x, err := table.ReadBatch("testdata/far1d.csv")
	if err != nil {
		t.Fatal(err)
	}
	rng := random.New(1, "points", 0)
	for name, c := range map[string]struct {
		share, mean, sd float64
		missed          bool
	}{
		"right": {.04, 40, .3, false}, "smeared": {.04, 40, 12, true}, "missed": {0, 0, 1, true}, "too much": {.12, 40, .3, true},
	} {
		points := batch.New(2000, 1)
		for i := range points.Data {
			points.Data[i] = float32(rng.NormFloat64())
			if float64(i) < c.share*2000 {
				points.Data[i] = float32(c.mean + c.sd*rng.NormFloat64())
			}
		}
		missed, err := MissedParts(x, points)
		if err != nil || len(missed) > 0 != c.missed {
			t.Errorf("%s: %+v, error %v", name, missed, err)
		}
		if c.missed && !strings.Contains(missed[0].String("x"), "x from 39.53 to 40.67, has 4 % of the data") {
			t.Errorf("%s: %s", name, missed[0].String("x"))
		}
	}
	if missed, err := MissedParts(batch.Rows(x, 0, 300), batch.Rows(x, 0, 300)); err != nil || len(missed) > 0 {
		t.Errorf("the data itself: %v, error %v", missed, err)
	}
	if _, err := MissedParts(x, batch.New(3, 2)); err == nil {
		t.Error("points of another dimension: no error")
	}
}
