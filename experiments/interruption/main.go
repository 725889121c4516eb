// Command interruption ends runs by signals and lets them go on; -h lists its variables.
package main

import (
	"cmf/experiments/run"
	"cmf/experiments/study"
)

func main() { run.Main(study.Interruption) }
