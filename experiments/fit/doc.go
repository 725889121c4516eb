// Package fit trains a potential from points, between two sets of points, or from an energy,
// and holds the resulting model, which can be drawn from, evaluated, saved and loaded.
package fit
