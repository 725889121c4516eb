//go:build !js

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "page: it runs in a browser; go run ./experiments/playground builds and serves it")
	os.Exit(1)
}
