// Command product learns rotated products of mixtures from their energies; -h lists its variables.
package main

import (
	"cmf/experiments/study"
	"cmf/experiments/sweep"
)

func main() { sweep.MainAblation(study.ProductBudgets) }
