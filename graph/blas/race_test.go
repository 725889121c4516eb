//go:build race

package blas

// The race detector makes sync.Pool drop values at random, so that pooled
// memory is allocated again.
const raceDetector = true
