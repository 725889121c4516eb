package run

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func TestProgressLogsEveryFewSeconds(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := newProgress(&out, false, ProgressOptions{Total: 100, First: 20}, func() time.Time { return now })
	for step := 21; step <= 40; step++ { // one step a second
		now = now.Add(time.Second)
		p.Step(step, Status{Loss: 1.23456, Residual: 2e-3, Acceptance: math.NaN()})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines in 20 seconds, want 4:\n%s", len(lines), &out)
	}
	if want := `msg="step 25/100" loss=1.23 residual=0.002 left=1m15s`; !strings.HasSuffix(lines[0], want) {
		t.Errorf("first line %q, want it to end %q", lines[0], want)
	}
	p.Finish(40, Status{Loss: 1, Residual: math.NaN(), Acceptance: math.NaN()})
	if !strings.HasSuffix(out.String(), "msg=\"step 40/100\" loss=1 left=1m0s\n") {
		t.Errorf("the end is not shown:\n%s", &out)
	}
}

func TestProgressTimeLeft(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &Progress{options: ProgressOptions{Total: 100, Deadline: start.Add(15 * time.Second)}, start: start}
	for _, c := range []struct {
		done, after int
		left        time.Duration
		ok          bool
	}{
		{0, 3, 0, false}, {10, 1, 9 * time.Second, true}, {10, 5, 10 * time.Second, true}, {10, 20, 0, true}, {100, 5, 0, false},
	} {
		if left, ok := p.left(c.done, start.Add(time.Duration(c.after)*time.Second)); left != c.left || ok != c.ok {
			t.Errorf("after %d steps and %d s: %v, %t, want %v, %t", c.done, c.after, left, ok, c.left, c.ok)
		}
	}
}

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	now := time.Now()
	p := newProgress(&out, true, ProgressOptions{Total: 200}, func() time.Time { return now })
	for step := 1; step <= 100; step++ {
		now = now.Add(50 * time.Millisecond)
		p.Step(step, Status{Loss: .5, Residual: 1e-3, Acceptance: .57})
	}
	p.Log.Warn("a bank was restarted", "rows", 3)
	p.Finish(100, Status{Loss: .25, Residual: 1e-3, Acceptance: .57})
	text := out.String()
	for _, want := range []string{"(100/200)", "loss 0.25", "residual 0.001", "acceptance 0.57", "left 5s", "a bank was restarted"} {
		if !strings.Contains(text, want) {
			t.Errorf("the bar lacks %q in %q", want, text)
		}
	}
	if n := strings.Count(text, "/200)"); n < 40 || n > 120 {
		t.Errorf("the bar was drawn %d times in 5 s, want about 50", n)
	}
	if !strings.HasSuffix(text, "\n") {
		t.Errorf("the bar's line does not end: %q", text[max(0, len(text)-80):])
	}
}

func TestProgressSilent(t *testing.T) {
	p := NewProgress(nil, ProgressOptions{Total: 1})
	p.Log.Error("nobody hears")
	p.Step(1, Status{})
	p.Finish(1, Status{})
}
