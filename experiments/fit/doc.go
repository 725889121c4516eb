// Package fit trains a potential, from points or from an energy, and holds the model
// that comes of it: drawn from, evaluated, saved and loaded.
package fit
