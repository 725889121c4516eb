// Package outcome reads and compares what runs leave in their folders, however they
// ended.
package outcome

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cmf/experiments/report"
	"cmf/graph"
)

// checkpoint and metricsLog are the files that each fit of a run leaves.
const checkpoint, metricsLog = "checkpoint.safetensors", "metrics.jsonl"

// fits are the folders of a run's fits within its own; most runs have the first only.
var fits = []string{"", "cmfma"}

// Whole says which file of a run is torn. A folder that is not there holds none.
func Whole(folder string) error {
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if e.Name() == metricsLog || filepath.Ext(path) == ".json" {
			text, err := os.ReadFile(path)
			switch {
			case err != nil:
				return err
			case filepath.Ext(path) == ".json" && !json.Valid(text):
				return fmt.Errorf("%s is torn", path)
			case e.Name() == metricsLog && len(text) > 0 && text[len(text)-1] != '\n':
				return fmt.Errorf("%s ends in a torn line", path)
			}
		}
		switch {
		case e.Name() == metricsLog:
			_, err = report.ReadMetricsLog(filepath.Dir(path))
		case filepath.Ext(path) == ".safetensors":
			_, err = graph.LoadCheckpoint(path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Rows counts the rows of metrics that the fits of a run have written so far.
func Rows(folder string) (rows int) {
	for _, fit := range fits {
		text, _ := os.ReadFile(filepath.Join(folder, fit, metricsLog)) // it may not be there yet
		rows += bytes.Count(text, []byte("\n"))
	}
	return rows
}

// Writing tells whether a fit of a run is writing its checkpoint just then.
func Writing(folder string) bool {
	return slices.ContainsFunc(fits, func(fit string) bool {
		entries, _ := os.ReadDir(filepath.Join(folder, fit)) // it may not be there yet
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), "."+checkpoint) })
	})
}

// LastRow is when the last row of metrics was written; the zero time where none was.
func LastRow(folder string) (last time.Time) {
	for _, fit := range fits {
		if f, err := os.Stat(filepath.Join(folder, fit, metricsLog)); err == nil && f.ModTime().After(last) {
			last = f.ModTime()
		}
	}
	return last
}

// Steps sums the steps of the checkpoints of a run's fits; those without one count 0.
func Steps(folder string) (steps int, err error) {
	for _, fit := range fits {
		path := filepath.Join(folder, fit, checkpoint)
		c, err := graph.LoadCheckpoint(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		step, err := strconv.Atoi(c.Texts["step"])
		if err != nil {
			return 0, fmt.Errorf("%s: its step: %w", path, err)
		}
		steps += step
	}
	return steps, nil
}

// Report reads the report of a run.
func Report(folder string) (r report.Report, err error) {
	path := filepath.Join(folder, "report.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Numbers are metrics, floor and baseline in the report of a run that has finished,
// apart from times and from what is NaN.
func Numbers(folder string) (report.Numbers, error) {
	r, err := Report(folder)
	if err != nil {
		return nil, err
	}
	if r.Stop.Reason != report.Finished {
		return nil, fmt.Errorf("%s: the run has not finished but is %s: %s", folder, r.Stop.Reason, r.Stop.Text)
	}
	all := report.Numbers{}
	for of, numbers := range map[string]report.Numbers{"metrics": r.Metrics, "floor": r.Floor, "baseline": r.Baseline} {
		for name, v := range numbers {
			all[of+"."+name] = v
		}
	}
	maps.DeleteFunc(all, func(name string, v float64) bool { return strings.HasSuffix(name, "seconds") || math.IsNaN(v) })
	return all, nil
}
