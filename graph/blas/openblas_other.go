//go:build !((linux || darwin) && (amd64 || arm64))

package blas

import (
	"fmt"
	"runtime"
)

func openOpenBLAS() (BLAS, string, error) {
	return nil, "", fmt.Errorf("OpenBLAS cannot be opened on %s/%s, only on linux and darwin with amd64 or arm64",
		runtime.GOOS, runtime.GOARCH)
}
