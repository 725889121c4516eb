package main

import (
	"strings"
	"testing"

	"cmf/experiments/report"
)

// A line for tables says what is known and what is not.
func TestDescribeMachine(t *testing.T) {
	m := report.Machine{CPU: "A", Processors: 4, Threads: 2, Kernels: "generic", BLAS: "native", OS: "linux/arm64", Go: "go1.26"}
	if got := describe(m, rates{products: 3}); !strings.Contains(got, "FMA peak unknown") || strings.Contains(got, "to a core") {
		t.Errorf("an unknown peak: %q", got)
	}
	m.ThreadsPerCore = 2
	if got := describe(m, rates{peak: 289, products: 270}); !strings.Contains(got, "4 logical processors, 2 to a core") || !strings.Contains(got, "289 GFLOP/s") {
		t.Errorf("a known peak: %q", got)
	}
}
