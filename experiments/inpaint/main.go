// Command inpaint completes digits of which parts are hidden; -h lists its
// variables.
package main

import "cmf/experiments"

func main() { experiments.Main(experiments.Inpaint) }
