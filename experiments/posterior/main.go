// Command posterior learns the posterior of a simulator's parameters given its output, for
// all outputs at once; -h lists its variables.
package main

import (
	"cmf/experiments/inference"
	"cmf/experiments/run"
)

func main() { run.Main(inference.Posterior) }
