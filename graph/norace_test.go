//go:build !race

package graph

const race = false
