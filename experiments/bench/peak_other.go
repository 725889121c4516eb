//go:build !linux

package main

import "os"

// peakMegabytes is 0: only Linux says it in a known unit.
func peakMegabytes(*os.ProcessState) float64 { return 0 }

// forgetPeak is for systems that measure peaks.
func forgetPeak() {}
