package study

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"cmf/experiments/internal/outcome"
	"cmf/experiments/report"
	"cmf/graph"
	"cmf/solvers/random"
)

// signals are those that end a run, by the words of CMF_STRIKES.
var signals = map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}

// statuses are the exit statuses of runs that end because of a signal.
var statuses = map[string]int{"INT": 130, "TERM": 143, "KILL": 137}

// places are the moments of a strike, by the words of CMF_STRIKES.
var places = []string{
	"load",  // before the first row of metrics
	"write", // while a checkpoint is written, when the one before it is already kept
	"judge", // after the last row of metrics
}

// harms are what befalls the folder of a run that has ended, before it goes on.
var harms = map[string]func(checkpoint string) error{
	"torn":     tearMetrics,
	"previous": os.Remove, // of the last checkpoint, so that the previous one is left
}

// strike is how a run is ended.
type strike struct {
	signals []string // one soon after the other
	place   string   // one of the places, or a random moment where it is empty
	harm    string   // one of the harms, or none where it is empty
}

var (
	interrupt = strike{signals: []string{"INT"}}
	impatient = strike{signals: []string{"INT", "INT"}}
	terminate = strike{signals: []string{"TERM"}}
	kill      = strike{signals: []string{"KILL"}}
	killWrite = strike{signals: []string{"KILL"}, place: "write"}
)

// String writes a strike such as INT+INT, KILL@write or KILL/torn.
func (s strike) String() string {
	text := strings.Join(s.signals, "+")
	if s.place != "" {
		text += "@" + s.place
	}
	if s.harm != "" {
		text += "/" + s.harm
	}
	return text
}

// ended tells whether a process was ended by one of the strike's signals, at once or, with
// the exit status that says so, by itself. Launchers of ranks have statuses of their own for that, but 1
// for an error of a rank.
func (s strike) ended(p *process) bool {
	if p.ranks > 1 {
		return p.ProcessState.ExitCode() > 1
	}
	if slices.ContainsFunc(s.signals, func(word string) bool { return p.ProcessState.ExitCode() == statuses[word] }) {
		return true
	}
	return slices.ContainsFunc(s.signals, func(word string) bool {
		return strings.HasPrefix(p.ProcessState.String(), "signal: "+signals[word].String())
	})
}

// written writes the strikes on one run.
func written(plan []strike) string {
	var words []string
	for _, s := range plan {
		words = append(words, s.String())
	}
	return strings.Join(words, " ")
}

// strikePlans are the strikes on each of several runs, written "INT; KILL@write TERM".
type strikePlans [][]strike

// Decode reads plans, for envconfig.
func (p *strikePlans) Decode(list string) error {
	*p = nil
	for part := range strings.SplitSeq(list, ";") {
		var plan []strike
		for word := range strings.FieldsSeq(part) {
			text, harm, harmed := strings.Cut(word, "/")
			text, place, placed := strings.Cut(text, "@")
			s := strike{signals: strings.Split(text, "+"), place: place, harm: harm}
			if slices.ContainsFunc(s.signals, func(name string) bool { return signals[name] == nil }) ||
				placed && !slices.Contains(places, place) || harmed && harms[harm] == nil {
				return fmt.Errorf("%q is no strike; give INT, TERM or KILL, several joined by +, behind them @load, @write or @judge for one at such a moment, and /torn or /previous for what then befalls the folder", word)
			}
			plan = append(plan, s)
		}
		if plan == nil {
			return errors.New("a run has no strike; give such as INT; KILL@write TERM")
		}
		*p = append(*p, plan)
	}
	return nil
}

// String writes plans as Decode reads them.
func (p strikePlans) String() string {
	var parts []string
	for _, plan := range p {
		parts = append(parts, written(plan))
	}
	return strings.Join(parts, "; ")
}

