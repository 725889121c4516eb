package sampling_test

import (
	"context"
	"fmt"
	"log"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"
)

// Any potential can be sampled. Normal, ½‖y‖², has the Gibbs factor N(0, I). Its mean
// under that law is d/2.
func ExampleLangevin() {
	chains, err := sampling.NewChains(batch.New(2000, 3)) // all start at 0
	if err != nil {
		log.Fatal(err)
	}
	mala := sampling.Langevin{Adjusted: true}
	info, err := mala.Run(context.Background(), potential.Normal{D: 3}, chains, 50, random.New(1, "example", 0))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("acceptance %.1f, mean of w %.1f\n", info.Acceptance, info.MeanEnergy)
	// Output: acceptance 0.6, mean of w 1.5
}
