package experiments

import (
	"os"
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