// tearMetrics leaves half a row at the end of the metrics beside a checkpoint, as a crash does
// while one is written.
func tearMetrics(checkpoint string) error {
	path := filepath.Join(filepath.Dir(checkpoint), "metrics.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	row := text[bytes.LastIndexByte(bytes.TrimSuffix(text, []byte("\n")), '\n')+1:]
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(row[:len(row)/2])
	return errors.Join(err, f.Close())
}

// hit is a strike and where it found the run.
type hit struct {
	strike strike
	rows   int  // of metrics, written before it
	step   int  // of the checkpoint that it left; 0 for none
	late   bool // the run came to its end all the same
}

// resumed ends the name of the folder in which a run goes on that began in another.
const resumed = "-on"

// endAndResume ends a run once by each strike, each time it has gone on, and then lets
// it go on to its end: in a folder of its own where strikes are odd in number, else in
// the same one. found is what then is not as it should be.
func (v *victim) endAndResume(ctx context.Context, rng *random.Stream, out string, plan []strike) (hits []hit, found []string, err error) {
	last, resume := 0, ""
	for _, s := range plan {
		p, err := v.start(ctx, out, resume)
		if err != nil {
			return nil, nil, err
		}
		h := hit{strike: s, rows: v.hit(p, rng, out, s)}
		err = p.wait(ctx)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil && !s.ended(p) {
			return append(hits, h), append(found, fmt.Sprintf("%v made it fail: %v", s, err)), nil
		}
		if r, unread := outcome.Report(out); err == nil && unread == nil {
			h.late = r.Stop.Reason == report.Finished
		}
		torn := outcome.Whole(out)
		if torn == nil {
			h.step, torn = outcome.Steps(out)
		}
		if torn != nil {
			return append(hits, h), append(found, fmt.Sprintf("%v left a file that is not whole: %v", s, torn)), nil
		}
		if h.step < last {
			found = append(found, fmt.Sprintf("after %v the checkpoint went back from step %d to %d", s, last, h.step))
		}
		last, resume = h.step, ""
		if h.step > 0 {
			if resume, err = s.damage(filepath.Join(out, "checkpoint.safetensors")); err != nil {
				return nil, nil, err
			}
			if s.harm == "previous" {
				last = 0
			}
		}
		hits = append(hits, h)
	}
	on := out
	if len(plan)%2 == 1 && resume != "" {
		on += resumed
	}
	p, err := v.start(ctx, on, resume)
	if err != nil {
		return nil, nil, err
	}
	if err := p.wait(ctx); ctx.Err() != nil {
		return nil, nil, ctx.Err()
	} else if err != nil {
		return hits, append(found, fmt.Sprintf("it does not go on: %v", err)), nil
	}
	if err := outcome.Whole(on); err != nil {
		found = append(found, err.Error())
	}
	differences, err := outcome.Differences(v.whole, on)
	if err != nil {
		differences = []string{err.Error()}
	}
	return hits, append(found, differences...), nil
}

// damage does the strike's harm to the folder of a checkpoint, and returns the checkpoint from
// which the run is to go on.
func (s strike) damage(checkpoint string) (resume string, err error) {
	if s.harm == "" {
		return checkpoint, nil
	}
	if s.harm == "previous" {
		resume = graph.PreviousCheckpoint(checkpoint)
		if _, err := os.Stat(resume); err != nil {
			return checkpoint, nil // it was ended before its second checkpoint
		}
		return resume, harms[s.harm](checkpoint)
	}
	return checkpoint, harms[s.harm](checkpoint)
}

// hit sends the strike's signals to the process, and returns how many rows of metrics
// there were by then.
func (v *victim) hit(p *process, rng *random.Stream, out string, s strike) (rows int) {
	done := outcome.Rows(out)
	switch s.place {
	case "write":
		w, n := writings{folder: out}, 1+rng.IntN(v.writings)
		p.await(func() bool { return w.look() >= n })
	case "load":
		p.pause(time.Duration(rng.Float64() * float64(v.load)))
	case "judge":
		p.await(func() bool { return outcome.Rows(out) >= v.rows })
		p.pause(time.Duration(rng.Float64() * float64(v.rest)))
	default:
		// One strike in five comes after training, on average.
		row := done + rng.IntN((v.rows-done)*5/4+1)
		p.await(func() bool { return outcome.Rows(out) >= min(row, v.rows) })
		if row >= v.rows {
			p.pause(time.Duration(rng.Float64() * float64(v.rest)))
		} else {
			p.pause(time.Duration(rng.IntN(5000)) * time.Microsecond)
		}
	}
	rows = outcome.Rows(out)
	target := p.target(rng)
	for k, word := range s.signals {
		if k > 0 {
			p.pause(2 * time.Millisecond)
		}
		_ = target.Signal(signals[word]) // it may have ended
	}
	return rows
}

// writings counts how often a run has begun to write a checkpoint, as far as those who
// look often see.
type writings struct {
	folder string
	now    bool
	begun  int
}

func (w *writings) look() int {
	is := outcome.Writing(w.folder)
	if is && !w.now {
		w.begun++
	}
	w.now = is
	return w.begun
}
