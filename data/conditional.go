//go:build !js

package data

import (
	"fmt"
	"math"
	"strings"

	"cmf/data/table"
	"cmf/solvers/random"
)

// ConditionalTable is a table some of whose columns have a known law given the others.
type ConditionalTable struct {
	name    string
	columns []table.Column // the given ones first
	given   int            // their number

	draw   func(row []float64, rng *random.Stream) // given columns, then the others
	logPDF func(row []float64) float64             // of the others given these
}

// Conditional returns the table of that name; an unknown name is an error that lists the
// known ones:
//
//	scales   three columns of size 1e5, 1e-3 and 1, whose noise depends on a load and a site
//	two-ways a response near one of two curves, whose odds a second column shifts
//	twenty   two columns that depend on two of twenty given ones, by a bend and a product
func Conditional(name string) (ConditionalTable, error) {
	for _, t := range conditionals {
		if t.name == name {
			return t, nil
		}
	}
	return ConditionalTable{}, fmt.Errorf("unknown conditional table %q; known are %s", name, strings.Join(ConditionalNames(), ", "))
}

// ConditionalNames lists the conditional tables.
func ConditionalNames() (names []string) {
	for _, t := range conditionals {
		names = append(names, t.name)
	}
	return names
}

// Given are the names of the given columns, separated by commas.
func (t ConditionalTable) Given() string {
	return strings.Join((&table.Table{Columns: t.columns[:t.given]}).Names(), ",")
}

// Sample draws n rows.
func (t ConditionalTable) Sample(n int, rng *random.Stream) *table.Table {
	out := (&table.Table{Columns: t.columns, Format: table.Format{Name: "csv"}}).Like(n)
	row := make([]float64, len(t.columns))
	for i := range n {
		t.draw(row, rng)
		for j, v := range row {
			out.Columns[j].Values[i] = v
		}
	}
	return out
}

// LogPDF is the log density of the columns that are not given, given the others, at each row
// of x, in nats.
func (t ConditionalTable) LogPDF(x *table.Table) ([]float64, error) {
	if len(x.Columns) != len(t.columns) {
		return nil, fmt.Errorf("rows of %d columns of the conditional table %s, which has %d", len(x.Columns), t.name, len(t.columns))
	}
	logPDF, row := make([]float64, x.Rows()), make([]float64, len(t.columns))
	for i := range logPDF {
		for j := range row {
			row[j] = x.Columns[j].Values[i]
		}
		logPDF[i] = t.logPDF(row)
	}
	return logPDF, nil
}

var conditionals = []ConditionalTable{scales(), twoWays(), twenty()}

func reals(names ...string) (columns []table.Column) {
	for _, name := range names {
		columns = append(columns, table.Column{Name: name, Kind: table.Real, Decimals: -1})
	}
	return columns
}

func logNormal(x, mean, sd float64) float64 {
	e := (x - mean) / sd
	return -e*e/2 - math.Log(sd*math.Sqrt(2*math.Pi))
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// scales has given columns load and site. The noise of leak goes along with that of power.
func scales() ConditionalTable {
	type law struct{ power, powerSD, leak, leakSD, drift, driftSD float64 }
	of := func(row []float64) law {
		load, site := row[0], row[1]
		return law{
			power: 1e5 * (1 + .2*load + .3*math.Sin(load) + .5*site), powerSD: 1e5 * (.05 + .05*load),
			leak: 1e-3 * (1 + 2*math.Exp(-load/3) - .4*site), leakSD: 1e-3 * (.1 + .2*site),
			drift: .3 * load * (site - 1), driftSD: .2 + .08*load,
		}
	}
	const along = .6
	columns := append(reals("load"), table.Column{Name: "site", Kind: table.Category, Labels: []string{"north", "south", "west"}})
	return ConditionalTable{
		name: "scales", given: 2, columns: append(columns, reals("power", "leak", "drift")...),
		draw: func(row []float64, rng *random.Stream) {
			row[0] = 10 * rng.Float64()
			row[1] = 2
			if u := rng.Float64(); u < .8 {
				row[1] = math.Floor(u / .4)
			}
			l, e := of(row), rng.NormFloat64()
			row[2] = l.power + l.powerSD*e
			row[3] = l.leak + l.leakSD*(along*e+math.Sqrt(1-along*along)*rng.NormFloat64())
			row[4] = l.drift + l.driftSD*rng.NormFloat64()
		},
		logPDF: func(row []float64) float64 {
			l := of(row)
			e := (row[2] - l.power) / l.powerSD
			return logNormal(row[2], l.power, l.powerSD) +
				logNormal(row[3], l.leak+l.leakSD*along*e, l.leakSD*math.Sqrt(1-along*along)) +
				logNormal(row[4], l.drift, l.driftSD)
		},
	}
}

// twoWays has given columns place and tilt.
func twoWays() ConditionalTable {
	const sd = .3
	of := func(row []float64) (middle, apart, up float64) {
		return .5 * row[0], 1.5 + .5*math.Tanh(row[0]), sigmoid(1.5 * row[1])
	}
	return ConditionalTable{
		name: "two-ways", given: 2, columns: reals("place", "tilt", "response"),
		draw: func(row []float64, rng *random.Stream) {
			row[0], row[1] = rng.NormFloat64(), rng.NormFloat64()
			middle, apart, up := of(row)
			if rng.Float64() >= up {
				apart = -apart
			}
			row[2] = middle + apart + sd*rng.NormFloat64()
		},
		logPDF: func(row []float64) float64 {
			middle, apart, up := of(row)
			return math.Log(up*math.Exp(logNormal(row[2], middle+apart, sd)) + (1-up)*math.Exp(logNormal(row[2], middle-apart, sd)))
		},
	}
}

// twenty has given columns c1 to c20, of which c3 and c11 matter.
func twenty() ConditionalTable {
	const given, bend, shift = 20, 2, 10
	var names []string
	for j := range given {
		names = append(names, fmt.Sprintf("c%d", j+1))
	}
	of := func(row []float64) (first, firstSD, second float64) {
		return math.Tanh(2*row[bend]) + .5*row[shift], .2 + .3*sigmoid(2*row[shift]), .5 * row[bend] * row[shift]
	}
	const along, secondSD = .3, .4
	return ConditionalTable{
		name: "twenty", given: given, columns: reals(append(names, "first", "second")...),
		draw: func(row []float64, rng *random.Stream) {
			for j := range given {
				row[j] = rng.NormFloat64()
			}
			first, sd, second := of(row)
			e := rng.NormFloat64()
			row[given], row[given+1] = first+sd*e, second+along*e+secondSD*rng.NormFloat64()
		},
		logPDF: func(row []float64) float64 {
			first, sd, second := of(row)
			e := (row[given] - first) / sd
			return logNormal(row[given], first, sd) + logNormal(row[given+1], second+along*e, secondSD)
		},
	}
}
