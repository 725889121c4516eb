// Command bridges measures what makes the bridges between parts of the data thin; -h lists its variables.
package main

import (
	"cmf/experiments/study"
	"cmf/experiments/sweep"
)

func main() { sweep.MainAblation(study.Bridges) }
