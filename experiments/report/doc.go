// Package report writes the results of a run for readers: report.json, index.html,
// metrics.jsonl and events for TensorBoard.
package report
