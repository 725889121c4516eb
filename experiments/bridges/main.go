// Command bridges measures what thins the bridges between parts of the data; -h lists its variables.
package main

import (
	"cmf/experiments/study"
	"cmf/experiments/sweep"
)

func main() { sweep.MainAblation(study.Bridges) }
