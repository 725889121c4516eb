package conjugate_test

import (
	"context"
	"fmt"
	"log"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// The conjugate map of w(x) = ½(x−c)ᵀA(x−c) is ∇w*(y) = A⁻¹y + c.
func ExampleBarzilaiBorwein() {
	w := &exact.Quadratic{Center: []float64{1, 1}, Values: []float64{2, 4}, Vectors: mat.NewDense(2, 2, []float64{1, 0, 0, 1})}
	y := blas32.General{Rows: 2, Cols: 2, Stride: 2, Data: []float32{2, 4, -2, 8}}
	x := batch.New(2, 2) // the starting points; receives the solutions
	info, err := (&conjugate.BarzilaiBorwein{Tolerance: 1e-5}).Solve(context.Background(), w, y, x, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v %.2f and %.2f\n", info.Status, batch.Row(x, 0), batch.Row(x, 1))
	// Output: [converged converged] [2.00 2.00] and [0.00 3.00]
}
