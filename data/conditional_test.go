package data

import (
	"math"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/stat"
)

// Given one row's columns, the densities integrate to one: by importance weights of points
// drawn about the drawn columns of all rows.
func TestConditionalTables(t *testing.T) {
	const n = 60_000
	for _, name := range ConditionalNames() {
		c, err := Conditional(name)
		if err != nil {
			t.Fatal(err)
		}
		rng := random.New(1, name, 0)
		rows := c.Sample(n, rng)
		given := strings.Count(c.Given(), ",") + 1
		for _, at := range []int{0, 1, 2} {
			proposed, logWeight := rows.Like(n), make([]float64, n)
			for j := range rows.Columns {
				mean, sd := stat.MeanStdDev(rows.Columns[j].Values, nil)
				for i := range n {
					v := rows.Columns[j].Values[at]
					if j >= given {
						e := rng.NormFloat64()
						v = mean + 1.5*sd*e
						logWeight[i] += e*e/2 + math.Log(1.5*sd*math.Sqrt(2*math.Pi))
					}
					proposed.Columns[j].Values[i] = v
				}
			}
			logPDF, err := c.LogPDF(proposed)
			if err != nil {
				t.Fatal(err)
			}
			weights := make([]float64, n)
			for i, v := range logPDF {
				weights[i] = math.Exp(v + logWeight[i])
			}
			mean, sd := stat.MeanStdDev(weights, nil)
			if e := sd / math.Sqrt(n); math.Abs(mean-1) > 5*e || e > .05 {
				t.Errorf("%s: the density given row %d integrates to %.3f ± %.3f", name, at, mean, e)
			}
		}
		// E[(y − E y)·∂ log p/∂y] = −1 over the law itself, for every drawn column.
		for j := given; j < len(rows.Columns); j++ {
			mean, sd := stat.MeanStdDev(rows.Columns[j].Values, nil)
			moved := func(by float64) []float64 {
				to := rows.Rowed(rowsTo(n))
				for i := range to.Columns[j].Values {
					to.Columns[j].Values[i] += by
				}
				l, err := c.LogPDF(to)
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			h := 1e-4 * sd
			up, down, terms := moved(h), moved(-h), make([]float64, n)
			for i := range terms {
				terms[i] = (rows.Columns[j].Values[i] - mean) * (up[i] - down[i]) / (2 * h)
			}
			got, spread := stat.MeanStdDev(terms, nil)
			if math.Abs(got+1) > 5*spread/math.Sqrt(n) {
				t.Errorf("%s: column %q is not drawn by its density: %.3f for −1", name, rows.Name(j), got)
			}
		}
	}
	if _, err := Conditional("three-ways"); err == nil || !strings.Contains(err.Error(), "known are scales, two-ways, twenty") {
		t.Errorf("an unknown table: %v", err)
	}
	if c, _ := Conditional("scales"); c.Given() != "load,site" {
		t.Errorf("the given columns are %s", c.Given())
	} else if _, err := c.LogPDF(&table.Table{}); err == nil {
		t.Error("rows without columns are no error")
	}
}

func rowsTo(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}
