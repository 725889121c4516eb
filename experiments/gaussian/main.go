// Command gaussian compares CMFGen with the closed form of a Gaussian; -h lists its
// variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/run"
)

func main() { run.Main(experiments.Gaussian) }
