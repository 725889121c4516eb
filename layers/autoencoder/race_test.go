//go:build race

package autoencoder

// The race detector allocates.
const race = true
