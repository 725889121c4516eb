// Command inverse recovers random potentials at rising budgets; -h lists its variables.
package main

import (
	"cmf/experiments/study"
	"cmf/experiments/sweep"
)

func main() { sweep.MainAblation(study.InverseBudgets) }
