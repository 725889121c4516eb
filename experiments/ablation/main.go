// Command ablation runs variants of the experiment toy2d side by side and
// tabulates them; -h lists its variables.
package main

import "cmf/experiments"

func main() { experiments.MainAblation(experiments.ToyAblation) }
