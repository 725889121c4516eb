// Package tabular judges generated tables against training and held-out rows, and has two
// simple generators to compare with: independent columns and the Gaussian copula.
package tabular
