//go:build unix

package fit_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"cmf/experiments/internal/exptest"

	"github.com/google/go-cmp/cmp"
)

// A signal that comes while held-out rows are scored ends the score. The run that goes on
// makes it up, and ends at the bits of one that nothing stopped.
func TestInterruptedScore(t *testing.T) {
	scores := func(folder string) (rows []string) {
		for _, line := range exptest.LinesOf(t, folder) {
			if strings.Contains(line, "validation") {
				rows = append(rows, line)
			}
		}
		return rows
	}
	variables := []string{"CMF_HELD=50", "CMF_STEPS=40"} // a score after every second step
	whole, err := runSmall(t, variables...)
	if err != nil {
		t.Fatal(err)
	}
	want, rows := exptest.LoadCheckpoint(t, whole.Folder), scores(whole.Folder)
	if len(rows) != 21 {
		t.Fatalf("%d scores", len(rows))
	}
	for _, signal := range []string{"24", "40"} {
		out := "CMF_OUT=" + t.TempDir()
		stopped, err := runSmall(t, append(variables, out, "CMF_SIGNAL="+signal)...)
		if err != nil {
			t.Fatal(err)
		}
		if signal != "40" && stopped.Report.Stop.Reason != "interrupted" {
			t.Fatalf("a signal at step %s: %v", signal, stopped.Report.Stop)
		}
		if signal == "24" { // it went on, and was killed before the next checkpoint
			f, err := os.OpenFile(stopped.Path("metrics.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = fmt.Fprintln(f, rows[12])
			}
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		on, err := runSmall(t, append(variables, out, "CMF_RESUME="+stopped.Path("checkpoint.safetensors"))...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Tensors, exptest.LoadCheckpoint(t, on.Folder).Tensors); diff != "" {
			t.Errorf("a signal at step %s: %s", signal, diff)
		}
		if got := scores(on.Folder); !slices.Equal(got, rows) {
			t.Errorf("a signal at step %s: the scores are\n%s, want\n%s", signal, strings.Join(got, "\n"), strings.Join(rows, "\n"))
		}
	}
}
