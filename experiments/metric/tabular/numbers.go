package tabular

import (
	"fmt"
	"math"
)

// Numbers are the scores by the names of a report, each with a prefix; those that could not
// be measured are left out.
func (s Scores) Numbers(prefix string) map[string]float64 {
	numbers := map[string]float64{
		"column_distance":        s.Distance.Mean,
		"column_distance_worst":  s.Distance.Worst,
		"missing_difference":     s.Missing.Worst,
		"pair_correlation":       s.Correlation.Mean,
		"pair_correlation_worst": s.Correlation.Worst,
		"pair_information":       s.Information.Mean,
		"pair_information_worst": s.Information.Worst,
		"utility_generated":      s.Utility.Generated,
		"utility_real":           s.Utility.Real,
		"utility_loss":           s.Utility.Real - s.Utility.Generated,
		"nearest_row":            s.Nearest.Row,
		"nearest_row_5":          s.Nearest.Row5,
		"nearest_row_held":       s.Nearest.Held,
		"nearest_row_held_5":     s.Nearest.Held5,
		"copies":                 s.Nearest.Copies,
		"copies_held":            s.Nearest.CopiesHeld,
		"energy_distance_robust": s.EnergyDistance,
		"sliced_w2_robust":       s.SlicedW2,
		"nn_accuracy_robust":     s.NNAccuracy,
		"rows_outside":           float64(s.Outside),
	}
	if len(s.Atoms) > 0 {
		numbers["atom_difference_worst"] = s.Atoms[0].Gap()
	}
	named := make(map[string]float64, len(numbers))
	for name, v := range numbers {
		if !math.IsNaN(v) {
			named[prefix+name] = v
		}
	}
	return named
}

// Sample is a generated table by name, with its scores.
type Sample struct {
	Name   string
	Scores Scores
}

// ByColumn is a table of the distances of columns: a head and rows of name, kind and a
// distance for each sample, all judged with the same data.
func ByColumn(samples ...Sample) (head []string, rows [][]string) {
	head = []string{"column", "kind"}
	for k, s := range samples {
		head = append(head, s.Name)
		for j, c := range s.Scores.Columns {
			if k == 0 {
				rows = append(rows, []string{c.Name, string(c.Kind)})
			}
			if j < len(rows) {
				rows[j] = append(rows[j], fmt.Sprintf("%.3f", c.Distance))
			}
		}
	}
	return head, rows
}
