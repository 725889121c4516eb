package exptest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cmf/graph"
)

func LoadCheckpoint(t *testing.T, path ...string) *graph.Checkpoint {
	t.Helper()
	c, err := graph.LoadCheckpoint(filepath.Join(append(path, "checkpoint.safetensors")...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func LinesOf(t *testing.T, path ...string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append(path, "metrics.jsonl")...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// StepIn sums the steps of the checkpoints of a run's fits.
func StepIn(t *testing.T, out string) (steps int) {
	t.Helper()
	for _, part := range []string{"", "cmfma"} {
		if Exists(filepath.Join(out, part, "checkpoint.safetensors")) {
			step, err := strconv.Atoi(LoadCheckpoint(t, out, part).Texts["step"])
			if err != nil {
				t.Fatal(err)
			}
			steps += step
		}
	}
	return steps
}

func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
