package blas

import "golang.org/x/sys/cpu"

func variants() []variant {
	v := []variant{scalarVariant()}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		single, double := newAVX2()
		v = append(v, variant{single, double})
	}
	return v
}
