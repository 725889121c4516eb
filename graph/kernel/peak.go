package kernel

import "time"

// PeakFLOPS measures in a tenth of a second how many float32 operations a
// second one core can do at most: independent fused multiply–adds on registers,
// of two operations a lane, with the instructions of [Features]. It is 0, for
// unknown, where these are "generic".
//
// The best of many short stretches counts, so that other processes lower it
// only by running all the time.
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
