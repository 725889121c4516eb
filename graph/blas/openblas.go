//go:build (linux || darwin) && (amd64 || arm64)

package blas

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/ebitengine/purego"
)

// libraries are the names under which OpenBLAS with 32-bit integers is
// installed, most specific first.
var libraries = map[string][]string{
	"linux": {"libopenblas.so.0", "libopenblas.so", "libopenblasp.so.0"},
	"darwin": {
		"libopenblas.0.dylib", "libopenblas.dylib",
		"/opt/homebrew/opt/openblas/lib/libopenblas.dylib", // Homebrew links neither
		"/usr/local/opt/openblas/lib/libopenblas.dylib",
	},
}

// symbols are the addresses of the Fortran routines, and the two products as
// function values.
type symbols struct {
	sgemm, dgemm uintptr
	sgemv, dgemv uintptr
	ssyrk, dsyrk uintptr
	strsm, dtrsm uintptr
	strmm, dtrmm uintptr

	multiply32 func(*sum[float32], part)
	multiply64 func(*sum[float64], part)
}

// opened opens the library once. It is never closed, because its threads would
// outlive a dlclose.
var opened = sync.OnceValues(func() (openBLAS, error) { return openLibrary(libraries[runtime.GOOS]) })

// openLibrary opens the first of the named libraries that is there.
func openLibrary(names []string) (openBLAS, error) {
	for _, name := range names {
		if handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL); err == nil {
			return register(handle)
		}
	}
	return openBLAS{}, fmt.Errorf("no OpenBLAS found; tried %s", strings.Join(names, ", "))
}

func register(handle uintptr) (openBLAS, error) {
	var s symbols
	var setThreads, getConfig uintptr
	for name, to := range map[string]*uintptr{
		"sgemm_": &s.sgemm, "dgemm_": &s.dgemm,
		"sgemv_": &s.sgemv, "dgemv_": &s.dgemv,
		"ssyrk_": &s.ssyrk, "dsyrk_": &s.dsyrk,
		"strsm_": &s.strsm, "dtrsm_": &s.dtrsm,
		"strmm_": &s.strmm, "dtrmm_": &s.dtrmm,
		"openblas_set_num_threads": &setThreads,
		"openblas_get_config":      &getConfig,
	} {
		address, err := purego.Dlsym(handle, name)
		if err != nil {
			return openBLAS{}, fmt.Errorf("OpenBLAS lacks %s: %w", name, err)
		}
		*to = address
	}
	// We split products over threads ourselves: a product that is split twice
	// is slower.
	purego.SyscallN(setThreads, 1)
	var config func() string
	purego.RegisterFunc(&config, getConfig)
	s.multiply32 = func(p *sum[float32], at part) { gemm(s.sgemm, &arguments32, p.product(at)) }
	s.multiply64 = func(p *sum[float64], at part) { gemm(s.dgemm, &arguments64, p.product(at)) }
	return openBLAS{symbols: &s, config: config()}, nil
}

func openOpenBLAS() (BLAS, string, error) {
	lib, err := opened()
	if err != nil {
		return nil, "", err
	}
	return lib, lib.config, nil
}
