// Command stability tries learning rates and scales of the data; -h lists its variables.
package main

import (
	"cmf/experiments/study"
	"cmf/experiments/sweep"
)

func main() { sweep.MainAblation(study.StabilitySweep) }
