// Package memory says before some work whether there is memory for it.
package memory

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// Check returns an error if work that needs so many bytes would exceed what the process may
// have: GOMEMLIMIT, the limit of its control group, or the memory that the machine has
// left. It knows no limit on systems other than Linux unless GOMEMLIMIT is set.
func Check(need int64) error {
	if limit, name := limit(); need > limit {
		return fmt.Errorf("about %s of memory are needed, but %s allows %s", size(need), name, size(limit))
	}
	return nil
}

// limit is the smallest limit, and what sets it.
func limit() (bytes int64, name string) {
	bytes, name = debug.SetMemoryLimit(-1), "GOMEMLIMIT"
	for _, l := range []struct {
		path, name string
		read       func(text string) (int64, bool)
	}{
		{"/sys/fs/cgroup/memory.max", "the control group", number},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "the control group", number},
		{"/proc/meminfo", "the machine", available},
	} {
		text, err := os.ReadFile(l.path)
		if err != nil {
			continue
		}
		if v, ok := l.read(string(text)); ok && v < bytes {
			bytes, name = v, l.name
		}
	}
	return bytes, name
}

func number(text string) (int64, bool) {
	v, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return v, err == nil // "max" for none
}

// available reads MemAvailable of /proc/meminfo, in KiB.
func available(text string) (int64, bool) {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "MemAvailable:" {
			v, ok := number(words[1])
			return v << 10, ok && v < math.MaxInt64>>10
		}
	}
	return 0, false
}

func size(bytes int64) string { return fmt.Sprintf("%.3g GB", float64(bytes)/1e9) }
