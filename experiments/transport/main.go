// Command transport learns the Monge map between the points of two files, maps further
// points and judges the map by held-out ones; -h lists its variables.
package main

import (
	"cmf/experiments/monge"
	"cmf/experiments/run"
)

func main() { run.Main(monge.Transport) }
