// Command inpaint completes digits with hidden parts; -h lists its variables.
package main

import (
	"cmf/experiments/picture/inpaint"
	"cmf/experiments/run"
)

func main() { run.Main(inpaint.Inpaint) }
