// Command ablation runs variants of the experiment toy2d side by side and
// tabulates them; -h lists its variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/sweep"
)

func main() { sweep.MainAblation(experiments.ToyAblation) }
