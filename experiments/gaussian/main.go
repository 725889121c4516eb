// Command gaussian holds CMFGen to the closed form of a Gaussian; -h lists its
// variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/run"
)

func main() { run.Main(experiments.Gaussian) }
