package fit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cmf/experiments/config"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// resume goes on from CMF_RESUME, whose folder it returns; that is empty for a new fit. A
// further fit of the run goes on from the checkpoint in its folder beside that file, or starts
// anew if there is none.
func (m *Model) resume(r *run.Run, core *config.Core, name string) (folder string, err error) {
	if core.Resume == "" {
		return "", nil
	}
	path := filepath.Join(filepath.Dir(core.Resume), name, filepath.Base(core.Resume))
	if _, err := os.Stat(path); name != "" && errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	remarks, err := m.load(path)
	if err != nil {
		return "", fmt.Errorf("CMF_RESUME=%s: %w", path, err)
	}
	if step := m.State.Step; step > core.Steps {
		remarks = append(remarks, fmt.Sprintf("%s has made %d steps, more than CMF_STEPS=%d: no more are made.", path, step, core.Steps))
	}
	for _, text := range remarks {
		r.Note("%s", text)
	}
	r.Progress.Log.Info("resumed", "step", m.State.Step, "from", path)
	return filepath.Dir(path), nil
}

// differences lists the variables and the data of the run that wrote c that differ from
// those of this run. The places of files and limits on time do not count.
func (m *Model) differences(c *graph.Checkpoint) (differing []string, err error) {
	var config map[string]string
	if text, ok := c.Texts["config"]; ok {
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			return nil, fmt.Errorf("its configuration: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		here, ok := m.Origin.Config[name]
		if name == "CMF_OUT" || name == "CMF_RESUME" || name == "CMF_DATA_DIR" || name == "CMF_MINUTES" || !ok || here == config[name] {
			continue // a variable that this run lacks belongs to another experiment, which is reported below, or does nothing
		}
		differing = append(differing, fmt.Sprintf("%s=%s (here %s)", name, config[name], cmp.Or(here, "empty")))
	}
	for _, v := range []struct{ name, there, here string }{
		{"the experiment", c.Texts["experiment"], m.Origin.Experiment},
		{"the data", c.Texts["data"], m.data},
	} {
		if v.there != "" && v.there != v.here {
			differing = append(differing, fmt.Sprintf("%s %q (here %q)", v.name, v.there, v.here))
		}
	}
	return differing, nil
}

// sums are SHA-256 sums of what a checkpoint goes on with only if it is the same.
type sums struct{ data, units string }

// sum makes the sums of what the problem learns from, and of its units.
func (m *Model) sum(p Problem) error {
	data := graph.NewCheckpoint()
	learned := map[string]blas32.General{"train": p.Train, "from": p.From}
	if p.Contexts.Cols > 0 {
		learned["contexts"] = p.Contexts
	}
	for name, x := range learned {
		if x.Stride != x.Cols {
			dense := batch.New(x.Rows, x.Cols)
			batch.Copy(dense, x)
			x = dense
		}
		data.Put(name, x.Data[:x.Rows*x.Cols], x.Rows, x.Cols)
	}
	units := graph.NewCheckpoint()
	if err := m.Origin.put(units); err != nil {
		return err
	}
	// These say how the model is learned, and what names files.
	for _, name := range []string{"experiment", "architecture", "config"} {
		delete(units.Texts, name)
	}
	m.sums = sums{data.Sum(), units.Sum()}
	return nil
}

// compare refuses a checkpoint of other data or units. remarks are what else is to be said
// about it.
func (m *Model) compare(c *graph.Checkpoint, path string) (remarks []string, err error) {
	if c.Unchecked {
		remarks = append(remarks, fmt.Sprintf("%s is of an earlier version, without a sum of its content: damage of the file, and other data than it was learned from, would go unnoticed.", path))
	}
	there, machine := c.Texts["machine"], ""
	if there != "" && there != m.machine {
		machine = fmt.Sprintf("%s was written with %s, and the run goes on with %s: numbers may differ in their last digits from those of a run on one machine.", path, there, m.machine)
		remarks = append(remarks, machine)
	}
	for _, v := range []struct{ what, there, here string }{
		{"rows to learn from", c.Texts["data.sum"], m.sums.data},
		{"units of learning", c.Texts["units.sum"], m.sums.units},
	} {
		switch {
		case v.there == "" || v.there == v.here:
		case machine != "": // rows that are computed may differ in their last digits
			remarks = append(remarks, fmt.Sprintf("The %s differ from those of %s. If this is not by rounding on another machine, the model is of other data.", v.what, path))
		default:
			return nil, fmt.Errorf("the %s are not those of the checkpoint: %s must be as they were when it was written, the content of files too", v.what, m.sources())
		}
	}
	return remarks, nil
}

// sources names the variables of files that were given, or says where data comes from.
func (m *Model) sources() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(m.Origin.Config)) {
		if value := m.Origin.Config[name]; value != "" && (strings.HasSuffix(name, "_FILE") || name == "CMF_DATA_DIR") {
			names = append(names, name+"="+value)
		}
	}
	return strings.Join(append(names, "CMF_SEED and the variables of the data"), ", ")
}
