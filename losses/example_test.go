package losses_test

import (
	"fmt"
	"log"

	"cmf/graph"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

func ExampleParse() {
	sum, err := losses.Parse("dual + 0.1*pairs")
	if err != nil {
		log.Fatal(err)
	}
	for _, w := range sum {
		fmt.Println(w.Factor, w.Term.Name(), w.Term.Inputs())
	}
	_, err = losses.Parse("dual+-1*pairs")
	fmt.Println(err)
	// Output:
	// 1 dual [data gibbs conjugate mask]
	// 0.1 pairs [data paired]
	// losses: factor "-1" in "dual+-1*pairs"; give a positive number, as in dual+0.1*pairs
}

// Slope is a term that a user might add: the mean of ‖∇w(x_i)‖².
type Slope struct{}

func (Slope) Name() string            { return "slope" }
func (Slope) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData} }
func (Slope) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	return s.Mean(s.SumCols(s.Square(w.Gradient(s, batch(solvers.BatchData)))))
}

// A further term is any type that satisfies Term. Parse takes it in addition to
// the known ones, and its gradient comes with it.
func ExampleTerm() {
	w, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: []int{1}})
	if err != nil {
		log.Fatal(err)
	}
	w.Share.Fill(func(int) float64 { return 3 }) // w(x) = 3/2·‖x‖², its other weights being 0

	sum, err := losses.Parse("0.5*slope", Slope{})
	if err != nil {
		log.Fatal(err)
	}
	objective, err := losses.NewObjective(w, sum, 2)
	if err != nil {
		log.Fatal(err)
	}
	x := blas32.General{Rows: 2, Cols: 2, Stride: 2, Data: []float32{1, 0, 0, 2}}
	loss, terms, err := objective.Gradient(map[*solvers.Kind]blas32.General{solvers.BatchData: x})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("loss", loss, "slope", terms["slope"])
	for _, weight := range objective.Weights() {
		if weight.Name == "quadratic.share" {
			fmt.Println("gradient in the share", weight.Grad)
		}
	}
	// Output:
	// loss 11.25 slope 22.5
	// gradient in the share [1.5 6]
}
