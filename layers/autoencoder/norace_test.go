//go:build !race

package autoencoder

const race = false
