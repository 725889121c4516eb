//go:build !linux

package main

import "os"

// peakMegabytes is 0: only Linux gives it in a known unit.
func peakMegabytes(*os.ProcessState) float64 { return 0 }

// forgetPeak does nothing here, because peaks are not measured.
func forgetPeak() {}
