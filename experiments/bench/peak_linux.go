package main

import (
	"os"
	"runtime/debug"
	"syscall"
)

// peakMegabytes is the largest memory that an ended process used.
func peakMegabytes(p *os.ProcessState) float64 {
	usage, _ := p.SysUsage().(*syscall.Rusage)
	if usage == nil {
		return 0
	}
	return float64(usage.Maxrss) / 1024
}

// forgetPeak gives back free memory and resets the peak memory of this process, because the
// processes that it starts inherit the peak.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // some systems refuse this; then peaks are too large
}
