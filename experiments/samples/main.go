// Command samples learns the law of the points in a file by CMFGen, generates
// more of them and gives their density; -h lists its variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/run"
)

func main() { run.Main(experiments.Samples) }
