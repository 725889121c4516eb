// Package report writes what a run leaves for readers: report.json, index.html,
// metrics.jsonl, events for TensorBoard.
package report
