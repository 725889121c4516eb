package train

import (
	"fmt"
	"time"

	"cmf/data/file"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
)

// Saver writes the checkpoint of a run while a model trains. It keeps the one before it,
// as checkpoint.previous.safetensors.
type Saver[M Trainee] struct {
	Run   *run.Run
	Log   *report.MetricsLog
	Path  string // of the checkpoint
	Write func(path string) error

	// Due says whether to save after a step; nil means IsDue.
	Due func() bool

	// Step is that of the last checkpoint.
	Step int

	begun, saved time.Time
	took         time.Duration // by the last checkpoint
}

// Hook saves before the first step, so that a full disk is noticed before any work, then
// whenever a checkpoint is due, and at the end.
func (s *Saver[M]) Hook() Hook[M] {
	return Hook[M]{
		Start: func(l *Loop[M]) error {
			s.begun = time.Now()
			s.Run.Checkpoint, s.Run.Steps = s.Run.Path("checkpoint.safetensors"), l.Of
			s.Run.Training(true)
			return s.save(l)
		},
		Step: func(l *Loop[M]) error {
			due := s.Due
			if due == nil {
				due = s.IsDue
			}
			if !due() {
				return nil
			}
			return s.save(l)
		},
		End: func(l *Loop[M]) error {
			defer s.Run.Training(false)
			return s.save(l)
		},
	}
}

// IsDue says whether an abrupt end would lose too much: a twentieth of the work since the
// start, or two minutes. Checkpoints take at most a hundredth of the time.
func (s *Saver[M]) IsDue() bool {
	every := max(min(time.Since(s.begun)/20, 2*time.Minute), 100*s.took)
	return time.Since(s.saved) > every
}

// save writes the checkpoint, and the report that remains if the run is killed before the
// next one.
func (s *Saver[M]) save(l *Loop[M]) error {
	start, r := time.Now(), s.Run
	if !r.Root() { // it only hands rank 0 what it has
		s.Step = l.Step()
		return s.Write(s.Path)
	}
	// When a checkpoint is there, the lines up to it must be there too.
	if err := s.Log.Sync(); err != nil {
		return err
	}
	if err := file.Keep(s.Path, graph.PreviousCheckpoint(s.Path)); err != nil {
		return err
	}
	if err := s.Write(s.Path); err != nil {
		return err
	}
	s.Step = l.Step()
	partial := r.Report
	partial.Steps, partial.Seconds = l.Step(), time.Since(r.Started).Seconds()
	partial.Stop = report.Stop{Reason: report.Interrupted, Step: l.Step(), Of: l.Of, Text: InterruptedAt(r, l.Step(), l.Of)}
	if err := partial.Write(r.Folder); err != nil {
		return err
	}
	s.saved, s.took = time.Now(), time.Since(start)
	return nil
}

// InterruptedAt says at which step a run stopped and how to go on.
func InterruptedAt(r *run.Run, step, of int) string {
	return fmt.Sprintf("interrupted at step %d of %d; CMF_RESUME=%s goes on", step, of, r.Checkpoint)
}
