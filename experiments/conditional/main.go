// Command conditional learns tables whose columns have a known law given others; -h lists its variables.
package main

import (
	"cmf/experiments/study"
	"cmf/experiments/sweep"
)

func main() { sweep.MainAblation(study.Conditionals) }
