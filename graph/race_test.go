//go:build race

package graph

// The race detector allocates.
const race = true
