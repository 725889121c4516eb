// Package sweep runs ablations: one experiment in variants, over data sets and seeds, with
// a folder for each cell and tables of the results.
package sweep
