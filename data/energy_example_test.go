package data_test

import (
	"fmt"

	"cmf/data"

	"gonum.org/v1/gonum/mat"
)

// A user's own energy: a double well, without a gradient.
func ExampleEnergyFunc() {
	well, err := data.EnergyFunc(2, func(x mat.Vector) float64 {
		a, b := x.AtVec(0), x.AtVec(1)
		return (a*a-2)*(a*a-2) + b*b/2
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	box, err := data.FindBox(well)
	if err != nil {
		fmt.Println(err)
		return
	}
	rho, err := data.NewQuadrature(well, box, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("log Z = %.5f\n", rho.LogZ)
	// Output:
	// log Z = 1.21194
}
