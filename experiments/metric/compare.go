package metric

import (
	"context"

	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Compare measures by how much the laws of the rows of x and y, both (n, d), differ:
// energy_distance, sliced_w2 over 256 directions, w2 and nn_accuracy, in the units of the
// rows. The end of ctx is an error.
func Compare(ctx context.Context, x, y blas32.General) (map[string]float64, error) {
	numbers := make(map[string]float64)
	for name, of := range map[string]func(x, y blas32.General) (float64, error){
		"energy_distance": EnergyDistance,
		"sliced_w2": func(x, y blas32.General) (float64, error) {
			return SlicedW2(x, y, 256, random.New(1, "directions", 0))
		},
		"w2":          ExactW2,
		"nn_accuracy": NearestNeighbourAccuracy,
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := of(x, y)
		if err != nil {
			return nil, err
		}
		numbers[name] = v
	}
	return numbers, nil
}
