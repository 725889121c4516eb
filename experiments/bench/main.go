// Command bench times the steps of fitting a potential; -h lists its variables.
package main

import "cmf/experiments/run"

func main() { run.Main(Bench) }
