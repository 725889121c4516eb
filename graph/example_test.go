package graph_test

import (
	"fmt"
	"log"

	"cmf/graph"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An expression is declared once, with its gradient, and run on batch after batch.
func ExampleScope() {
	s := graph.NewScope(tensor.Float32)
	x := s.Input("x", 2, 2)
	y := s.SumCols(s.Square(x)) // ‖x‖² of each row, (2, 1)
	gradient := s.Grad(s.SumRows(y), x)[0]
	program, err := s.Compile(map[string]*gorgonia.Node{"y": y, "gradient": gradient})
	if err != nil {
		log.Fatal(err)
	}
	copy(program.In("x").F32, []float32{1, 2, 3, 4})
	if err := program.Run(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(program.Out("y").F32, program.Out("gradient").F32)
	// Output: [5 25] [2 4 6 8]
}
