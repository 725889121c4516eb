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

// hook saves before the first step, so that a disk that is full is noticed before any
// work, when it is due, and at the end.
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

// due tells whether an abrupt end would lose too much: a twentieth of what was done
// since the start, or two minutes. No more than a hundredth of the time goes into
// checkpoints.
func (s *saver) due() bool {
	every := max(min(time.Since(s.begun)/20, 2*time.Minute), 100*s.took)
	return time.Since(s.saved) > every
}

// save writes the checkpoint, and the report that a run leaves which is killed
// before the next.
func (s *saver) save(l *Loop) error {
	start, m, r := time.Now(), l.Model, s.run
	// The lines up to a checkpoint shall be there when it is.
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

// interruptedAt says where a run stopped that can go on.
func interruptedAt(r *run.Run, step, of int) string {
	return fmt.Sprintf("interrupted at step %d of %d; CMF_RESUME=%s goes on", step, of, r.Checkpoint)
}

// resume goes on from CMF_RESUME. A further fit of the run goes on from the
// checkpoint in the folder of its name beside it, or starts if there is none.
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
			err = fmt.Errorf("%w; it was left by a run with %s", err, strings.Join(differing, ", "))
		}
		return err
	}
	if len(differing) > 0 {
		r.Note("The run goes on otherwise than it began: %s was left by one with %s.", path, strings.Join(differing, ", "))
	}
	if err := report.CarryMetricsLog(filepath.Dir(path), r.Path(name)); err != nil {
		return err
	}
	r.Progress.Log.Info("resumed", "step", m.State.Step, "from", path)
	return nil
}

// differences are the variables and the data of the run that wrote c where they are
// not this one's; where files lie and how long a run may take does not count.
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
			continue // a variable that is none here is of another experiment, which is told below, or does nothing
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
