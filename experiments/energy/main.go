// Command energy learns the conjugate moment potential of a law given by its
// energy, by CMFMA; -h lists its variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/run"
)

func main() { run.Main(experiments.Energy) }
