package tabular

import (
	"cmp"
	"context"
	"math"
	"slices"

	"cmf/data/table"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// ColumnScore is the distance between the laws of one column of generated and of held-out
// rows.
type ColumnScore struct {
	Name string
	Kind table.Kind

	// Values compares the values that are not missing. For numbers and times it is the
	// Kolmogorov–Smirnov statistic sup_t |F(t) − G(t)| of the two empirical distribution
	// functions, exact for ties. For categories and booleans it is the total variation
	// ½ Σ_c |p_c − q_c| of the shares of labels, where those of less than 1 % of the training
	// rows count as one label and unknown ones as another. It is 0 where a side has no values;
	// Missing tells.
	Values float64

	Missing  float64 // difference of the shares of missing values
	Distance float64 // the greater of Values and Missing, in [0, 1]
}

func (s *Scores) judgeColumns(ctx context.Context, d judged) error {
	for j, c := range d.train.Columns {
		if err := ctx.Err(); err != nil {
			return err
		}
		x, u, missingX := d.generated.present(j)
		y, v, missingY := d.held.present(j)
		score := ColumnScore{Name: d.train.Name(j), Kind: c.Kind, Missing: math.Abs(missingX - missingY)}
		switch {
		case len(x) == 0 || len(y) == 0:
		case labelled(c.Kind):
			common := commonLabels(d.train, j)
			score.Values = floats.Distance(labelShares(c, common, x, u), labelShares(c, common, y, v), 1) / 2
		default:
			score.Values = stat.KolmogorovSmirnov(x, u, y, v)
		}
		score.Distance = max(score.Values, score.Missing)
		s.Columns = append(s.Columns, score)
	}
	s.Distance = spreadOf(len(s.Columns), func(k int) (float64, string) { return s.Columns[k].Distance, s.Columns[k].Name })
	s.Missing = spreadOf(len(s.Columns), func(k int) (float64, string) { return s.Columns[k].Missing, s.Columns[k].Name })
	return nil
}

// commonLabels says which labels of column j at least 1 % of the rows have.
func commonLabels(r rows, j int) []bool {
	common := make([]bool, labels(r.Columns[j]))
	held := make([]float64, len(common))
	for i, v := range r.Columns[j].Values {
		if known(r.Columns[j], v) {
			held[int(v)] += r.weights[i]
		}
	}
	total := floats.Sum(r.weights)
	for k, w := range held {
		common[k] = w >= .01*total
	}
	return common
}

// labelShares are the shares of the common labels of c among values, then that of the others
// and that of values which are no labels.
func labelShares(c table.Column, common []bool, values, weights []float64) []float64 {
	shares := make([]float64, len(common)+2)
	total := floats.Sum(weights)
	for i, v := range values {
		k := len(common) + 1
		if known(c, v) {
			if k = int(v); !common[k] {
				k = len(common)
			}
		}
		shares[k] += weights[i] / total
	}
	return shares
}

// Atom is a value that more than 3 % of the training rows hold, and at least 5 of them.
type Atom struct {
	Column string
	Value  float64
	Label  string // of a category or boolean

	Train, Generated float64 // shares of all rows
}

// Gap is the difference of the two shares.
func (a Atom) Gap() float64 { return math.Abs(a.Train - a.Generated) }

// atoms are the atoms of all columns, those with the largest gap first; not all where ctx ends.
func atoms(ctx context.Context, train, generated rows) (found []Atom) {
	total := floats.Sum(train.weights)
	for j, c := range train.Columns {
		if ctx.Err() != nil {
			break
		}
		values, weights, _ := train.present(j)
		for i := 0; i < len(values); {
			k, held := i, 0.
			for ; k < len(values) && values[k] == values[i]; k++ {
				held += weights[k]
			}
			if held > .03*total && k-i >= 5 {
				atom := Atom{Column: train.Name(j), Value: values[i], Train: held / total}
				if labelled(c.Kind) {
					atom.Label = label(c, values[i])
				}
				for _, v := range generated.Columns[j].Values {
					if v == values[i] {
						atom.Generated += 1 / float64(generated.Rows())
					}
				}
				found = append(found, atom)
			}
			i = k
		}
	}
	slices.SortStableFunc(found, func(a, b Atom) int { return cmp.Compare(b.Gap(), a.Gap()) })
	return found
}
