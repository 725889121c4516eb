// Package metric holds distances between samples, and what one sample lacks of another, which
// judge what was generated.
package metric
