package outcome

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cmf/graph"
)

// Differences says in what the run in the folder got differs from that in want, bit for
// bit: arrays such as samples.npy, tensors and texts of checkpoints, rows of metrics and
// the report's numbers. What names folders and times is left out. An error is one of
// reading what the runs left.
func Differences(want, got string) (all []string, err error) {
	for _, fit := range fits {
		_, errWant := os.Stat(filepath.Join(want, fit))
		_, errGot := os.Stat(filepath.Join(got, fit))
		if errors.Is(errWant, fs.ErrNotExist) && errors.Is(errGot, fs.ErrNotExist) {
			continue
		}
		found, err := fitDifferences(filepath.Join(want, fit), filepath.Join(got, fit))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	a, err := Numbers(want)
	if err != nil {
		return nil, err
	}
	b, err := Numbers(got)
	if err != nil {
		return nil, err
	}
	return append(all, unequal("number of the report", a, b, func(v, w float64) bool { return v == w })...), nil
}

// fitDifferences compares what two fits left in their folders.
func fitDifferences(want, got string) (all []string, err error) {
	type arrays = map[string][]byte
	var a, b arrays
	for folder, of := range map[string]*arrays{want: &a, got: &b} {
		if *of, err = arraysIn(folder); err != nil {
			return nil, err
		}
	}
	all = unequal("array", a, b, bytes.Equal)

	c, err := graph.LoadCheckpoint(filepath.Join(want, checkpoint))
	if err != nil {
		return nil, err
	}
	d, err := graph.LoadCheckpoint(filepath.Join(got, checkpoint))
	if err != nil {
		return nil, err
	}
	delete(c.Texts, "config") // it names the folders
	delete(d.Texts, "config")
	all = append(all, unequal("text of the checkpoint", c.Texts, d.Texts, func(v, w string) bool { return v == w })...)
	all = append(all, unequal("tensor", c.Tensors, d.Tensors, func(v, w graph.Tensor) bool {
		return slices.Equal(v.Shape, w.Shape) && slices.Equal(v.F32, w.F32) && slices.Equal(v.F64, w.F64)
	})...)

	rows, err := os.ReadFile(filepath.Join(want, metricsLog))
	if err != nil {
		return nil, err
	}
	others, err := os.ReadFile(filepath.Join(got, metricsLog))
	if err != nil {
		return nil, err
	}
	return append(all, unequal("row of metrics", numbered(rows), numbered(others), func(v, w string) bool { return v == w })...), nil
}

// arraysIn are the files .npy of a folder.
func arraysIn(folder string) (map[string][]byte, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".npy" {
			continue
		}
		if all[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name())); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// numbered are the lines of a text by their numbers.
func numbered(text []byte) map[string]string {
	lines := map[string]string{}
	for line := range strings.Lines(string(text)) {
		lines[fmt.Sprintf("%06d", len(lines)+1)] = line
	}
	return lines
}

// unequal says which entries of two maps are not in both or not equal: the first of
// them and their number, which is enough to begin looking.
func unequal[V any](what string, want, got map[string]V, equal func(v, w V) bool) []string {
	names := map[string]bool{}
	for name, v := range want {
		if w, ok := got[name]; !ok || !equal(v, w) {
			names[name] = true
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			names[name] = true
		}
	}
	if len(names) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(names)))
	_, in := want[first]
	_, left := got[first]
	how := "differs"
	switch {
	case !left:
		how = "is missing"
	case !in:
		how = "is new"
	}
	return []string{fmt.Sprintf("%s %s %s (%d of them are not the same)", what, first, how, len(names))}
}
