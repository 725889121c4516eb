// Command mixture1d learns a mixture of normals on the line by CMFGen and
// compares it with the exact potential; -h lists its variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/run"
)

func main() { run.Main(experiments.Mixture1D) }
