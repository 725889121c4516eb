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
	"time"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
)

// saver writes the checkpoint of a fit while it trains.
type saver struct {
	run          *run.Run
	log          *report.MetricsLog
	begun, saved time.Time
	took         time.Duration // by the last checkpoint
	path         string
	step         int // of the last checkpoint
}

// hook saves before the first step, so that a full disk is noticed before any work, then
// whenever a checkpoint is due, and at the end.
func (s *saver) hook() Hook {
	return Hook{
		Start: func(l *Loop) error {
			s.run.Checkpoint, s.run.Steps = s.run.Path("checkpoint.safetensors"), l.Of
			return s.save(l)
		},
		Step: func(l *Loop) error {
			if !s.due() {
				return nil
			}
			return s.save(l)
		},
		End: s.save,
	}
}

// due says whether an abrupt end would lose too much: a twentieth of the work since the
// start, or two minutes. Checkpoints take at most a hundredth of the time.
func (s *saver) due() bool {
	every := max(min(time.Since(s.begun)/20, 2*time.Minute), 100*s.took)
	return time.Since(s.saved) > every
}

// save writes the checkpoint, and the report that remains if the run is killed before the
// next one.
func (s *saver) save(l *Loop) error {
	start, m, r := time.Now(), l.Model, s.run
	// When a checkpoint is there, the lines up to it must be there too.
	if err := s.log.Sync(); err != nil {
		return err
	}
	if err := m.store(s.path); err != nil {
		return err
	}
	s.step = m.State.Step
	partial := r.Report
	partial.Steps, partial.Seconds = m.State.Step, time.Since(r.Started).Seconds()
	partial.Stop = report.Stop{Reason: report.Interrupted, Step: l.Step(), Of: l.Of, Text: interruptedAt(r, l.Step(), l.Of)}
	if err := partial.Write(r.Folder); err != nil {
		return err
	}
	s.saved, s.took = time.Now(), time.Since(start)
	return nil
}

// interruptedAt says at which step a run stopped and how to go on.
func interruptedAt(r *run.Run, step, of int) string {
	return fmt.Sprintf("interrupted at step %d of %d; CMF_RESUME=%s goes on", step, of, r.Checkpoint)
}

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
