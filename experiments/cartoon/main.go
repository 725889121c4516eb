// Command cartoon learns cartoon faces by CMFGen; -h lists its variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/run"
)

func main() { run.Main(experiments.Cartoon) }
