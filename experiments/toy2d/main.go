// Command toy2d learns a law of points in the plane by CMFGen; -h lists its
// variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/run"
)

func main() { run.Main(experiments.Toy2D) }
