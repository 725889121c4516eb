// Package run turns an experiment into a command: it reads the configuration, opens the
// folder of results, shows the progress, and writes the report.
package run
