// Command generate draws from a saved model, and evaluates its density at given
// points; -h lists its variables.
package main

import "cmf/experiments"

func main() { experiments.Main(experiments.Generate) }
