// Package table reads the points that users give in files, matches their columns by name,
// and says which of them cannot be learned.
package table
