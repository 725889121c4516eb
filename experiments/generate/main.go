// Command generate draws from a saved model, and evaluates its density at given
// points; -h lists its variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/run"
)

func main() { run.Main(experiments.Generate) }
