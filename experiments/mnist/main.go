// Command mnist learns handwritten digits by CMFGen; -h lists its variables.
package main

import "cmf/experiments"

func main() { experiments.Main(experiments.MNIST) }
