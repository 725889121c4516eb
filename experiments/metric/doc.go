// Package metric holds distances between samples, which judge what was generated.
package metric
