//go:build !amd64

package blas

func variants() []variant { return []variant{scalarVariant()} }
