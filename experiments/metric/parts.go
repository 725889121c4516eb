package metric

import (
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Part is a part of the data that a gap separates from all other data in one coordinate, with
// its share of the data and of generated points.
type Part struct {
	Column   int
	Low, Up  float64 // its least and largest value
	Data     float64 // share of the data in it
	Model    float64 // share of generated points in it, or within half its width of it
	Expected float64 // standard error of the difference of both shares, if they are those of one law
}

// String says what is wrong with a part, with the name of its column.
func (p Part) String(column string) string {
	return fmt.Sprintf("A separate part of the data, %s from %.4g to %.4g, has %.2g %% of the data, but %.2g %% of the generated points.", column, p.Low, p.Up, 100*p.Data, 100*p.Model)
}

// MissedParts are separate parts of the data, of at least ten points, whose share of the
// generated points differs from that of the data by more than half of it and more than three
// standard errors: modes that a fit misses, or smears over their surroundings. Distances
// between samples hardly show them. Both (n, d) are in the same units.
func MissedParts(data, generated blas32.General) (missed []Part, err error) {
	if data.Cols != generated.Cols || data.Rows == 0 || generated.Rows == 0 {
		return nil, fmt.Errorf("parts of data of shape (%d, %d) among points of shape (%d, %d)", data.Rows, data.Cols, generated.Rows, generated.Cols)
	}
	for j := range data.Cols {
		model := batch.Column(generated, j)
		for _, p := range partsOf(batch.Column(data, j)) {
			p.Column = j
			margin := (p.Up - p.Low) / 2
			for _, v := range model {
				if v := float64(v); v >= p.Low-margin && v <= p.Up+margin {
					p.Model += 1 / float64(len(model))
				}
			}
			p.Expected = math.Sqrt(p.Data * (1 - p.Data) * (1/float64(data.Rows) + 1/float64(generated.Rows)))
			if gap := math.Abs(p.Data - p.Model); gap > p.Data/2 && gap > 3*p.Expected {
				missed = append(missed, p)
			}
		}
	}
	return missed, nil
}

// partsOf cuts values at gaps wider than a tenth of their range. It returns the parts of at
// least ten values, if there are two or more. It sorts the values.
func partsOf(values []float32) (parts []Part) {
	const least, widest = 10, .1
	slices.Sort(values)
	n := len(values)
	span := float64(values[n-1]) - float64(values[0])
	from := 0
	for i := 1; i <= n; i++ {
		if i < n && !(float64(values[i])-float64(values[i-1]) > widest*span) {
			continue
		}
		if i-from >= least {
			parts = append(parts, Part{Low: float64(values[from]), Up: float64(values[i-1]), Data: float64(i-from) / float64(n)})
		}
		from = i
	}
	if len(parts) < 2 {
		return nil
	}
	return parts
}
