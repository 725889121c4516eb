package memory

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	if err := Check(1 << 20); err != nil {
		t.Error(err)
	}
	if err := Check(1 << 40); err == nil || !strings.Contains(err.Error(), "about 1.1e+03 GB of memory are needed, but GOMEMLIMIT allows 1.07 GB") {
		t.Errorf("error %v", err)
	}
}

func TestAvailable(t *testing.T) {
	if v, ok := available("MemTotal:  8 kB\nMemAvailable:       7 kB\n"); !ok || v != 7<<10 {
		t.Errorf("%d, %v", v, ok)
	}
	if _, ok := available("MemTotal: 8 kB\n"); ok {
		t.Error("no line of what is available")
	}
}
