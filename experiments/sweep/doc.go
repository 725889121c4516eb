// Package sweep runs ablations: one experiment in variants, over data sets and seeds,
// each cell in a folder of its own, and their table.
package sweep
