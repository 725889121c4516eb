// Command inpaint completes digits of which parts are hidden; -h lists its
// variables.
package main

import (
	"cmf/experiments"
	"cmf/experiments/run"
)

func main() { run.Main(experiments.Inpaint) }
