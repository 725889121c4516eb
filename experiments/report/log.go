package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"cmf/data/file"
	"cmf/experiments/figure"
)

// MetricsLog appends to metrics.jsonl one line for each logged step: a JSON object
// {"step": …} with the metrics of that step, in the order of their names. It also
// appends to a file of events beside it, for TensorBoard.
type MetricsLog struct {
	file   *os.File
	size   int64 // of the whole lines
	events *EventFile
}

// OpenMetricsLog opens metrics.jsonl of folder and a new file of events. It keeps the
// lines and events up to and including step last, where a run is resumed; −1 keeps
// none.
func OpenMetricsLog(folder string, last int) (*MetricsLog, error) {
	path := filepath.Join(folder, "metrics.jsonl")
	var kept bytes.Buffer
	if last >= 0 {
		err := eachLine(path, func(step int, line []byte, _ Numbers) {
			if step <= last {
				kept.Write(append(line, '\n'))
			}
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	err := file.Write(path, func(w io.Writer) error { return file.Text(w, kept.Bytes()) })
	if err != nil {
		return nil, fmt.Errorf("metrics log: %w", err)
	}
	if err := keepEvents(folder, last); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("metrics log: %w", err)
	}
	events, err := NewEventFile(folder, "")
	if err != nil {
		f.Close()
		return nil, err
	}
	return &MetricsLog{f, int64(kept.Len()), events}, nil
}

// Append writes the line and the event of one step at once, so that they survive if the
// run is killed. NaN and ±Inf become null in the line. No metric may be called step.
func (l *MetricsLog) Append(step int, metrics Numbers) error {
	if _, taken := metrics["step"]; taken {
		return errors.New("metrics log: a metric is called step, which is the key of the step itself; give it another name")
	}
	body, err := json.Marshal(metrics)
	if err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	line := fmt.Appendf(nil, `{"step":%d`, step)
	if len(metrics) > 0 {
		line = append(line, ',')
	}
	line = append(append(line, body[1:]...), '\n')
	if _, err := l.file.Write(line); err != nil {
		// A full disk must not leave part of a line.
		return fmt.Errorf("metrics log: %w", errors.Join(err, l.file.Truncate(l.size)))
	}
	l.size += int64(len(line))
	return l.events.Scalars(step, metrics)
}

// AppendNew is Append, but for a line that is there: a run that is killed may have written it
// after the checkpoint from which it goes on, and before the next.
func (l *MetricsLog) AppendNew(step int, metrics Numbers) error {
	there := false
	err := eachLine(l.file.Name(), func(at int, _ []byte, m Numbers) {
		there = there || at == step && slices.Equal(slices.Sorted(maps.Keys(m)), slices.Sorted(maps.Keys(metrics)))
	})
	if err != nil || there {
		return err
	}
	return l.Append(step, metrics)
}

// Sync makes sure that everything appended so far survives a crash of the computer.
func (l *MetricsLog) Sync() error {
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	return nil
}

// CarryMetricsLog copies metrics.jsonl of a folder, if there is one, to the folder in
// which its run goes on.
func CarryMetricsLog(from, to string) error {
	lines, err := os.ReadFile(filepath.Join(from, "metrics.jsonl"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = file.Write(filepath.Join(to, "metrics.jsonl"), func(w io.Writer) error { return file.Text(w, lines) })
	}
	if err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	return nil
}

// Close closes both files.
func (l *MetricsLog) Close() error { return errors.Join(l.file.Close(), l.events.Close()) }

// ReadMetricsLog reads metrics.jsonl of folder: for each metric, by name, its series
// against the step. A null is NaN.
func ReadMetricsLog(folder string) (map[string]figure.Series, error) {
	series := map[string]figure.Series{}
	err := eachLine(filepath.Join(folder, "metrics.jsonl"), func(step int, _ []byte, metrics Numbers) {
		for name, v := range maps.All(metrics) {
			s := series[name]
			s.Name, s.X, s.Y = name, append(s.X, float64(step)), append(s.Y, v)
			series[name] = s
		}
	})
	return series, err
}

// eachLine visits the whole lines of a metrics log, up to the first that is torn: it has no
// end, as a killed run leaves it, or holds zero bytes, with which a computer that crashed
// pads a file.
func eachLine(path string, visit func(step int, line []byte, metrics Numbers)) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("metrics log: %w", err)
		}
		if bytes.IndexByte(line, 0) >= 0 {
			return nil
		}
		line = bytes.TrimSpace(line)
		var metrics Numbers
		if err := json.Unmarshal(line, &metrics); err != nil {
			return fmt.Errorf("metrics log: %s, line %d: %w", path, n, err)
		}
		step, ok := metrics["step"]
		if !ok {
			return fmt.Errorf("metrics log: %s: line %d has no step", path, n)
		}
		delete(metrics, "step")
		visit(int(step), line, metrics)
	}
}
