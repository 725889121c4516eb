package kernel

import "time"

// PeakFLOPS measures in a tenth of a second the most float32 operations per
// second that one core can do. It runs independent fused multiply–adds on
// registers, two operations per lane, with the instructions of [Features]. It
// is 0, for unknown, where these are "generic".
//
// It is the best of many short runs, so other processes lower it only if they
// run all the time.
func PeakFLOPS() float64 {
	run, operations := multiplyAdds()
	if run == nil {
		return 0
	}
	const rounds = 10000 // some 30 µs
	best := time.Hour
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		start := time.Now()
		run(rounds)
		best = min(best, time.Since(start))
	}
	return rounds * float64(operations) / best.Seconds()
}
