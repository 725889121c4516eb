package main

import (
	"os"
	"runtime/debug"
	"syscall"
)

// peakMegabytes is the largest memory that an ended process held.
func peakMegabytes(p *os.ProcessState) float64 {
	usage, _ := p.SysUsage().(*syscall.Rusage)
	if usage == nil {
		return 0
	}
	return float64(usage.Maxrss) / 1024
}

// forgetPeak gives back free memory and starts the record of the most that this
// process held anew: the processes that it starts inherit it.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // refused on some systems: then peaks are too large
}
