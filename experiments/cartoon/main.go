// Command cartoon learns cartoon faces by CMFGen; -h lists its variables.
package main

import "cmf/experiments"

func main() { experiments.Main(experiments.Cartoon) }
