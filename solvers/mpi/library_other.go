//go:build !linux || !(amd64 || arm64)

package mpi

import "fmt"

func open(started int, by string) (*World, error) {
	return nil, fmt.Errorf("mpi: a launcher started %s processes (%s); several processes are possible on Linux only, on amd64 and arm64: start without a launcher", several(started), by)
}
