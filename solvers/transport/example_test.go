package transport_test

import (
	"fmt"
	"log"

	"cmf/solvers/batch"
	"cmf/solvers/transport"

	"gonum.org/v1/gonum/blas/blas32"
)

// Two batches are matched so that the sum of squared distances is smallest.
func ExampleAssign() {
	x := blas32.General{Rows: 3, Cols: 1, Stride: 1, Data: []float32{0, 10, 20}}
	y := blas32.General{Rows: 3, Cols: 1, Stride: 1, Data: []float32{19, 1, 12}}
	cost := batch.New(3, 3)
	if err := transport.SquaredDistances(cost, x, y); err != nil {
		log.Fatal(err)
	}
	a, err := transport.Assign(cost)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Match, a.Total)
	// Output: [1 2 0] 6
}
