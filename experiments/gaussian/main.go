// Command gaussian holds CMFGen to the closed form of a Gaussian; -h lists its
// variables.
package main

import "cmf/experiments"

func main() { experiments.Main(experiments.Gaussian) }
