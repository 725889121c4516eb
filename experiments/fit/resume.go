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
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
)

// resume goes on from CMF_RESUME. A further fit of the run goes on from the checkpoint in
// its folder beside that file, or starts anew if there is none.
func (m *Model) resume(r *run.Run, core *config.Core, name string) error {
	if core.Resume == "" {
		return nil
	}
	path := filepath.Join(filepath.Dir(core.Resume), name, filepath.Base(core.Resume))
	if _, err := os.Stat(path); name != "" && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	differing, err := m.load(path)
	if err != nil {
		err = fmt.Errorf("CMF_RESUME=%s: %w", path, err)
		if len(differing) > 0 {
			err = fmt.Errorf("%w; it was written by a run with %s", err, strings.Join(differing, ", "))
		}
		return err
	}
	if len(differing) > 0 {
		r.Note("The run goes on with other settings than it began with: %s was written by a run with %s.", path, strings.Join(differing, ", "))
	}
	if err := report.CarryMetricsLog(filepath.Dir(path), r.Path(name)); err != nil {
		return err
	}
	r.Progress.Log.Info("resumed", "step", m.State.Step, "from", path)
	return nil
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
