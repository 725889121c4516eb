package main

import (
	"fmt"
	"strings"

	"cmf/experiments/report"
)

// describe is a line about the processor and its rates, for tables.
func describe(m report.Machine, v rates) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d logical processors", m.CPU, m.Processors)
	if m.ThreadsPerCore > 0 {
		fmt.Fprintf(&b, ", %d to a core", m.ThreadsPerCore)
	}
	fmt.Fprintf(&b, "; %s kernels, products by %s; %s, %s. ", m.Kernels, m.BLAS, m.OS, m.Go)
	if v.peak > 0 {
		fmt.Fprintf(&b, "FMA peak of a core %.0f GFLOP/s, ", v.peak)
	} else {
		b.WriteString("FMA peak unknown, ")
	}
	fmt.Fprintf(&b, "large products %.0f GFLOP/s with the %d thread(s) of this run.", v.products, m.Threads)
	return b.String()
}
