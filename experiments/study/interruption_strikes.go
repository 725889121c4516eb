package study

import (
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
	"cmf/solvers/random"
)

// signals are those that end a run, by the words of CMF_STRIKES.
var signals = map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}

// statuses are the exit statuses of runs that end because of a signal.
var statuses = map[string]int{"INT": 130, "TERM": 143, "KILL": 137}

// strike is how a run is ended.
type strike struct {
	signals []string // one soon after the other
	writing bool     // while it writes a checkpoint, else at a random moment
}

var (
	interrupt = strike{signals: []string{"INT"}}
	impatient = strike{signals: []string{"INT", "INT"}}
	terminate = strike{signals: []string{"TERM"}}
	kill      = strike{signals: []string{"KILL"}}
	killWrite = strike{signals: []string{"KILL"}, writing: true}
)

// String writes a strike such as INT+INT or KILL@write.
func (s strike) String() string {
	text := strings.Join(s.signals, "+")
	if s.writing {
		text += "@write"
	}
	return text
}

// ended tells whether a process was ended by one of the strike's signals, at once or, with
// the exit status that says so, by itself.
func (s strike) ended(p *process) bool {
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
			text, writing := strings.CutSuffix(word, "@write")
			s := strike{signals: strings.Split(text, "+"), writing: writing}
			for _, name := range s.signals {
				if signals[name] == nil {
					return fmt.Errorf("%q is no strike; give INT, TERM or KILL, several joined by +, and @write behind them for one while a checkpoint is written", word)
				}
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
		if checkpoint := filepath.Join(out, "checkpoint.safetensors"); h.step > 0 {
			resume = checkpoint
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

// hit sends the strike's signals to the process, and returns how many rows of metrics
// there were by then.
func (v *victim) hit(p *process, rng *random.Stream, out string, s strike) (rows int) {
	done := outcome.Rows(out)
	if s.writing {
		w, n := writings{folder: out}, 1+rng.IntN(v.writings)
		p.await(func() bool { return w.look() >= n })
	} else {
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
	for k, word := range s.signals {
		if k > 0 {
			p.pause(2 * time.Millisecond)
		}
		_ = p.Process.Signal(signals[word]) // it may have ended
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
